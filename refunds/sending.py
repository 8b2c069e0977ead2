"""Sending refunds: the channel is asked first, the intent is committed, the channel is called, the outcome committed.

A process killed between any two lines leaves a row that a sweep resolves: what may have been sent is asked
for under its number, and sent again under the same one only when the channel says it has no such refund.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import PaymentState, QueryResult, RefundResult
from channels.base.discovery import provider_for
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import TimeLimits, one_time_limit, time_limit
from paycenter.models import Event
from paycenter.money import Money
from paycenter.schedules import delay_for
from paycenter.transitions import record_event
from refunds import sums
from refunds.calling import ask_refund, call_refund
from refunds.confirm import Booked, query_delay, query_later, refund_confirm
from refunds.holding import GIVEN_BACK_ALREADY, no_longer_fits, refund_hold_by_system
from refunds.leaving import going_back
from refunds.models import Refund, RefundRoute, RefundSource
from refunds.policies import policy_for
from refunds.selectors import load_refund
from refunds.states import RefundState
from refunds.telling import refund_advance
from trades.models import Trade
from trades.querying import attempt_query

CALL_SECONDS = 15.0
# After this long without an outcome another process may ask about a refund that one was sending.
IN_FLIGHT_SECONDS = 2 * CALL_SECONDS
_ELSEWHERE_TRIES = 10
MAY_BE_LEAVING = gettext_noop("the channel may be giving it back of its own accord: it is being asked")


class _Wait(Exception):
    """Not now; the row says when."""


@contextmanager
def _call_limit() -> Iterator[None]:
    """Whatever a channel takes for one piece of work, looking before and after included, ends within CALL_SECONDS:
    nobody is still sending when IN_FLIGHT_SECONDS are over."""
    with time_limit(CALL_SECONDS), one_time_limit(TimeLimits(CALL_SECONDS, CALL_SECONDS)):
        yield


def refund_send(*, refund_id: int, actor: str = "system:refund") -> None:
    """Send an approved refund whose time has come: ask about the payment, then give the money back.

    Never raises for a channel's failure. Must not be called inside a transaction.
    """
    refund = load_refund(refund_id)
    if refund.state != RefundState.APPROVED or refund.route != RefundRoute.ORIGINAL:
        sendable = {"state": RefundState.APPROVED, "route": RefundRoute.ORIGINAL}
        Refund.objects.filter(pk=refund_id).exclude(**sendable).update(next_send_at=None)
        return
    try:
        _check_with_channel(refund, actor)
        started = _start(refund_id, actor)
    except _Wait:
        return
    _call(started, actor)


def _check_with_channel(refund: Refund, actor: str) -> None:
    """Ask for the payment's state and refundable amount; a difference puts the refund on hold and is shown."""
    with _call_limit():
        answer = attempt_query(attempt_id=refund.attempt_id, actor=actor)
    if answer is None:
        _try_later(refund)
    trouble = _difference(refund, answer)
    with transaction.atomic():
        _source, locked = sums.lock_refund(refund.pk)
        if locked.state != RefundState.APPROVED or locked.route != RefundRoute.ORIGINAL:
            raise _Wait
        if trouble:
            refund_hold_by_system(locked, trouble, actor)
        else:
            locked.checked_at = timezone.now()
            locked.save(update_fields=["checked_at"])
    if trouble:
        raise _Wait


def _try_later(refund: Refund) -> NoReturn:
    """The channel gave no usable answer about the payment: nothing was sent, and the row waits its turn."""
    tries = refund.send_tries + 1
    seconds = delay_for(f"refund_send:{refund.channel}", tries, fallback="refund_send") or 3600
    # What staff had paid out by hand meanwhile, or stopped, is not made due again.
    due = Refund.objects.filter(pk=refund.pk, state=RefundState.APPROVED, next_send_at__isnull=False)
    due.update(
        send_tries=tries, next_send_at=timezone.now() + timedelta(seconds=seconds)
    )
    raise _Wait


