"""What each staff role may do: permissions are code, not rows, so nobody can grant what is not here, and there is
nothing to keep in step: groups and per-user permissions are asked nowhere.

Superusers may everything except confirm their own changes (`merchants.changes` refuses that to everybody).
`docs/staff.md` shows this as a table, drawn by `manage.py staff_roles`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.backends import ModelBackend

from merchants.models import Role

_CONFIGURATION = (
    "merchants.merchant", "merchants.app", "merchants.paymentaccount", "merchants.cashiermethod",
    "cashier.printedcode",
)  # fmt: skip
_MONEY = (
    "trades.trade", "trades.attempt", "trades.abnormalpayment", "trades.contract", "refunds.refund",
)  # fmt: skip
_RECONCILED = ("reconciliation.reconciliationday", "reconciliation.case", "reconciliation.settlementbatch")
_BILLS = ("reconciliation.bill", "reconciliation.billrow", *_RECONCILED)
_SETTLEMENT_TERMS = (
    "reconciliation.feerate", "reconciliation.settlementterms", "reconciliation.settlementcalendar",
    "reconciliation.bankprofile",
)  # fmt: skip
# Filling in the company's own application; its documents show people's identity cards.
_APPLICATION = ("onboarding.application",)
_FILLS_IN = frozenset({
    "onboarding.view_application", "onboarding.change_application", "onboarding.view_applicationdocument",
})  # fmt: skip
_NOTICES = ("notifications.notification", "notifications.delivery", "notifications.alert")
_ALERTING = ("notifications.alertroute", "notifications.alertrule", "notifications.backloglimit")
_RECORDS = ("paycenter.event", "paycenter.exchange")


def _perms(verbs: str, models: Iterable[str]) -> set[str]:
    """`_perms("view change", ["trades.trade"])` → {"trades.view_trade", "trades.change_trade"}."""
    return {f"{app}.{verb}_{model}" for verb in verbs.split() for app, model in (name.split(".") for name in models)}


_OWN_MERCHANT = frozenset(
    _perms("view", ("merchants.merchant", "merchants.paymentaccount", *_MONEY, *_RECONCILED))
)

ROLE_PERMISSIONS: Mapping[str, frozenset[str]] = {
    Role.OPERATOR: frozenset(
        _perms("view add change", _CONFIGURATION)
        | _perms("view", (*_MONEY, *_NOTICES, *_RECORDS))
        | _perms("view change", ("trades.channelhealth",))
        | _perms("view add change", (*_ALERTING, "paycenter.retryschedule"))
        | _perms("resend", ("notifications.notification",))
        | _perms("ask close", ("trades.trade",))
        | _perms("acknowledge", ("notifications.alert",))
        | _FILLS_IN
        | _perms("add submit review", _APPLICATION)
        | _perms("view confirm", ("merchants.changerequest",))
        | _perms("view add change", ("merchants.user",))
        | _perms("view change", ("refunds.refundpolicy",))
        | _perms("view", (*_BILLS, *_SETTLEMENT_TERMS))
        | _perms("upload", ("reconciliation.bill",))
    ),
    Role.FINANCE: frozenset(
        _perms("view", ("merchants.merchant", "merchants.app", "merchants.paymentaccount", *_MONEY))
        | _perms("view", (*_NOTICES, *_RECORDS))
        | _perms("acknowledge", ("notifications.alert",))
        | _perms("view confirm", ("merchants.changerequest",))
        | _perms("add change approve send", ("refunds.refund",))
        | _perms("view change", ("refunds.refundpolicy",))
        | _perms("accept", ("trades.abnormalpayment",))
        | _perms("ask", ("trades.trade",))
        | _perms("view", _BILLS)
        | _perms("upload", ("reconciliation.bill",))
        | _perms("settle", ("reconciliation.case", "reconciliation.settlementbatch"))
        | _perms("view add change", _SETTLEMENT_TERMS)
    ),
    Role.SERVICE: frozenset(
        _perms("view", ("merchants.merchant", "merchants.app", *_MONEY, *_NOTICES, *_RECORDS))
        | _perms("view", ("trades.channelhealth",))
        | _perms("resend", ("notifications.notification",))
        | _perms("acknowledge", ("notifications.alert",))
        | _perms("add", ("refunds.refund",))
        | _perms("ask close", ("trades.trade",))
        | _perms("view", ("reconciliation.case",))
    ),
    Role.AUDITOR: frozenset(
        _perms("view", (*_CONFIGURATION, *_MONEY, *_NOTICES, *_RECORDS))
        | _perms("view", (*_ALERTING, "paycenter.retryschedule"))
        | _perms("view", ("merchants.changerequest", "merchants.user", "trades.channelhealth"))
        | _perms("view", ("refunds.refundpolicy", "paycenter.auditverification", *_APPLICATION))
        | _perms("view", (*_BILLS, *_SETTLEMENT_TERMS))
    ),
    Role.OWNER: frozenset(
        _OWN_MERCHANT
        | _FILLS_IN
        | _perms("submit", _APPLICATION)
        | _perms("view add change", ("merchants.user",))
        | _perms("view", ("merchants.changerequest",))
        | _perms("propose", ("merchants.paymentaccount",))
    ),
    Role.MERCHANT: frozenset(_OWN_MERCHANT | _FILLS_IN),
    Role.APP: frozenset(
        _perms("view", ("merchants.app", *_MONEY))
        | _perms("view", ("notifications.notification", "notifications.delivery"))
        | _perms("view change", ("merchants.cashiermethod",))
        | _perms("view add change", ("cashier.printedcode",))
        | _perms("view", ("merchants.changerequest",))
    ),
}


def only_looks(user: Any) -> bool:
    """Whether the role may change nothing at all: no page calls such people to act."""
    held = ROLE_PERMISSIONS.get(getattr(user, "role", ""), frozenset())
    return not user.is_superuser and all(".view_" in permission for permission in held)


class RoleBackend(ModelBackend):
    """Permissions by role, without a query. Groups and per-user permissions play no part."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        return set(ROLE_PERMISSIONS.get(getattr(user_obj, "role", ""), frozenset()))

    def get_user_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        return self.get_all_permissions(user_obj, obj)

    def get_group_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        return set()
