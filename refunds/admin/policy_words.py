"""A refund policy in words and money, as people read and compare it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext, ngettext

from merchants.admin.changes import ChangeWords, words_of_change
from merchants.models import ChangeRequest, Merchant, Role
from paycenter.staff.display import money
from refunds.models import LatePayment, OtherMoney, RefundPolicy
from refunds.policies import AMOUNT_FIELDS, POLICY_FIELDS, REFUND_POLICY

# A policy for every currency holds numbers of smallest units; they are written and read as yuan.
GENERAL_CURRENCY = "CNY"
Row = tuple[str, str, str]


def shown_currency(currency: str) -> str:
    """In which currency a policy's amounts are written: its own, or yuan for one of every currency."""
    return currency or GENERAL_CURRENCY


def currency_word(currency: str) -> str:
    """Which payments a policy is about."""
    return currency or gettext("every currency")


def field_word(name: str) -> str:
    """A field of the policy as the form calls it."""
    label = str(RefundPolicy._meta.get_field(name).verbose_name)  # type: ignore[union-attr]
    return label[:1].upper() + label[1:]


def value_word(name: str, value: Any, currency: str) -> str:
    """A stored value in words; amounts with their currency."""
    if name in AMOUNT_FIELDS:
        return _amount(name, value, shown_currency(currency))
    if name == "approver_roles":
        return gettext(", ").join(str(dict(Role.choices).get(role, role)) for role in value or [])
    if name == "late_payment":
        return str(dict(LatePayment.choices).get(value, value))
    if name in ("duplicate_payment", "wrong_payment"):
        return str(dict(OtherMoney.choices).get(value, value))
    return _span(name, int(value or 0))


def _amount(name: str, value: int | None, currency: str) -> str:
    if value is None:
        return gettext("no limit")
    if value == 0 and name in ("automatic_up_to", "abnormal_automatic_up_to"):
        return gettext("never")
    return money(value, currency)


def _span(name: str, value: int) -> str:
    if name == "approval_hours":
        return ngettext("%(count)d hour", "%(count)d hours", value) % {"count": value}
    if name == "window_days":
        return ngettext("%(count)d day", "%(count)d days", value) % {"count": value}
    if value == 0:
        return gettext("none")
    return ngettext("%(count)d second", "%(count)d seconds", value) % {"count": value}


def policy_rows(policy: Any) -> list[tuple[str, str]]:
    """(field, value) of a policy, or of one of its earlier versions, in the form's order."""
    return [(field_word(n), value_word(n, getattr(policy, n), policy.currency)) for n in POLICY_FIELDS]


def differences(before: Mapping[str, Any], after: Mapping[str, Any], currency: str) -> list[Row]:
    """(field, before, after) of the fields in `after`, in the form's order."""
    return [
        (field_word(n), value_word(n, before[n], currency) if n in before else "", value_word(n, after[n], currency))
        for n in POLICY_FIELDS
        if n in after
    ]


def _scope(change: ChangeRequest) -> tuple[str, str]:
    merchant_no, _space, currency = change.scope.partition(" ")
    return merchant_no, currency


def _rows(change: ChangeRequest) -> list[Row]:
    return differences(change.before, change.after, _scope(change)[1])


def _about(change: ChangeRequest) -> str:
    merchant_no, currency = _scope(change)
    merchant = Merchant.objects.filter(merchant_no=merchant_no).first()
    return f"{change.app} · {merchant or merchant_no} · {currency_word(currency)}"


def _link(change: ChangeRequest) -> str:
    merchant = Merchant.objects.filter(merchant_no=_scope(change)[0]).first()
    if merchant is None:
        return ""
    return reverse("admin:refunds_refundpolicy_pair", args=[change.app_id, merchant.pk])


words_of_change(REFUND_POLICY.code, ChangeWords(rows=_rows, about=_about, link=_link))
