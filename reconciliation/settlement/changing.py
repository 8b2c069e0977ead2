"""Fee rates and settlement terms decide what counts as the right sum, so they change through two people: one asks,
somebody else confirms (`merchants.changes`). Until then everything is calculated as before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from merchants.changes import ChangeKind, change_kind, change_request, whose_role_has
from merchants.models import ChangeRequest, PaymentAccount, User
from paycenter.errors import TransitionRefused
from paycenter.transitions import record_event
from reconciliation.fees import MILLION
from reconciliation.settlement.models import FeeRate, SettlementCalendar, SettlementTerms

RATE_FIELDS = ("ppm", "rounding", "fixed", "least", "most")
TERMS_FIELDS = ("days_after", "working_days", "calendar_id")
CHANGE_RATES = "reconciliation.change_feerate"
CHANGE_TERMS = "reconciliation.change_settlementterms"
LONGEST_DAYS_AFTER = 30
_MOST_MINOR = 2**31 - 1  # what the columns hold


def rate_on(account: PaymentAccount, method: str, day: date) -> FeeRate | None:
    """The rate that holds on a day for payments of one method; the method's own wins over the account's general one."""
    rows = FeeRate.objects.filter(account=account, method__in={method, ""}, from_day__lte=day)
    return rows.order_by("-method", "-from_day").first()


def rate_values(rate: FeeRate | None) -> dict[str, Any]:
    """What people compare; empty where there is no rate."""
    return {name: getattr(rate, name) for name in RATE_FIELDS} if rate else {}


def terms_values(account: PaymentAccount) -> dict[str, Any]:
    """What people compare; empty where nobody said yet."""
    found = SettlementTerms.objects.filter(account=account).first()
    return {name: getattr(found, name) for name in TERMS_FIELDS} if found else {}


@transaction.atomic
def rate_change_request(
    *, account: PaymentAccount, method: str, from_day: date, values: Mapping[str, Any], user: User, reason: str
) -> ChangeRequest:
    """Ask for a rate from a day on. `method` empty: for all that have no own; `values` has the keys of RATE_FIELDS,
    amounts in minor units. Compared with the rate that would hold on that day.

    Raises TransitionRefused for whose role may not, when nothing would change, another request for the same method
    and day is pending, or values are out of range or contradict each other.
    """
    if not user.has_perm(CHANGE_RATES):
        raise TransitionRefused(_("Your role may not change fee rates."))
    if not 0 <= values["ppm"] <= MILLION:
        raise TransitionRefused(_("A fee is between 0 and 100 %."))
    amounts = (values["fixed"], values["least"], values["most"])
    if any(amount is not None and not 0 <= amount <= _MOST_MINOR for amount in amounts):
        raise TransitionRefused(_("An amount is out of range."))
    if values["most"] is not None and values["most"] < values["least"]:
        raise TransitionRefused(_("“At most” must not be below “at least”."))
    before = rate_values(rate_on(account, method, from_day))
    payload = {"method": method, "from_day": from_day.isoformat(), "values": dict(values)}
    return change_request(
        kind=FEE_RATE.code, target=account, scope=f"{from_day.isoformat()} {method}".strip(), user=user, reason=reason,
        payload=payload, before=before, after=_changed(before, values),
    )  # fmt: skip


@transaction.atomic
def terms_change_request(
    *, account: PaymentAccount, values: Mapping[str, Any], user: User, reason: str
) -> ChangeRequest:
    """Ask for other settlement terms, or the first ones. `values` has the keys of TERMS_FIELDS.

    Raises TransitionRefused for whose role may not, when nothing would change or another request is pending.
    """
    if not user.has_perm(CHANGE_TERMS):
        raise TransitionRefused(_("Your role may not change settlement terms."))
    if not 0 <= values["days_after"] <= LONGEST_DAYS_AFTER:
        raise TransitionRefused(_("Money arrives within %(n)s days.") % {"n": LONGEST_DAYS_AFTER})
    before = terms_values(account)
    return change_request(
        kind=SETTLEMENT_TERMS.code, target=account, scope="", user=user, reason=reason,
        payload={"values": dict(values)}, before=before, after=_changed(before, values),
    )  # fmt: skip


def parts_of(change: ChangeRequest) -> tuple[date, str]:
    """(from which day, which method) the request for a rate is about."""
    day, _space, method = change.scope.partition(" ")
    return date.fromisoformat(day), method


def _changed(before: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in before or before[name] != value}


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _rate_version(account: PaymentAccount, scope: str) -> str:
    day, _space, method = scope.partition(" ")
    return _digest(rate_values(rate_on(account, method, date.fromisoformat(day))))


def _rate_apply(account: PaymentAccount, payload: Mapping[str, Any], actor: str) -> None:
    rate, _made = FeeRate.objects.update_or_create(
        account=account, method=payload["method"], from_day=date.fromisoformat(payload["from_day"]),
        defaults=payload["values"],
    )  # fmt: skip
    record_event(rate, "feerate.saved", actor=actor, detail={**payload["values"], "method": payload["method"],
                 "from_day": payload["from_day"], "payment_no": account.payment_no})  # fmt: skip


def _terms_apply(account: PaymentAccount, payload: Mapping[str, Any], actor: str) -> None:
    values = payload["values"]
    calendar = values["calendar_id"]
    if calendar is not None and not SettlementCalendar.objects.filter(pk=calendar).exists():
        raise TransitionRefused(_("The calendar is not there any more."))
    terms, _made = SettlementTerms.objects.update_or_create(account=account, defaults=values)
    record_event(terms, "settlementterms.saved", actor=actor, detail={**values, "payment_no": account.payment_no})


FEE_RATE = change_kind(ChangeKind(
    code="fee_rate", apply=_rate_apply, version_of=_rate_version, may_ask=whose_role_has(CHANGE_RATES)
))  # fmt: skip
SETTLEMENT_TERMS = change_kind(ChangeKind(
    code="settlement_terms", apply=_terms_apply, version_of=lambda account, scope: _digest(terms_values(account)),
    may_ask=whose_role_has(CHANGE_TERMS),
))  # fmt: skip
