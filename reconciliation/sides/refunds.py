"""Refunds as they are compared with a bill. What was paid out by hand never went through the channel."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import QuerySet

from paycenter.money import Money
from reconciliation.actors import SYSTEM
from reconciliation.fees import Rate
from reconciliation.models import Case, Subject
from reconciliation.rules import Ours, Theirs
from reconciliation.sides.base import Keyed, Side, Word
from refunds.confirm import Booked
from refunds.external import SUM_PREFIX, external_refund_record
from refunds.models import Refund, RefundRoute
from refunds.sending import refund_query
from refunds.states import RefundState
from trades.models import Attempt


class Refunds(Side):
    """Money that went back the way it came, by the number it was sent under."""

    subject = Subject.REFUND
    row_kind = "refund"
    has_fees = False

    def window(self, account_id: int, start: Any, end: Any) -> tuple[str, list[Any]]:
        # A refund known from a cumulative sum only has no number that a bill could name.
        sql = (
            "SELECT id, channel_request_no AS key, amount, currency"
            " FROM refunds_refund WHERE account_id = %s AND state = 'succeeded' AND finished_at >= %s"
            " AND finished_at < %s AND route = 'original' AND substr(channel_request_no, 1, 4) <> %s"
        )
        return sql, [account_id, start, end, SUM_PREFIX]

    def of_rows(self, account_id: int, rows: Collection[Theirs], rates: Mapping[str, Rate]) -> Keyed:
        mine = Refund.objects.filter(account_id=account_id)
        sent = {row.refund_no or row.channel_refund_no for row in rows} - {""}
        by_sent = {ours.key: ours for ours in _read(mine.filter(channel_request_no__in=sent))}
        found = {row.key: by_sent.get(row.refund_no or row.channel_refund_no) for row in rows}
        own = {row.channel_refund_no: row.key for row in rows if found[row.key] is None and row.channel_refund_no}
        for ours in _read(mine.filter(channel_refund_no__in=own)) if own else ():
            found[own[ours.channel_trade_no]] = ours
        return {key: ours for key, ours in found.items() if ours is not None}

    def of_ids(self, ids: Collection[int], rates: Mapping[str, Rate]) -> dict[int, Ours]:
        return {ours.record_id: ours for ours in _read(Refund.objects.filter(pk__in=ids))}

    def own_number(self, ours: Ours) -> str:
        return ours.channel_trade_no or ours.key

    def ask(self, case: Case) -> Word:
        booked = refund_query(refund_id=case.record_id or 0, actor=SYSTEM)
        if booked is None:
            return Word({"state": "no_answer"})
        refund = Refund.objects.get(pk=case.record_id or 0)
        shown = {
            "state": str(refund.state), "channel_state": refund.channel_state, "amount": refund.amount,
            "currency": refund.currency, "channel_trade_no": refund.channel_refund_no,
        }  # fmt: skip
        return Word(shown, unknown=booked is Booked.UNSEEN)

    def explain(self, account_id: int, theirs: Theirs, actor: str) -> bool:
        """Money that the channel's console or the bank gave back: `refunds` keeps it in a sum of its own."""
        attempt = _paying_attempt(account_id, theirs)
        number = theirs.refund_no or theirs.channel_refund_no
        if attempt is None or not number:
            return False
        booked = external_refund_record(
            attempt=attempt, channel_request_no=number, amount=Money(theirs.amount, theirs.currency), actor=actor,
            channel_refund_no=theirs.channel_refund_no or None, finished_at=theirs.at,
        )  # fmt: skip
        return booked is not Booked.REFUSED


def _paying_attempt(account_id: int, theirs: Theirs) -> Attempt | None:
    mine = Attempt.objects.filter(account_id=account_id).select_related("trade__app", "trade__merchant", "account")
    if theirs.channel_trade_no:
        found = mine.filter(channel_trade_no=theirs.channel_trade_no).first()
        if found is not None:
            return found
    named = list(mine.filter(channel_order_no=theirs.order_no)[:2]) if theirs.order_no else []
    return named[0] if len(named) == 1 else None


_COLUMNS = (
    "pk", "refund_no", "channel_request_no", "channel_refund_no", "amount", "currency", "state", "finished_at",
    "requested_at", "app_id", "attempt_id", "attempt__attempt_no", "attempt__method", "trade__trade_no", "route",
)  # fmt: skip


def _read(refunds: QuerySet[Refund]) -> list[Ours]:
    return [_refund_side(found) for found in refunds.values(*_COLUMNS)]


def _refund_side(found: Mapping[str, Any]) -> Ours:
    moved = found["state"] == RefundState.SUCCEEDED and found["route"] == RefundRoute.ORIGINAL
    return Ours(
        key=found["channel_request_no"], amount=found["amount"], currency=found["currency"], succeeded=moved,
        record_id=found["pk"], method=found["attempt__method"], state=str(found["state"]),
        at=found["finished_at"] or found["requested_at"], channel_trade_no=found["channel_refund_no"] or "",
        numbers={
            "trade_no": found["trade__trade_no"], "attempt_no": found["attempt__attempt_no"],
            "refund_no": found["refund_no"], "app_id": found["app_id"], "attempt_id": found["attempt_id"],
        },
    )  # fmt: skip
