"""Which policy applies, what it says about a refund, and how it is changed: asked for by one, confirmed by another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from merchants.changes import ChangeKind, change_kind, change_request
from merchants.models import App, ChangeRequest, Merchant, User
from paycenter.errors import TransitionRefused
from paycenter.transitions import record_event
from refunds.models import RefundCeiling, RefundPolicy

POLICY_FIELDS = (
    "automatic_up_to", "one_approval_up_to", "daily_ceiling", "approver_roles", "approval_hours", "window_days",
    "spacing_seconds", "late_payment", "duplicate_payment", "wrong_payment", "abnormal_automatic_up_to",
)  # fmt: skip


def policy_for(app: App, merchant: Merchant, currency: str) -> RefundPolicy:
    """The currency's own policy, else that of every currency, else the strict default (nothing automatic)."""
    rows = RefundPolicy.objects.filter(app=app, merchant=merchant, currency__in=("", currency)).order_by("-currency")
    return rows.first() or RefundPolicy(app=app, merchant=merchant)


def day_of(merchant: Merchant, moment: datetime) -> date:
    """The merchant's calendar day."""
    return moment.astimezone(ZoneInfo(merchant.timezone)).date()


def approvals_needed(policy: RefundPolicy, amount: int, currency: str, *, now: datetime, by_policy: bool) -> int:
    """How many people have to approve a refund of this amount (minor units). Counts an automatic one against
    the day's ceiling, locking its counter; must run inside `atomic`, with every other lock held already."""
    automatic = policy.abnormal_automatic_up_to if by_policy else policy.automatic_up_to
    if amount <= automatic and _fits_ceiling(policy, amount, currency, now):
        return 0
    return 1 if amount <= policy.one_approval_up_to else 2


def _fits_ceiling(policy: RefundPolicy, amount: int, currency: str, now: datetime) -> bool:
    if policy.daily_ceiling is None:
        return True
    key = {"app": policy.app, "merchant": policy.merchant, "currency": currency, "day": day_of(policy.merchant, now)}
    RefundCeiling.objects.bulk_create([RefundCeiling(**key)], ignore_conflicts=True)
    # One statement checks and counts: two refunds at once cannot both take what is left for one.
    left = policy.daily_ceiling - amount
    return bool(RefundCeiling.objects.filter(**key, used__lte=left).update(used=F("used") + amount))


def policy_values(policy: RefundPolicy) -> dict[str, Any]:
    """What people compare before they confirm a change."""
    return {name: getattr(policy, name) for name in POLICY_FIELDS}


@transaction.atomic
def policy_change_request(
    *, app: App, merchant: Merchant, currency: str, values: Mapping[str, Any], user: User, reason: str
) -> ChangeRequest:
    """Ask for another policy, or for a first one. `values` has the keys of POLICY_FIELDS.

    Raises TransitionRefused when nothing would change, another request is pending, or values contradict.
    """
    if values["one_approval_up_to"] < values["automatic_up_to"]:
        raise TransitionRefused(_("“One approval up to” must not be below “automatic up to”."))
    before = policy_values(_stored(app, merchant, currency))
    changed = {name: value for name, value in values.items() if before.get(name) != value}
    if not RefundPolicy.objects.filter(app=app, merchant=merchant, currency=currency).exists():
        changed = dict(values)
    payload = {"merchant_no": merchant.merchant_no, "currency": currency, "values": dict(values)}
    return change_request(
        kind=REFUND_POLICY.code, app=app, scope=_scope(merchant, currency), user=user, reason=reason, payload=payload,
        before={name: before[name] for name in changed}, after=changed,
    )  # fmt: skip


def _scope(merchant: Merchant, currency: str) -> str:
    return f"{merchant.merchant_no} {currency}".strip()


def _stored(app: App, merchant: Merchant, currency: str) -> RefundPolicy:
    found = RefundPolicy.objects.filter(app=app, merchant=merchant, currency=currency).first()
    return found or RefundPolicy(app=app, merchant=merchant, currency=currency)


def _version(app: App, scope: str) -> str:
    merchant_no, _space, currency = scope.partition(" ")
    values = policy_values(_stored(app, Merchant.objects.get(merchant_no=merchant_no), currency))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _apply(app: App, payload: Mapping[str, Any], actor: str) -> None:
    merchant = Merchant.objects.get(merchant_no=payload["merchant_no"])
    policy = _stored(app, merchant, payload["currency"])
    for name, value in payload["values"].items():
        setattr(policy, name, value)
    try:
        with transaction.atomic():
            policy.save()
    except IntegrityError as exc:
        raise TransitionRefused(_("The values contradict each other.")) from exc
    record_event(policy, "refundpolicy.changed", actor=actor, detail={"changed": sorted(payload["values"])})


REFUND_POLICY = change_kind(ChangeKind(code="refund_policy", apply=_apply, version_of=_version))
