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

from merchants.changes import ChangeKind, change_kind, change_request, whose_role_has
from merchants.models import App, ChangeRequest, Merchant, User
from merchants.roles import ROLE_PERMISSIONS
from paycenter import compiled
from paycenter.errors import TransitionRefused
from paycenter.money import MAX_MINOR
from paycenter.staff.tenancy import tenant_of
from paycenter.transitions import record_event
from refunds.models import RefundCeiling, RefundPolicy

POLICY_FIELDS = (
    "automatic_up_to", "one_approval_up_to", "daily_ceiling", "approver_roles", "approval_hours", "window_days",
    "spacing_seconds", "late_payment", "duplicate_payment", "wrong_payment", "abnormal_automatic_up_to",
)  # fmt: skip
AMOUNT_FIELDS = ("automatic_up_to", "one_approval_up_to", "daily_ceiling", "abnormal_automatic_up_to")
CHANGE_PERMISSION = "refunds.change_refundpolicy"
APPROVE_PERMISSION = "refunds.approve_refund"
_POLICY = compiled.Select(
    lambda app, merchant, currency: RefundPolicy.objects.filter(
        app=app, merchant=merchant, currency__in=("", currency)
    ).order_by("-currency")[:1],
    app=int, merchant=int, currency=str,
)  # fmt: skip


def policy_for(app: App, merchant: Merchant, currency: str) -> RefundPolicy:
    """The currency's own policy, else that of every currency, else the strict default (nothing automatic)."""
    found = _POLICY.first(app=app.pk, merchant=merchant.pk, currency=currency)
    return found or RefundPolicy(app=app, merchant=merchant)


def day_of(merchant: Merchant, moment: datetime) -> date:
    """The merchant's calendar day."""
    return moment.astimezone(ZoneInfo(merchant.timezone)).date()


def approvals_needed(
    policy: RefundPolicy, amount: int, currency: str, *, now: datetime, by_policy: bool, people: bool
) -> int:  # fmt: skip
    """How many people have to approve a refund of this amount (minor units); where `people` ask for it, at least one.
    Counts an automatic one against the day's ceiling, locking its counter; must run inside `atomic`, with every
    other lock held already."""
    automatic = policy.abnormal_automatic_up_to if by_policy else policy.automatic_up_to
    if not people and amount <= automatic and _fits_ceiling(policy, amount, currency, now):
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

    Compared with what applies now, which may be the policy of every currency or the default. Raises
    TransitionRefused for whose role may not, when nothing would change, another request is pending, or values
    contradict each other.
    """
    if tenant_of(user) is not None or not user.has_perm(CHANGE_PERMISSION):
        raise TransitionRefused(_("Your role may not change refund policies."))
    _refuse_contradictions(values)
    before = policy_values(policy_for(app, merchant, currency))
    changed = {name: value for name, value in values.items() if before.get(name) != value}
    if not RefundPolicy.objects.filter(app=app, merchant=merchant, currency=currency).exists():
        changed = dict(values)
    payload = {
        "merchant_no": merchant.merchant_no, "currency": currency, "values": dict(values), "reason": reason,
    }  # fmt: skip
    return change_request(
        kind=REFUND_POLICY.code, target=app, scope=scope_of(merchant, currency), user=user, reason=reason,
        payload=payload, before={name: before[name] for name in changed}, after=changed,
    )  # fmt: skip


def approving_roles() -> list[str]:
    """Roles that can approve refunds at all; a policy chooses among them."""
    return [str(role) for role, permissions in ROLE_PERMISSIONS.items() if APPROVE_PERMISSION in permissions]


def _refuse_contradictions(values: Mapping[str, Any]) -> None:
    amounts = [values[name] for name in AMOUNT_FIELDS if values[name] is not None]
    if any(not 0 <= amount <= MAX_MINOR for amount in amounts):
        raise TransitionRefused(_("An amount is out of range."))
    if values["one_approval_up_to"] < values["automatic_up_to"]:
        raise TransitionRefused(_("“One approval up to” must not be below “automatic up to”."))
    roles = values["approver_roles"]
    if not roles or not set(roles) <= set(approving_roles()):
        raise TransitionRefused(_("Somebody has to be able to approve: choose at least one role that can."))


def scope_of(merchant: Merchant, currency: str) -> str:
    """Which policy of an app a change is about, as its request names it."""
    return f"{merchant.merchant_no} {currency}".strip()


def _stored(app: App, merchant: Merchant, currency: str) -> RefundPolicy:
    found = RefundPolicy.objects.filter(app=app, merchant=merchant, currency=currency).first()
    return found or RefundPolicy(app=app, merchant=merchant, currency=currency)


def _version(app: App, scope: str) -> str:
    merchant_no, _space, currency = scope.partition(" ")
    values = policy_values(policy_for(app, Merchant.objects.get(merchant_no=merchant_no), currency))
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _apply(app: App, payload: Mapping[str, Any], actor: str) -> None:
    merchant = Merchant.objects.get(merchant_no=payload["merchant_no"])
    policy = _stored(app, merchant, payload["currency"])
    for name, value in payload["values"].items():
        setattr(policy, name, value)
    policy._change_reason = payload["reason"][:100]  # type: ignore[attr-defined]  # kept by simple_history
    try:
        with transaction.atomic():
            policy.save()
    except IntegrityError as exc:
        raise TransitionRefused(_("The values contradict each other.")) from exc
    record_event(policy, "refundpolicy.changed", actor=actor, detail={"changed": sorted(payload["values"])})


REFUND_POLICY = change_kind(ChangeKind(
    code="refund_policy", apply=_apply, version_of=_version, may_ask=whose_role_has(CHANGE_PERMISSION)
))  # fmt: skip
