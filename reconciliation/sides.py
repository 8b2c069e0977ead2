"""Our side of a bill, in a form that payments and refunds share: what moved in a time, and look-ups by number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from reconciliation.fees import Rate
from reconciliation.models import Subject
from reconciliation.rules import Ours, Theirs
from trades.models import Attempt
from trades.states import AttemptState

Keyed = dict[str, Ours]


class Side(ABC):
    """One kind of money movement. `window` is SQL, as it is read by the million; the others look up few."""

    subject: ClassVar[Subject]
    row_kind: ClassVar[str]  # of the bill's rows

    @abstractmethod
    def window(self, account_id: int, start: datetime, end: datetime) -> tuple[str, list[Any]]:
        """SELECT id, key, amount, currency, method of everything that succeeded in [start, end)."""

    @abstractmethod
    def of_rows(self, account_id: int, rows: Collection[Theirs], rates: Mapping[str, Rate]) -> Keyed:
        """Ours by the key of the rows that name it, whatever its state and whenever it was."""

    @abstractmethod
    def of_ids(self, ids: Collection[int], rates: Mapping[str, Rate]) -> dict[int, Ours]:
        """Ours by record id."""


class Payments(Side):
    """Every success of an attempt: what settled its trade, and duplicates, late and wrong payments alike."""

    subject = Subject.PAYMENT
    row_kind = "payment"

    def window(self, account_id: int, start: datetime, end: datetime) -> tuple[str, list[Any]]:
        # The state is a literal, so that the partial index is used.
        sql = (
            "SELECT id, order_day || channel_order_no AS key, paid_amount AS amount, paid_currency AS currency, method"
            " FROM trades_attempt WHERE account_id = %s AND state = 'succeeded' AND paid_at >= %s AND paid_at < %s"
        )
        return sql, [account_id, start, end]

    def of_rows(self, account_id: int, rows: Collection[Theirs], rates: Mapping[str, Rate]) -> Keyed:
        mine = Attempt.objects.filter(account_id=account_id)
        by_order = _loaded(mine.filter(channel_order_no__in={row.order_no for row in rows if row.order_no}))
        by_key = {attempt.order_day + attempt.channel_order_no: attempt for attempt in by_order}
        bare = {row.channel_trade_no for row in rows if not row.order_no and row.channel_trade_no}
        by_number = {a.channel_trade_no: a for a in _loaded(mine.filter(channel_trade_no__in=bare))} if bare else {}
        found = ((row.key, by_key.get(row.key) or by_number.get(row.channel_trade_no)) for row in rows)
        return {key: _attempt_side(attempt, rates) for key, attempt in found if attempt is not None}

    def of_ids(self, ids: Collection[int], rates: Mapping[str, Rate]) -> dict[int, Ours]:
        return {a.pk: _attempt_side(a, rates) for a in _loaded(Attempt.objects.filter(pk__in=ids))}


def _loaded(attempts: Any) -> Iterable[Attempt]:
    return attempts.select_related("trade").only(  # type: ignore[no-any-return]
        "attempt_no", "account_id", "method", "channel_order_no", "order_day", "amount", "currency", "state",
        "channel_trade_no", "paid_amount", "paid_currency", "paid_at", "created_at", "trade__trade_no",
        "trade__app_id", "trade__app_order_no", "trade__settled_attempt_id",
    )  # fmt: skip


def _attempt_side(attempt: Attempt, rates: Mapping[str, Rate]) -> Ours:
    succeeded = attempt.state == AttemptState.SUCCEEDED
    amount = attempt.paid_amount if succeeded and attempt.paid_amount is not None else attempt.amount
    rate = rates.get(attempt.method)
    return Ours(
        key=attempt.order_day + attempt.channel_order_no, amount=amount,
        currency=attempt.paid_currency if succeeded else attempt.currency, succeeded=succeeded,
        fee=rate.fee(amount) if rate is not None and succeeded else None, record_id=attempt.pk,
        method=attempt.method, state=str(attempt.state), at=attempt.paid_at or attempt.created_at,
        channel_trade_no=attempt.channel_trade_no or "",
        numbers={
            "trade_no": attempt.trade.trade_no, "attempt_no": attempt.attempt_no, "app_id": attempt.trade.app_id,
            "app_order_no": attempt.trade.app_order_no, "attempt_id": attempt.pk,
        },
    )  # fmt: skip


def sides() -> tuple[Side, ...]:
    """What is compared, in this order."""
    return (Payments(),)
