"""What somebody who decides on refunds wants to know beside each one, for a page of them in four queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.utils import timezone

from merchants.models import User
from refunds.approvals import waits_for
from refunds.hints import Hint, Past, Usual, hints_of
from refunds.models import Approval, Decision, Refund, RefundPolicy, RefundRoute
from refunds.states import RefundState

# How far the look back reads: newest first, so that a busy app costs no more.
RECENT_DAYS = 30
RECENT_ROWS = 3000
_ENOUGH = 10  # refunds before "usual" means anything

WAITING = (
    Q(state__in=(RefundState.PENDING_APPROVAL, RefundState.ON_HOLD, RefundState.FAILED))
    | Q(needs_attention=True)
    | Q(route__in=(RefundRoute.MANUAL, RefundRoute.BALANCE), state__in=(RefundState.APPROVED, RefundState.PROCESSING))
)


@dataclass(frozen=True, slots=True)
class Facts:
    """`given` are the valid approvals; `mine` tells that the refund waits for the reader; `earlier_count` and
    `earlier_sum` (minor units) are the trade's refunds before it that were not turned down."""

    given: int
    mine: bool
    earlier_count: int
    earlier_sum: int
    hints: tuple[Hint, ...]


class _Recent(NamedTuple):
    app_id: int
    merchant_id: int
    currency: str
    amount: int
    tail: str
    at: datetime
    pk: int


def facts_of(refunds: Sequence[Refund], user: User) -> dict[int, Facts]:
    """By refund id. The refunds come with trade, its settled attempt, and abnormal payment with its attempt."""
    if not refunds:
        return {}
    past, recent = _of_trades(refunds), _recent(refunds)
    approvers, policies = _approvers(refunds), _policies(refunds)
    found = {}
    for refund in refunds:
        earlier = [p for p in past[refund.trade_id] if p.pk < refund.pk and p.counts]
        policy = policies.get((refund.app_id, refund.merchant_id, refund.currency)) or policies.get(
            (refund.app_id, refund.merchant_id, "")
        )
        signed = approvers[refund.pk]
        found[refund.pk] = Facts(
            given=len(signed), mine=waits_for(refund, user, policy or RefundPolicy(), signed),
            earlier_count=len(earlier), earlier_sum=sum(p.amount for p in earlier if p.currency == refund.currency),
            hints=hints_of(refund, past[refund.trade_id], _usual(refund, recent)),
        )  # fmt: skip
    return found


def _of_trades(refunds: Sequence[Refund]) -> dict[int, list[Past]]:
    found: dict[int, list[Past]] = defaultdict(list)
    rows = Refund.objects.filter(trade_id__in={r.trade_id for r in refunds}).order_by("-id")[:RECENT_ROWS]
    columns = ("trade_id", "pk", "abnormal_id", "amount", "currency", "state", "approvals_needed", "requested_at")
    for trade_id, *values in rows.values_list(*columns):
        found[trade_id].append(Past(*values))
    return found


def _recent(refunds: Sequence[Refund]) -> list[_Recent]:
    """The apps' refunds of the last days; found by the time inside the refund number, which is indexed."""
    since = (timezone.now() - timedelta(days=RECENT_DAYS)).astimezone(ZoneInfo("UTC"))
    rows = Refund.objects.filter(app_id__in={r.app_id for r in refunds}, refund_no__gte=f"R{since:%Y%m%d%H%M%S}")
    columns = ("app_id", "merchant_id", "currency", "amount", "trade__phone_tail", "requested_at", "pk")
    return [_Recent(*row) for row in rows.order_by("-refund_no").values_list(*columns)[:RECENT_ROWS]]


def _usual(refund: Refund, recent: Iterable[_Recent]) -> Usual:
    others = [r for r in recent if r.app_id == refund.app_id and r.merchant_id == refund.merchant_id]
    amounts = [r.amount for r in others if r.currency == refund.currency and r.pk != refund.pk]
    week = refund.requested_at - timedelta(days=7)
    tail = refund.trade.phone_tail
    same_tail = sum(bool(tail) and r.tail == tail and week <= r.at <= refund.requested_at for r in others)
    return Usual(median=int(median(amounts)) if len(amounts) >= _ENOUGH else 0, same_tail_in_week=same_tail)


def _approvers(refunds: Sequence[Refund]) -> dict[int, set[int]]:
    """Who has approved each refund's present amount in its present round."""
    now = {r.pk: (r.round, r.amount) for r in refunds}
    found: dict[int, set[int]] = defaultdict(set)
    rows = Approval.objects.filter(refund_id__in=now, decision=Decision.APPROVE)
    for refund_id, approver_id, round_, amount in rows.values_list("refund_id", "approver_id", "round", "amount"):
        if now[refund_id] == (round_, amount):
            found[refund_id].add(approver_id)
    return found


def _policies(refunds: Sequence[Refund]) -> dict[tuple[int, int, str], Any]:
    rows = RefundPolicy.objects.filter(
        app_id__in={r.app_id for r in refunds}, merchant_id__in={r.merchant_id for r in refunds}
    )
    return {(p.app_id, p.merchant_id, p.currency): p for p in rows}
