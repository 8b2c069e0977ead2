"""What somebody who decides on refunds wants to know beside each one, for a page of them in five queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.utils import timezone

from merchants.models import User
from refunds.approvals import waits_for
from refunds.hints import WEEK, Hint, Past, Usual, hints_of
from refunds.models import Approval, Decision, Refund, RefundPolicy
from trades.models import Trade

# How far the look back reads: newest first, so that a busy app costs no more.
RECENT_DAYS = 30
RECENT_ROWS = 3000
_ENOUGH = 10  # refunds before "usual" means anything


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
    trade_id: int
    at: datetime
    pk: int


@dataclass(frozen=True, slots=True)
class _Beside:
    """What went back lately: amounts and keys by app, merchant, currency; moments by app, merchant, phone tail."""

    amounts: Mapping[tuple[int, int, str], list[tuple[int, int]]]
    moments: Mapping[tuple[int, int, str], list[datetime]]


def facts_of(refunds: Sequence[Refund], user: User) -> dict[int, Facts]:
    """By refund id. The refunds come with trade, its settled attempt, and abnormal payment with its attempt."""
    if not refunds:
        return {}
    past, beside = _of_trades(refunds), _beside(refunds)
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
            hints=hints_of(refund, past[refund.trade_id], _usual(refund, beside)),
        )  # fmt: skip
    return found


def _of_trades(refunds: Sequence[Refund]) -> dict[int, list[Past]]:
    found: dict[int, list[Past]] = defaultdict(list)
    rows = Refund.objects.filter(trade_id__in={r.trade_id for r in refunds}).order_by("-id")[:RECENT_ROWS]
    columns = ("trade_id", "pk", "abnormal_id", "amount", "currency", "state", "approvals_needed", "requested_at")
    for trade_id, *values in rows.values_list(*columns):
        found[trade_id].append(Past(*values))
    return found


def _beside(refunds: Sequence[Refund]) -> _Beside:
    recent = _recent(refunds)
    tails = _tails(refunds, recent)
    amounts: dict[tuple[int, int, str], list[tuple[int, int]]] = defaultdict(list)
    moments: dict[tuple[int, int, str], list[datetime]] = defaultdict(list)
    for one in recent:
        amounts[one.app_id, one.merchant_id, one.currency].append((one.amount, one.pk))
        if one.trade_id in tails:
            moments[one.app_id, one.merchant_id, tails[one.trade_id]].append(one.at)
    return _Beside(amounts, moments)


def _recent(refunds: Sequence[Refund]) -> list[_Recent]:
    """The apps' refunds of the last days; found by the time inside the refund number, which is indexed."""
    since = (timezone.now() - timedelta(days=RECENT_DAYS)).astimezone(ZoneInfo("UTC"))
    rows = Refund.objects.filter(app_id__in={r.app_id for r in refunds}, refund_no__gte=f"R{since:%Y%m%d%H%M%S}")
    columns = ("app_id", "merchant_id", "currency", "amount", "trade_id", "requested_at", "pk")
    return [_Recent(*row) for row in rows.order_by("-refund_no").values_list(*columns)[:RECENT_ROWS]]


def _tails(refunds: Sequence[Refund], recent: Iterable[_Recent]) -> dict[int, str]:
    """Phone tails of recent refunds' trades by their keys: only tails of these refunds, and only of the weeks before
    them, so that no more trades are looked up than may count."""
    weeks: dict[tuple[int, int], tuple[datetime, datetime]] = {}
    for refund in refunds:
        if refund.trade.phone_tail:
            key, until = (refund.app_id, refund.merchant_id), refund.requested_at
            first, last = weeks.get(key, (until - WEEK, until))
            weeks[key] = min(first, until - WEEK), max(last, until)
    near = {one.trade_id for one in recent if _is_within(one.at, weeks.get((one.app_id, one.merchant_id)))}
    tails = {refund.trade.phone_tail for refund in refunds} - {""}
    return dict(Trade.objects.filter(pk__in=near, phone_tail__in=tails).values_list("pk", "phone_tail")) if near else {}


def _is_within(moment: datetime, span: tuple[datetime, datetime] | None) -> bool:
    return span is not None and span[0] <= moment <= span[1]


def _usual(refund: Refund, beside: _Beside) -> Usual:
    pair = (refund.app_id, refund.merchant_id)
    amounts = [amount for amount, pk in beside.amounts.get((*pair, refund.currency), ()) if pk != refund.pk]
    until = refund.requested_at
    moments = beside.moments.get((*pair, refund.trade.phone_tail), ())
    same_tail = sum(until - WEEK <= at <= until for at in moments)
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