def _difference(refund: Refund, answer: QueryResult) -> str:
    """In which way the channel's present word about the payment does not allow this refund; "" if it does."""
    if answer.state != PaymentState.PAID:
        return f"the channel says {answer.channel_state or answer.state}, the center says paid"
    if answer.refunded is None or answer.amount is None:
        return ""
    left = answer.amount.minor - answer.refunded.minor
    if left < refund.amount:
        return f"the channel can still refund {Money(left, refund.currency)}, the refund is {refund.money}"
    return ""


def _start(refund_id: int, actor: str) -> Refund:
    """Commit the intent. From here on the channel may have it."""
    with transaction.atomic():
        source, refund = sums.lock_refund(refund_id)
        if refund.state != RefundState.APPROVED or refund.next_send_at is None:
            raise _Wait
        because = _why_not_now(source)
        if because:
            refund_hold_by_system(refund, because, actor)
        hold = bool(because) or _waits_for_spacing(refund, source)
        if not hold:
            now = timezone.now()
            if refund.sent_at is None:
                refund.sent_at, refund.whole = now, _is_whole(source, refund)
            refund.last_sent_at = now
            refund.sends += 1
            refund.next_send_at = refund.next_expiry_at = None
            refund.query_tries = 0
            refund.next_query_at = now + timedelta(seconds=IN_FLIGHT_SECONDS)
            refund_advance(refund, "start", actor=actor, fields=(
                "sent_at", "last_sent_at", "whole", "sends", "next_send_at", "next_expiry_at", "next_query_at",
                "query_tries"))  # fmt: skip
    if hold:
        raise _Wait
    return load_refund(refund_id)


def _why_not_now(source: sums.Source) -> str:
    """Why a locked source cannot give what is reserved on it; what the channel may be giving back of its own accord
    counts as gone until the channel was asked about it."""
    if no_longer_fits(source):
        return GIVEN_BACK_ALREADY
    return MAY_BE_LEAVING if no_longer_fits(source, going_back(source)) else ""


def _is_whole(source: sums.Source, refund: Refund) -> bool:
    untouched = not (source.refunded_amount or source.external_refunded)
    return untouched and refund.amount == sums.paid_of(source) == source.refunding_amount


def _waits_for_spacing(refund: Refund, source: sums.Source) -> bool:
    """Whether the policy wants more time since the last refund of the same payment was sent."""
    trade = source if isinstance(source, Trade) else source.trade
    spacing = policy_for(refund.app, trade.merchant, refund.currency).spacing_seconds
    if spacing == 0:
        return False
    others = Refund.objects.filter(attempt_id=refund.attempt_id, sent_at__isnull=False).exclude(pk=refund.pk)
    last: datetime | None = others.order_by("-sent_at").values_list("sent_at", flat=True).first()
    if last is None or last + timedelta(seconds=spacing) <= timezone.now():
        return False
    refund.next_send_at = last + timedelta(seconds=spacing)
    refund.save(update_fields=["next_send_at"])
    return True


def _call(refund: Refund, actor: str) -> None:
    try:
        with _call_limit():
            word = call_refund(refund)
    except (NotSent, UnknownOutcome) as exc:
        _lost_sight(refund.pk, exc, actor)
        return
    _book(refund, word, actor)


def _book(refund: Refund, word: RefundResult, actor: str) -> None:
    booked = refund_confirm(refund_id=refund.pk, word=word, actor=actor)
    if booked is Booked.REFUSED or booked is Booked.UNSEEN:
        _ask_again(refund.pk)


def _lost_sight(refund_id: int, cause: Exception, actor: str) -> None:
    """Whether the channel has it is not known: it is asked, under the same number, until it says so in words."""
    with transaction.atomic():
        _source, refund = sums.lock_refund(refund_id)
        if not refund.is_at_channel:
            return
        refund.error_message = str(cause)[:256]
        refund.next_query_at = timezone.now() + query_delay(refund.channel, refund.query_tries)
        refund.save(update_fields=["error_message", "next_query_at"])
        record_event(refund, "refund.unknown", actor=actor, reason=str(cause))


