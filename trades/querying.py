"""Asking the channel what became of an attempt, and doing what the answer says."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import PaymentState, QueryResult
from paycenter import compiled
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.schedules import delay_for
from paycenter.transitions import advance
from trades import refund_port
from trades.calling import call_channel, order_ref
from trades.confirm import (
    MoneyArrived,
    payment_confirm,
    trade_without_attempts,
    unverified_void,
)
from trades.locking import load_attempt, lock_attempt
from trades.models import Attempt
from trades.states import LIVE_ATTEMPT_STATES, AttemptState, TradeState
from trades.telling import trade_advance


def attempt_query(*, attempt_id: int, actor: str) -> QueryResult | None:
    """Ask the channel and apply its answer; None when it gave no usable one (asked again later).

    Never raises for a channel's failure. Must not be called inside a transaction.
    """
    attempt, asked_at = load_attempt(attempt_id), timezone.now()
    try:
        answer = call_channel(attempt, lambda provider: provider.query(order_ref(attempt)))
    except (NotSent, UnknownOutcome):
        _query_later(attempt)
        return None
    answer_apply(attempt=attempt, answer=answer, actor=actor, asked_at=asked_at)
    return answer


def answer_apply(*, attempt: Attempt, answer: QueryResult, actor: str, asked_at: datetime) -> None:
    """Do what a channel's verified answer says, through the normal path. Idempotent.

    `attempt` was read before the channel was asked, at `asked_at`: what came since is newer than the answer.
    """
    if answer.state == PaymentState.PAID:
        payment_confirm(
            attempt_id=attempt.pk, trade_id=attempt.trade_id, money=MoneyArrived.of(answer), actor=actor
        )
        if answer.refunded is not None:
            refund_port.side().sum_heard(attempt, answer.refunded, actor)
        return
    unverified_void(attempt_id=attempt.pk, actor=actor, asked_at=asked_at)
    if answer.state in (PaymentState.CLOSED, PaymentState.FAILED):
        attempt_end(attempt_id=attempt.pk, failed=answer.state == PaymentState.FAILED, actor=actor,
                    channel_state=answer.channel_state)  # fmt: skip
        return
    _still_unpaid(attempt, answer, actor)


def attempt_end(*, attempt_id: int, failed: bool, actor: str, channel_state: str = "", reason: str = "") -> None:
    """The channel says this attempt cannot be paid any more. Never touches one that succeeded."""
    with transaction.atomic():
        trade, attempt = lock_attempt(attempt_id)
        if attempt.state not in LIVE_ATTEMPT_STATES:
            return
        attempt.channel_state = channel_state[:64]
        attempt.next_query_at = attempt.next_close_at = attempt.in_flight_until = None
        advance(
            attempt, "fail" if failed else "close", actor=actor, reason=reason,
            fields=("channel_state", "next_query_at", "next_close_at", "in_flight_until"),
            event="attempt.failed" if failed else "attempt.closed",
        )  # fmt: skip
        trade_without_attempts(trade, actor=actor)


def _still_unpaid(attempt: Attempt, answer: QueryResult, actor: str) -> None:
    with transaction.atomic():
        trade, locked = lock_attempt(attempt.pk)
        if locked.state not in LIVE_ATTEMPT_STATES:
            return
        locked.channel_state = answer.channel_state[:64]
        _schedule_query(locked, attempt)
        compiled.update(locked, ("channel_state", "next_query_at", "query_tries"))
        explicit = answer.state == PaymentState.UNPAID
        if explicit and trade.state == TradeState.CONFIRMING and trade.current_attempt_id == locked.pk:
            trade_advance(trade, "resume_paying", actor=actor, reason=gettext_noop("the channel says: not paid"))


def _query_later(attempt: Attempt) -> None:
    with transaction.atomic():
        _trade, locked = lock_attempt(attempt.pk)
        if locked.state in LIVE_ATTEMPT_STATES or locked.next_query_at is not None:
            _schedule_query(locked, attempt)
            compiled.update(locked, ("next_query_at", "query_tries"))


def _schedule_query(locked: Attempt, asked: Attempt) -> None:
    """The next query by the schedule; a hint that came since the channel was asked keeps its own."""
    locked.query_tries += 1
    if locked.next_query_at is None or locked.next_query_at == asked.next_query_at:
        locked.next_query_at = timezone.now() + query_delay(locked.channel, locked.query_tries)


def query_delay(channel: str, tries: int) -> timedelta:
    """How long to wait before the next query, after `tries` of them (0: after sending)."""
    seconds = delay_for(f"query:{channel}", tries, fallback="query")
    return timedelta(seconds=seconds if seconds is not None else 1800)


def lose_sight_of_stale(attempt: Attempt, actor: str) -> None:
    """An attempt whose process died while sending: from now on its outcome is unknown."""
    with transaction.atomic():
        _trade, locked = lock_attempt(attempt.pk)
        abandoned = locked.in_flight_until is None or locked.in_flight_until <= timezone.now()
        if locked.state == AttemptState.CREATED and abandoned:
            locked.in_flight_until = None
            advance(locked, "lose_sight", actor=actor, fields=("in_flight_until",), event="attempt.unknown",
                    reason=gettext_noop("the process that sent it did not come back"))  # fmt: skip
