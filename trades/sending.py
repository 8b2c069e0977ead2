"""Sending an attempt: its intent is committed, the channel is called, the outcome is committed.

A process killed between any two lines leaves a row that the query sweep resolves under the same number.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import Form, Initiated, Instruction, NoAction, PayResult, QrCode, Redirect, Refused, SdkParams
from merchants.api.errors import AlreadyPaid, ChannelRefused, ChannelUnknown, OrderClosed
from paycenter import compiled
from paycenter.combining import Combiner, WriteAlone
from paycenter.errors import ApiError, NotSent, UnknownOutcome
from paycenter.http import time_limit
from paycenter.transitions import advance, record_event
from trades.calling import call_channel, pay_order
from trades.confirm import trade_without_attempts
from trades.form_page import form_html
from trades.locking import lock_attempt, lock_attempts
from trades.models import Attempt, Trade
from trades.querying import query_delay
from trades.selectors import live_attempt_ids
from trades.states import LIVE_ATTEMPT_STATES, AttemptState, TradeState
from trades.telling import trade_advance, trade_changed, trade_count_up

# How long after its last sign of life another process may take over an attempt that is being sent.
IN_FLIGHT_SECONDS = 15
_LAST_MOMENT = 0.3  # seconds below which nobody is called any more
OUT_OF_TIME = gettext_noop("there was no time left to send it")


def attempt_send(*, attempt: Attempt, deadline: float, actor: str) -> Attempt:
    """Call the channel for an attempt this process holds in flight, and commit what it answers.

    `deadline` (of `time.monotonic`) bounds the call; too late for one, the attempt is left to the same call again, or
    to the query sweep. Raises ChannelRefused, ChannelUnknown, or AlreadyPaid when the money was faster than the answer.
    """
    left = deadline - time.monotonic()
    if left < _LAST_MOMENT:
        return _lost_sight(attempt, NotSent(OUT_OF_TIME), actor)
    provider_call = pay_order(attempt)
    try:
        with time_limit(left):
            result: PayResult = call_channel(
                attempt, lambda provider: provider.pay(attempt.method, provider_call), judged=True
            )
    except (NotSent, UnknownOutcome) as exc:
        return _lost_sight(attempt, exc, actor)
    if isinstance(result, Refused):
        return _refused(attempt, result, actor)
    return _submitted(attempt, result, actor)


@dataclass(frozen=True, slots=True)
class _Answered:
    """What a channel answered to an attempt."""

    attempt: Attempt
    result: Initiated
    actor: str


def _submitted(attempt: Attempt, result: Initiated, actor: str) -> Attempt:
    return _answerable(*_answers.write(_Answered(attempt, result, actor)))


def _submit_alone(one: _Answered) -> tuple[Trade, Attempt]:
    with transaction.atomic():
        trade, locked = lock_attempt(one.attempt.pk, one.attempt.trade_id)
        _submit(trade, locked, one)
    return trade, locked


def _submit(trade: Trade, locked: Attempt, answered: _Answered) -> None:
    now, result, actor = timezone.now(), answered.result, answered.actor
    locked.pay = instruction_data(result.instruction)
    locked.memo = {**(locked.memo or {}), **result.memo} or None
    locked.submitted_at, locked.in_flight_until = now, None
    fields = ["pay", "memo", "submitted_at", "in_flight_until"]
    if locked.state not in (AttemptState.CREATED, AttemptState.UNKNOWN):
        # A notification or the close was faster; its word stands.
        compiled.update(locked, fields)
        return
    if result.channel_trade_no and not locked.channel_trade_no:
        locked.channel_trade_no = result.channel_trade_no
        fields.append("channel_trade_no")
    locked.next_query_at = now + query_delay(locked.channel, 0)
    advance(locked, "submit", actor=actor, fields=(*fields, "next_query_at"), event="attempt.submitted")
    if "channel_trade_no" in fields and trade.current_attempt_id == locked.pk:
        trade_count_up(trade)
        trade_changed(trade, "trade.paying", actor=actor)


def _submit_together(answers: Sequence[_Answered]) -> list[tuple[Trade, Attempt] | Exception]:
    """As each alone, in one transaction. Rows somebody else has locked are waited for, alone, in their own turn."""
    done: dict[int, tuple[Trade, Attempt]] = {}
    with transaction.atomic():
        locked = lock_attempts([one.attempt for one in answers])
        with compiled.gathering() as found:
            for one in answers:
                if one.attempt.pk in locked:
                    done[one.attempt.pk] = locked[one.attempt.pk]
                    _submit(*locked[one.attempt.pk], one)
        found.write()
    return [done.get(one.attempt.pk) or WriteAlone() for one in answers]


_answers: Combiner[_Answered, tuple[Trade, Attempt]] = Combiner(_submit_alone, _submit_together)


def _refused(attempt: Attempt, refusal: Refused, actor: str) -> Attempt:
    with transaction.atomic():
        trade, locked = lock_attempt(attempt.pk, attempt.trade_id)
        if locked.state == AttemptState.UNKNOWN:
            _refused_again(locked, refusal, actor)
        elif locked.state in LIVE_ATTEMPT_STATES:
            locked.error_code, locked.error_message = refusal.code[:64], refusal.message[:256]
            locked.in_flight_until = locked.next_query_at = locked.next_close_at = None
            advance(
                locked, "fail", actor=actor, reason=f"{refusal.code} {refusal.message}",
                fields=("error_code", "error_message", "in_flight_until", "next_query_at", "next_close_at"),
                event="attempt.failed",
            )  # fmt: skip
            if refusal.final_for_trade and trade.is_open and not live_attempt_ids(trade.pk):
                trade.next_close_at = None
                trade_advance(trade, "fail", actor=actor, reason=refusal.message, fields=("next_close_at",))
            else:
                trade_without_attempts(trade, actor=actor, reason=refusal.message)
    return _answerable(trade, locked)


def _refused_again(locked: Attempt, refusal: Refused, actor: str) -> None:
    """A re-send was refused, which says nothing of the first send: that one is closed at the channel, and
    watched until it is over."""
    now = timezone.now()
    locked.error_code, locked.error_message = refusal.code[:64], refusal.message[:256]
    locked.in_flight_until, locked.superseded_at = None, locked.superseded_at or now
    locked.next_query_at = locked.next_close_at = now
    locked.save(
        update_fields=[
            "error_code", "error_message", "in_flight_until", "superseded_at", "next_query_at", "next_close_at",
        ]
    )  # fmt: skip
    record_event(locked, "attempt.refused_again", actor=actor, reason=f"{refusal.code} {refusal.message}")


def _lost_sight(attempt: Attempt, cause: Exception, actor: str) -> Attempt:
    with transaction.atomic():
        trade, locked = lock_attempt(attempt.pk, attempt.trade_id)
        if locked.state in (AttemptState.CREATED, AttemptState.UNKNOWN):
            locked.in_flight_until = None
            locked.error_message = str(cause)[:256]
            locked.next_query_at = timezone.now() + query_delay(locked.channel, 0)
            advance(locked, "lose_sight", actor=actor, reason=str(cause), event="attempt.unknown",
                    fields=("in_flight_until", "error_message", "next_query_at"))  # fmt: skip
    return _answerable(trade, locked)


def _answerable(trade: Trade, attempt: Attempt) -> Attempt:
    """The attempt when it can be answered with; raises the error that tells its outcome otherwise."""
    attempt.trade = trade
    error = outcome_error(trade, attempt)
    if error is not None:
        raise error
    return attempt


def outcome_error(trade: Trade, attempt: Attempt) -> ApiError | None:
    """The error answer of an attempt that is not simply submitted; None when it is.

    Every caller who waited for the same attempt gets the same.
    """
    numbers = {
        "trade_no": trade.trade_no, "attempt_no": attempt.attempt_no, "app_order_no": trade.app_order_no,
    }  # fmt: skip
    if trade.state == TradeState.PAID:
        return AlreadyPaid()
    refused_again = attempt.state == AttemptState.UNKNOWN and attempt.error_code
    if attempt.state == AttemptState.FAILED or refused_again:
        words = {"channel_code": attempt.error_code, "channel_msg": attempt.error_message}
        return ChannelRefused(data={**words, **numbers})
    if attempt.state == AttemptState.SUBMITTED and attempt.pay is not None:
        return None
    if attempt.state == AttemptState.CLOSED and not trade.is_open:
        return OrderClosed()
    return ChannelUnknown(data=numbers)


def attempt_claim(attempt: Attempt) -> bool:
    """Take a locked attempt in flight for this process; False when another one has it."""
    now = timezone.now()
    if attempt.in_flight_until is not None and attempt.in_flight_until > now:
        return False
    attempt.in_flight_until = now + timedelta(seconds=IN_FLIGHT_SECONDS)
    attempt.next_query_at = attempt.in_flight_until + timedelta(seconds=1)
    attempt.save(update_fields=["in_flight_until", "next_query_at"])
    return True


def instruction_data(instruction: Instruction) -> dict[str, Any]:
    """The contract's `pay` object."""
    match instruction:
        case Redirect(url=url):
            return {"type": "redirect", "method": "GET", "url": url}
        case Form(action=action, fields=fields):
            html = form_html(action, dict(fields))
            return {"type": "form", "method": "POST", "action": action, "fields": dict(fields), "html": html}
        case QrCode(content=content):
            return {"type": "qrcode", "content": content}
        case SdkParams(params=params):
            return {"type": "sdk", "params": dict(params)}
        case NoAction():
            return {"type": "none"}
    raise TypeError(f"unknown instruction {instruction!r}")


def gopay_deadline() -> float:
    """When the present gopay must have answered, on the clock of `time.monotonic`."""
    return time.monotonic() + float(settings.GOPAY_TIME_LIMIT)
