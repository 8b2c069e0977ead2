"""Defects of the kind that hurt, each planted by replacing one function of the center.

The simulation has to find every one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace as replaced
from typing import Any
from unittest.mock import patch

from django.db import DatabaseError, transaction
from django.utils import timezone

from channels.base import CloseOutcome
from channels.base.results import CloseResult
from notifications import deliveries
from paycenter.numbers import NumberKind, new_number
from refunds import early as refund_early
from refunds import inbound as refund_inbound
from refunds import sending as refund_sending
from refunds import services as refund_services
from refunds import sums
from refunds import telling as refund_telling
from refunds.calling import call_refund
from refunds.models import Refund
from refunds.selectors import load_refund
from trades import closing, confirm, inbound, telling
from trades.models import Attempt, Trade
from trades.querying import attempt_end

Planted = AbstractContextManager[Any]


def second_payment_dropped() -> Planted:
    """Money that settles nothing is recorded on its attempt and nowhere else."""
    return patch.object(confirm, "_open_abnormal", lambda *_a, **_k: None)


def amount_ignored() -> Planted:
    """Whatever arrived pays the trade."""
    classify = confirm._classify

    def careless(trade: Any, attempt: Any, money: Any) -> Any:
        kind = classify(trade, attempt, money)
        return None if kind in ("wrong_amount", "wrong_currency") else kind

    return patch.object(confirm, "_classify", careless)


def notification_written_after_the_commit() -> Planted:
    """Who dies between the two tells nobody."""
    tell = telling.tell_app
    return patch.object(telling, "tell_app", lambda *a: transaction.on_commit(lambda: tell(*a)))


def refund_notification_written_after_the_commit() -> Planted:
    create = refund_telling.notification_create
    return patch.object(
        refund_telling, "notification_create", lambda **k: transaction.on_commit(lambda: create(**k) and None)
    )


def notification_acknowledged_before_the_commit() -> Planted:
    """A database that fails is not the channel's problem, somebody thought."""

    def hopeful(**values: Any) -> Any:
        try:
            return confirm.payment_arrived(**values)
        except DatabaseError:
            return None

    return patch.object(inbound, "payment_arrived", hopeful)


def refund_sent_again_under_a_new_number() -> Planted:
    """After an unknown outcome the next sending is a new refund to the channel."""
    lost_sight = refund_sending._lost_sight

    def renumber(refund_id: int, cause: Exception, actor: str) -> None:
        Refund.objects.filter(pk=refund_id).update(channel_request_no=new_number(NumberKind.REFUND))
        lost_sight(refund_id, cause, actor)

    return patch.object(refund_sending, "_lost_sight", renumber)


def refund_failed_by_a_network_error() -> Planted:
    """No answer is taken for no."""

    def give_up(refund_id: int, cause: Exception, actor: str) -> None:
        with transaction.atomic():
            source, refund = sums.lock_refund(refund_id)
            if not refund.is_at_channel:
                return
            sums.free(source, refund.amount, actor=actor)
            refund.next_query_at, refund.finished_at = None, timezone.now()
            refund_telling.refund_advance(refund, "fail", actor=actor, fields=("next_query_at", "finished_at"))

    return patch.object(refund_sending, "_lost_sight", give_up)


def refund_sent_before_its_intent() -> Planted:
    """The channel is called first, and what was done is written down afterwards."""
    start = refund_sending._start

    def hasty(refund_id: int, actor: str) -> Any:
        call_refund(load_refund(refund_id))
        return start(refund_id, actor)

    return patch.object(refund_sending, "_start", hasty)


def sum_not_reserved() -> Planted:
    return patch.object(sums, "reserve", lambda *_a, **_k: None)


def sum_checked_without_a_lock() -> Planted:
    """Two requests see the same money."""
    rows = Trade.objects.select_related("app", "merchant", "settled_attempt")

    def unlocked(trade_id: int) -> Any:
        return rows.get(pk=trade_id)

    return patch.object(sums, "lock_trade", unlocked)


def closed_over_a_success() -> Planted:
    """A channel that refuses to close is not listened to."""
    close = closing._close

    def stubborn(provider: Any, attempt: Any) -> Any:
        result = close(provider, attempt)
        refused = result.outcome == CloseOutcome.REFUSED
        return CloseResult(outcome=CloseOutcome.CLOSED) if refused else result

    return patch.object(closing, "_close", stubborn)


