"""Payments as they are compared with a bill."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import QuerySet

from channels.base import PaymentState
from reconciliation.actors import SYSTEM
from reconciliation.fees import Rate
from reconciliation.models import Case, Subject
from reconciliation.rules import Ours, Theirs
from reconciliation.sides.base import Keyed, Side, Word
from trades.models import Attempt
from trades.querying import attempt_query
from trades.states import AttemptState


class Payments(Side):
    """Every success of an attempt: what settled its trade, and duplicates, late and wrong payments alike."""

    subject = Subject.PAYMENT
    row_kind = "payment"
    has_fees = True

    def window(self, account_id: int, start: Any, end: Any) -> tuple[str, list[Any]]:
        # The state is a literal, so that the partial index is used.
        sql = (
            "SELECT id, order_day || channel_order_no AS key, paid_amount AS amount, paid_currency AS currency, method"
            " FROM trades_attempt WHERE account_id = %s AND state = 'succeeded' AND paid_at >= %s AND paid_at < %s"
        )
        return sql, [account_id, start, end]

    def of_rows(self, account_id: int, rows: Collection[Theirs], rates: Mapping[str, Rate]) -> Keyed:
        mine = Attempt.objects.filter(account_id=account_id)
        by_order = _read(mine.filter(channel_order_no__in={row.order_no for row in rows if row.order_no}), rates)
        by_key = {ours.key: ours for ours in by_order}
        bare = {row.channel_trade_no for row in rows if not row.order_no and row.channel_trade_no}
        by_own = _read(mine.filter(channel_trade_no__in=bare), rates) if bare else []
        by_number = {ours.channel_trade_no: ours for ours in by_own}
        found = ((row.key, by_key.get(row.key) or by_number.get(row.channel_trade_no)) for row in rows)
        return {key: ours for key, ours in found if ours is not None}

    def of_ids(self, ids: Collection[int], rates: Mapping[str, Rate]) -> dict[int, Ours]:
        return {ours.record_id: ours for ours in _read(Attempt.objects.filter(pk__in=ids), rates)}

    def own_number(self, ours: Ours) -> str:
        return ours.channel_trade_no

    def ask(self, case: Case) -> Word:
        answer = attempt_query(attempt_id=case.record_id or 0, actor=SYSTEM)
        if answer is None:
            return Word({"state": "no_answer"})
        shown = {
            "state": answer.state.value, "channel_state": answer.channel_state,
            "amount": answer.amount.minor if answer.amount else None,
            "currency": answer.amount.currency if answer.amount else None,
            "channel_trade_no": answer.channel_trade_no,
        }  # fmt: skip
        return Word(shown, unknown=answer.state in _UNKNOWN_TO_THE_CHANNEL)


_UNKNOWN_TO_THE_CHANNEL = (PaymentState.NOT_FOUND, PaymentState.UNPAID, PaymentState.CLOSED, PaymentState.FAILED)


# What is read of an attempt, without a model instance each.
_COLUMNS = (
    "pk", "attempt_no", "method", "channel_order_no", "order_day", "amount", "currency", "state", "channel_trade_no",
    "paid_amount", "paid_currency", "paid_at", "created_at", "trade__trade_no", "trade__app_id", "trade__app_order_no",
)  # fmt: skip


def _read(attempts: QuerySet[Attempt], rates: Mapping[str, Rate]) -> list[Ours]:
    return [_attempt_side(found, rates) for found in attempts.values(*_COLUMNS)]


def _attempt_side(found: Mapping[str, Any], rates: Mapping[str, Rate]) -> Ours:
    succeeded = found["state"] == AttemptState.SUCCEEDED
    amount = found["paid_amount"] if succeeded and found["paid_amount"] is not None else found["amount"]
    rate = rates.get(found["method"])
    return Ours(
        key=found["order_day"] + found["channel_order_no"], amount=amount,
        currency=found["paid_currency"] if succeeded else found["currency"], succeeded=succeeded,
        fee=rate.fee(amount) if rate is not None and succeeded else None, record_id=found["pk"],
        method=found["method"], state=str(found["state"]), at=found["paid_at"] or found["created_at"],
        channel_trade_no=found["channel_trade_no"] or "",
        numbers={
            "trade_no": found["trade__trade_no"], "attempt_no": found["attempt_no"], "app_id": found["trade__app_id"],
            "app_order_no": found["trade__app_order_no"], "attempt_id": found["pk"],
        },
    )  # fmt: skip