def _ask_again(refund_id: int) -> None:
    with transaction.atomic():
        _source, refund = sums.lock_refund(refund_id)
        if refund.state == RefundState.SUCCEEDED:
            refund.next_query_at = None
        elif refund.is_at_channel or refund.next_query_at is not None:
            query_later(refund)
        refund.save(update_fields=["next_query_at", "query_tries"])


@dataclass(frozen=True, slots=True)
class Asked:
    """What the channel answered when it was asked, and what was done with it; None for no usable answer."""

    word: RefundResult | None = None
    booked: Booked | None = None


def refund_query(*, refund_id: int, actor: str = "system:query") -> Booked | None:
    """Ask the channel about a refund that is under way and do what it says; None when it gave no usable answer.

    One the channel never received is sent again, under the same number. Never raises for a channel's failure.
    """
    return refund_ask(refund_id=refund_id, actor=actor).booked


def refund_ask(*, refund_id: int, actor: str) -> Asked:
    """As `refund_query`, with the channel's own words for who wants to see them."""
    refund = load_refund(refund_id)
    if refund.sent_at is None:
        Refund.objects.filter(pk=refund_id).update(next_query_at=None)
        return Asked()
    try:
        with _call_limit():
            word = ask_refund(refund)
    except (NotSent, UnknownOutcome):
        _ask_again(refund_id)
        return Asked()
    booked = refund_confirm(refund_id=refund_id, word=word, actor=actor)
    if booked is Booked.UNSEEN:
        _unseen(refund, actor)
    elif booked is Booked.REFUSED:
        _ask_again(refund_id)
    elif booked is Booked.REPEATED:
        under_way = {"state": RefundState.PROCESSING, "route": RefundRoute.ORIGINAL}
        Refund.objects.filter(pk=refund_id).exclude(**under_way).update(next_query_at=None)
    return Asked(word, booked)


def _unseen(refund: Refund, actor: str) -> None:
    """The channel has no such refund. Early on that says nothing; later the same number is sent again."""
    with transaction.atomic():
        _source, locked = sums.lock_refund(refund.pk)
        # Another process asked, or sent it, since this one read the row: that one goes on.
        overtaken = (locked.next_query_at, locked.sends) != (refund.next_query_at, refund.sends)
        if not locked.is_at_channel or overtaken:
            return
        if locked.source == RefundSource.EXTERNAL:
            _unseen_elsewhere(locked, actor)
            return
        now = timezone.now()
        locked.query_tries += 1
        settled = _settled_at(locked)
        if settled > now:
            locked.next_query_at = settled
            locked.save(update_fields=["next_query_at", "query_tries"])
            return
        locked.sends += 1
        locked.last_sent_at, locked.next_query_at = now, now + timedelta(seconds=IN_FLIGHT_SECONDS)
        locked.save(update_fields=["sends", "last_sent_at", "next_query_at", "query_tries"])
        record_event(locked, "refund.resent", actor=actor, reason=gettext_noop("the channel has no such refund"),
                     detail={"sends": locked.sends})  # fmt: skip
    _call(load_refund(refund.pk), actor)


def _settled_at(refund: Refund) -> datetime:
    """From when on "no such refund" means that it never arrived: not while another process may still be sending it."""
    last = refund.last_sent_at or refund.requested_at
    ended = Event.objects.of(refund).filter(type="refund.unknown", created_at__gte=last)
    settling: float = provider_for(refund.channel).refund_settling_seconds
    return last + timedelta(seconds=settling if ended.exists() else max(settling, IN_FLIGHT_SECONDS))


def _unseen_elsewhere(refund: Refund, actor: str) -> None:
    """A refund that was told of, and that the channel keeps saying it does not have: asked for a while, then given
    up. Nothing was counted for it."""
    query_later(refund)
    fields: tuple[str, ...] = ("next_query_at", "query_tries")
    if refund.query_tries < _ELSEWHERE_TRIES:
        refund.save(update_fields=fields)
        return
    refund.next_query_at, refund.finished_at = None, timezone.now()
    refund_advance(refund, "fail", actor=actor, reason=gettext_noop("the channel has no such refund"),
                   fields=(*fields, "finished_at"))  # fmt: skip