def closed_by_a_network_error() -> Planted:
    """A channel that does not answer has nothing to say."""
    finish = closing.attempt_finish

    def impatient(*, attempt_id: int, actor: str) -> bool:
        if finish(attempt_id=attempt_id, actor=actor):
            return True
        attempt_end(attempt_id=attempt_id, failed=False, actor=actor)
        return True

    return patch.object(closing, "attempt_finish", impatient)


def superseded_attempt_forgotten() -> Planted:
    """Who pays another way has the older attempt closed here, and nobody tells its channel."""

    def forget(attempt: Any, older: Any, deadline: float, actor: str) -> None:
        if older is not None:
            attempt_end(attempt_id=older.pk, failed=False, actor=actor)

    from trades import services

    return patch.object(services, "attempt_begin", forget)


def attempt_forgotten_after_a_crash() -> Planted:
    """An attempt that is being sent has no query due: who dies sending it leaves it for ever."""
    from trades import services

    make = services._new_attempt

    def careless(*a: Any, **k: Any) -> Any:
        attempt = make(*a, **k)
        Attempt.objects.filter(pk=attempt.pk).update(next_query_at=None)
        Trade.objects.filter(pk=attempt.trade_id).update(next_close_at=None)
        return attempt

    return patch.object(services, "_new_attempt", careless)


def refund_forgotten_after_a_crash() -> Planted:
    """A refund that is being sent has no query due."""
    start = refund_sending._start

    def careless(refund_id: int, actor: str) -> Any:
        started = start(refund_id, actor)
        Refund.objects.filter(pk=refund_id).update(next_query_at=None)
        return started

    return patch.object(refund_sending, "_start", careless)


def delivered_without_an_acknowledgement() -> Planted:
    return patch.object(deliveries, "acknowledges", lambda _status, _body: True)


def words_changed_on_the_way() -> Planted:
    """A later try tells something else than the first."""
    claims = deliveries._claims

    def reworded(rows: Any, until: Any) -> Any:
        return [replaced(claim, body=claim.body.replace(b'"version"', b'"versions"')) for claim in claims(rows, until)]

    return patch.object(deliveries, "_claims", reworded)


def own_refunds_taken_for_others() -> Planted:
    """The channel's sum of what went back is booked without looking at our own refunds."""
    return patch.object(refund_inbound, "_known_at_channel", lambda _attempt: 0)


def early_refund_left_waiting() -> Planted:
    """A refund of the channel's own that is told of before its payment is kept, and kept, and kept."""
    return patch.object(refund_early, "_is_booked", lambda _attempt: False)


def refund_elsewhere_ignored() -> Planted:
    """A refund nobody here asked for is nobody's business, somebody thought, and acknowledged it."""
    return patch.object(refund_inbound._RefundSide, "_began_elsewhere", lambda *_a: None)


def sum_of_refunds_ignored() -> Planted:
    """What the channel gave back in its own console stays unknown, although every answer tells the sum."""
    return patch.object(refund_inbound._RefundSide, "sum_heard", lambda *_a: None)


def automatic_for_everybody() -> Planted:
    """The first approval is enough for every amount: nothing of the money is wrong, only who decided."""
    return patch.object(refund_services, "approvals_needed", lambda *_a, **_k: 0)


# Only where several connections overtake each other inside their transactions.
ON_POSTGRESQL = (sum_checked_without_a_lock,)
EVERYWHERE: tuple[Callable[[], Planted], ...] = (
    second_payment_dropped, amount_ignored, notification_written_after_the_commit,
    refund_notification_written_after_the_commit, notification_acknowledged_before_the_commit,
    refund_sent_again_under_a_new_number, refund_failed_by_a_network_error, refund_sent_before_its_intent,
    sum_not_reserved, closed_over_a_success, closed_by_a_network_error, superseded_attempt_forgotten,
    attempt_forgotten_after_a_crash, refund_forgotten_after_a_crash, delivered_without_an_acknowledgement,
    words_changed_on_the_way, own_refunds_taken_for_others, automatic_for_everybody, early_refund_left_waiting,
    refund_elsewhere_ignored, sum_of_refunds_ignored,
)  # fmt: skip
__all__ = ["EVERYWHERE", "ON_POSTGRESQL"]
