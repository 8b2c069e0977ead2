"""What stands beside an attempt whose money arrived, asked under the locks of attempt and trade."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from notifications.selectors import was_told_sql
from paycenter import compiled
from trades import refund_port
from trades.models import AbnormalPayment, Attempt, Trade
from trades.states import LIVE_ATTEMPT_STATES, AbnormalState


class Beside(NamedTuple):
    """What stands beside an attempt whose trade is locked; nearly always nothing."""

    number_is_taken: bool  # by another attempt of the account
    was_told_otherwise: bool  # a notification claimed another amount before
    others_live: bool  # other attempts of the trade may still turn into money
    refunds_told_of: bool  # the channel spoke of a refund before it spoke of the payment
    app_was_told: bool  # there is a message about the trade


def look_beside(attempt: Attempt, trade: Trade, channel_trade_no: str) -> Beside:
    """In one statement, as every payment asks it."""
    found = compiled.row(_one_sql(), dict(zip(_GIVEN, _given(attempt, trade, channel_trade_no), strict=True)))
    return Beside(*map(bool, found))


def look_beside_each(arrived: Sequence[tuple[Trade, Attempt, str]]) -> dict[int, Beside]:
    """The same of many, by the attempt's key (PostgreSQL)."""
    given = [
        dict(zip(_GIVEN, _given(attempt, trade, channel_trade_no), strict=True))
        for trade, attempt, channel_trade_no in arrived
    ]
    found = compiled.rows(_each_sql(), [json.dumps(given)]) if given else []
    return {attempt: Beside(*beside) for attempt, *beside in found}


_GIVEN = {"attempt": "bigint", "trade": "bigint", "account": "bigint", "number": "text", "trade_no": "text"}


def _given(attempt: Attempt, trade: Trade, channel_trade_no: str) -> tuple[Any, ...]:
    return attempt.pk, trade.pk, attempt.account_id, channel_trade_no, trade.trade_no


@lru_cache(maxsize=1)
def _one_sql() -> str:
    return f"SELECT {_columns('%({})s')}"


@lru_cache(maxsize=1)
def _each_sql() -> str:
    columns = ", ".join(f"{name} {kind}" for name, kind in _GIVEN.items())
    return (
        f"SELECT given.attempt, {_columns('given.{}')}"  # noqa: S608
        f" FROM json_to_recordset(%s::json) AS given({columns})"
    )


def _columns(place: str) -> str:
    """`place` says where the given values stand."""
    attempt, trade, account, number, trade_no = (place.format(name) for name in _GIVEN)
    attempts, abnormal = compiled.table_of(Attempt), compiled.table_of(AbnormalPayment)
    live = ", ".join(f"'{state}'" for state in LIVE_ATTEMPT_STATES)
    # Counted by the one index that finds them. An EXISTS, or a state beside the trade, is worth reading much more to
    # PostgreSQL where it does not know how few there are.
    return (
        f"(SELECT count(*) FROM {attempts} o WHERE o.account_id = {account} AND o.channel_trade_no = {number}"  # noqa: S608
        f" AND o.id <> {attempt}) > 0,"
        f" (SELECT count(*) FROM {abnormal} WHERE attempt_id = {attempt} AND state = '{AbnormalState.UNVERIFIED}') > 0,"
        f" (SELECT count(*) FILTER (WHERE o.state IN ({live}) AND o.id <> {attempt}) FROM {attempts} o"
        f" WHERE o.trade_id = {trade}) > 0,"
        f" {refund_port.side().early_sql(attempt)}, {was_told_sql(trade_no)}"
    )
