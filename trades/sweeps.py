"""What is due, done in batches: queries, closes of expired trades, closes of superseded attempts.

Work grows with what is due, never with what is stored.
"""

from __future__ import annotations

import structlog

from paycenter.lanes import sweep
from trades.closing import attempt_finish, trade_finish
from trades.closing_idle import trades_close_idle
from trades.contracts.services import contract_work
from trades.locking import load_attempt
from trades.models import Attempt, Contract, Trade
from trades.querying import attempt_query, lose_sight_of_stale
from trades.states import LIVE_ATTEMPT_STATES, AttemptState

log = structlog.get_logger(__name__)


def query_due() -> int:
    """Query attempts whose time has come. Returns how many."""
    return sweep("query", Attempt, "next_query_at", "channel", _query_one)


def close_due() -> int:
    """Close trades whose expiry has come. Returns how many were looked at.

    First together those for which no channel has to be asked: so many expire that one at a time is too slow.
    """
    return _close_idle() + sweep("close", Trade, "next_close_at", "current_attempt__channel", _close_one)


def _close_idle() -> int:
    """A row that spoils it for the others is met again one at a time, where it spoils nothing."""
    try:
        return trades_close_idle()
    except Exception:
        log.exception("expired trades were not closed together")
        return 0


def close_superseded() -> int:
    """Close attempts that another one replaced or outran. Returns how many were looked at."""
    return sweep("superseded", Attempt, "next_close_at", "channel", _finish_one)


def query_contracts() -> int:
    """Ask about contracts that are being signed or ended. Returns how many were looked at."""
    return sweep("contracts", Contract, "next_query_at", "channel", contract_work)


def _close_one(trade_id: int) -> None:
    trade_finish(trade_id=trade_id, actor="system:expiry")


def _finish_one(attempt_id: int) -> None:
    attempt = load_attempt(attempt_id)
    if attempt.state not in LIVE_ATTEMPT_STATES:
        Attempt.objects.filter(pk=attempt_id).update(next_close_at=None)
        return
    attempt_finish(attempt_id=attempt_id, actor="system:superseded")


def _query_one(attempt_id: int) -> None:
    attempt = load_attempt(attempt_id)
    if attempt.state == AttemptState.CREATED:
        lose_sight_of_stale(attempt, "system:query")
    answer = attempt_query(attempt_id=attempt_id, actor="system:query")
    if answer is not None:
        # One that was over already is asked until the channel answers, then no more; a hint that came
        # since it was asked keeps its own time.
        over = Attempt.objects.filter(pk=attempt_id, next_query_at=attempt.next_query_at)
        over.exclude(state__in=LIVE_ATTEMPT_STATES).update(next_query_at=None)
