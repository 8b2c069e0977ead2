"""Closing: query, close at the channel, close here.

A trade is closed only on the channel's explicit word or, where it cannot close, on an explicit
"not paid" after the attempt's own expiry. A success that races the close wins, or is kept as late money.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import CloseOutcome, PaymentState, Provider
from channels.base.results import CloseResult
from merchants.api.errors import AlreadyPaid
from paycenter.errors import NotSent, UnknownOutcome
from trades.calling import call_channel, order_ref
from trades.confirm import trade_without_attempts
from trades.locking import load_attempt, lock_trade, lock_trade_and_current
from trades.models import Attempt, Trade
from trades.querying import attempt_end, attempt_query, lose_sight_of_stale
from trades.selectors import live_attempt_ids
from trades.states import LIVE_ATTEMPT_STATES, AttemptState, TradeState

# After this many seconds past its own expiry a payment the channel never saw cannot begin any more.
UNSEEN_GRACE = 1
ASKED_FOR, UNPAID = gettext_noop("closing was asked for"), gettext_noop("unpaid at its expiry")
_BACKOFF = (1, 2, 5, 10, 20, 30, 60, 120, 300)


def trade_close(*, trade: Trade, actor: str) -> Trade:
    """Close an unpaid trade at its channels and here; what a channel leaves open is finished later.

    From this call on no new attempt may start. Raises AlreadyPaid. A closed trade is answered as it is.
    """
    with transaction.atomic():
        locked = lock_trade(trade.pk)
        if locked.state == TradeState.PAID:
            raise AlreadyPaid
        if locked.is_open and locked.close_requested_at is None:
            locked.close_requested_at = timezone.now()
            locked.next_close_at = locked.close_requested_at + timedelta(seconds=_BACKOFF[2])
            locked.save(update_fields=["close_requested_at", "next_close_at"])
    trade_finish(trade_id=trade.pk, actor=actor)
    closed = Trade.objects.select_related("app", "merchant", "current_attempt", "settled_attempt").get(pk=trade.pk)
    if closed.state == TradeState.PAID:
        raise AlreadyPaid
    return closed


def trade_finish(*, trade_id: int, actor: str) -> bool:
    """Bring an expired or to-be-closed trade to an end as far as its channels allow.

    Returns whether nothing is left to do. Otherwise the next try is scheduled on the row.
    """
    for attempt_id in live_attempt_ids(trade_id):
        attempt_finish(attempt_id=attempt_id, actor=actor)
    with transaction.atomic():
        trade = lock_trade_and_current(trade_id)
        if not trade.is_open:
            return True
        if trade_without_attempts(trade, actor=actor, reason=_reason(trade)):
            return True
        if trade.close_requested_at is not None or trade.expire_at <= timezone.now():
            trade.close_tries += 1
            trade.next_close_at = timezone.now() + _backoff(trade.close_tries)
            trade.save(update_fields=["close_tries", "next_close_at"])
    return False


def attempt_finish(*, attempt_id: int, actor: str) -> bool:
    """Query an attempt, then close it at its channel and here. Returns whether it is over.

    Never raises for a channel's failure; an attempt that is not over is tried again later.
    """
    attempt = load_attempt(attempt_id)
    if attempt.state not in LIVE_ATTEMPT_STATES:
        return True
    if _is_being_sent(attempt):
        _close_later(attempt)
        return False
    if attempt.state == AttemptState.CREATED:
        lose_sight_of_stale(attempt, actor)
    # Before it is asked: an "unpaid" from before the expiry says nothing about what was left of it.
    over = _unpayable_by_time(attempt)
    answer = attempt_query(attempt_id=attempt_id, actor=actor)
    attempt = load_attempt(attempt_id)
    if attempt.state not in LIVE_ATTEMPT_STATES:
        return True
    if answer is None:
        _close_later(attempt)
        return False
    unpaid = answer.state in (PaymentState.UNPAID, PaymentState.NOT_FOUND)
    return _close_at_channel(attempt, actor, unpaid_after_expiry=over and unpaid)


def _close_at_channel(attempt: Attempt, actor: str, *, unpaid_after_expiry: bool) -> bool:
    try:
        result = call_channel(attempt, lambda provider: _close(provider, attempt))
    except (NotSent, UnknownOutcome):
        _close_later(attempt)
        return False
    if result.outcome == CloseOutcome.CLOSED:
        attempt_end(attempt_id=attempt.pk, failed=False, actor=actor, reason=gettext_noop("closed at the channel"))
        return True
    if result.outcome == CloseOutcome.REFUSED:
        # Often because it was paid a moment ago: the channel's answer to a query decides.
        attempt_query(attempt_id=attempt.pk, actor=actor)
    elif unpaid_after_expiry:
        reason = gettext_noop("unpaid after its own expiry")
        attempt_end(attempt_id=attempt.pk, failed=False, actor=actor, reason=reason)
        return True
    attempt = load_attempt(attempt.pk)
    if attempt.state not in LIVE_ATTEMPT_STATES:
        return True
    _close_later(attempt)
    return False


def _close(provider: Provider, attempt: Attempt) -> CloseResult:
    if not provider.can_close:
        return CloseResult(outcome=CloseOutcome.UNSUPPORTED)
    return provider.close(order_ref(attempt))


def _unpayable_by_time(attempt: Attempt) -> bool:
    return timezone.now() >= attempt.expire_at + timedelta(seconds=UNSEEN_GRACE)


def _is_being_sent(attempt: Attempt) -> bool:
    return attempt.in_flight_until is not None and attempt.in_flight_until > timezone.now()


def _close_later(attempt: Attempt) -> None:
    """Try again with growing delays, and at the latest when its own expiry has made it unpayable."""
    delay = _backoff(attempt.close_tries)
    at = timezone.now() + delay
    over = attempt.expire_at + timedelta(seconds=UNSEEN_GRACE)
    if timezone.now() < over < at:
        at = over
    Attempt.objects.filter(pk=attempt.pk, state__in=LIVE_ATTEMPT_STATES).update(
        next_close_at=at, close_tries=attempt.close_tries + 1
    )


def _backoff(tries: int) -> timedelta:
    return timedelta(seconds=_BACKOFF[min(tries, len(_BACKOFF) - 1)])


def _reason(trade: Trade) -> str:
    """Why a trade is closed, in words."""
    return ASKED_FOR if trade.close_requested_at is not None else UNPAID
