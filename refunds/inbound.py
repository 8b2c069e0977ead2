"""What channels say about refunds without being asked: notices at either address, hints, cumulative sums.

The address selects the keys and nothing else. A notice that decides, of the right number and amount, is
booked; every other one only makes a query due.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from channels.base import InboundRequest, Notice, RefundResult, Reply
from channels.base import RefundState as Word
from paycenter.money import Money
from paycenter.wakeup import wake
from refunds import sums
from refunds.confirm import Booked, refund_confirm
from refunds.early import early_refund_keep, early_refunds_due, early_refunds_sql
from refunds.external import QUERY_TASK, SUM_PREFIX, external_refund_open, external_refund_record
from refunds.leaving import is_going_back
from refunds.models import Payout, Refund, RefundRoute
from refunds.selectors import load_refund
from refunds.states import RefundState
from trades.inbound import notify_receive
from trades.models import Attempt


def refund_for_address(method: str, refund_no: str) -> Refund | None:
    """The refund an address names; None when there is none with this method."""
    pk = Refund.objects.filter(refund_no=refund_no, attempt__method=method).values_list("pk", flat=True).first()
    return None if pk is None else load_refund(pk)


def refund_notify_receive(*, refund: Refund, request: InboundRequest) -> Reply:
    """Handle one notification for a refund's address; the reply is what this channel expects.

    It is checked as one that came to the payment's address: the number inside the signed body decides which
    refund it is about, and it must be one of this attempt's money.
    """
    return notify_receive(attempt=refund.attempt, request=request)


class _RefundSide:
    """Passed to `trades.refund_port`."""

    def notice_received(self, attempt: Attempt, notice: Notice, actor: str) -> None:
        refund = _refund_of(attempt, notice)
        if refund is None:
            self._began_elsewhere(attempt, notice, actor)
            return
        if notice.refund_state is None or notice.amount is None or notice.refund_state == Word.NOT_FOUND:
            query_now(refund.pk)
            return
        word = RefundResult(
            state=notice.refund_state, refund_no=refund.channel_request_no, amount=notice.amount,
            channel_refund_no=notice.channel_refund_no, finished_at=notice.paid_at, channel_state=notice.channel_state,
        )  # fmt: skip
        if refund_confirm(refund_id=refund.pk, word=word, actor=actor) is Booked.REFUSED:
            query_now(refund.pk)

    def _began_elsewhere(self, attempt: Attempt, notice: Notice, actor: str) -> None:
        """A refund we never asked for. Its notice is genuine, yet the channel's answer decides what it was."""
        number = notice.refund_no or notice.channel_refund_no
        if not number:
            query_payment(attempt)
            return
        with transaction.atomic():
            opened = external_refund_open(
                attempt=attempt, channel_request_no=number, amount=notice.amount, actor=actor,
                channel_refund_no=notice.channel_refund_no, sent_at=notice.refund_sent_at,
            )  # fmt: skip
            if opened is None:  # whoever gives money back has it: ask for the payment, and book this with it
                early_refund_keep(attempt=attempt, number=number, notice=notice)
                query_payment(attempt)

    def hint_received(self, attempt: Attempt) -> None:
        under_way = Refund.objects.filter(
            attempt=attempt, state=RefundState.PROCESSING, route=RefundRoute.ORIGINAL
        )  # fmt: skip
        changed = under_way.update(next_query_at=timezone.now())
        if changed:
            wake(QUERY_TASK)

    def sum_heard(self, attempt: Attempt, refunded: Money, actor: str) -> None:
        """More was given back than we know of: the difference began elsewhere."""
        if refunded.minor <= 0:
            return
        with transaction.atomic():
            sums.lock_trade(attempt.trade_id)  # others may hear of the same money at the same moment
            unknown = refunded.minor - _known_at_channel(attempt)
            if unknown > 0:
                external_refund_record(
                    attempt=attempt, channel_request_no=f"{SUM_PREFIX}{attempt.attempt_no}-{refunded.minor}",
                    amount=Money(unknown, refunded.currency), actor=actor,
                )  # fmt: skip

    def early_sql(self, attempt: str) -> str:
        return early_refunds_sql(attempt)

    def payment_booked(self, attempt: Attempt) -> None:
        early_refunds_due(attempt)

    def is_going_back(self, attempt_id: int) -> bool:
        return is_going_back(attempt_id)


def _known_at_channel(attempt: Attempt) -> int:
    """What the channel may have given back as far as we know, in minor units. What is under way counts, so that our
    own refund is never taken for somebody else's; what people pay out by hand does not, for no channel counts it."""
    rows = Refund.objects.filter(attempt=attempt, state__in=(RefundState.SUCCEEDED, RefundState.PROCESSING))
    paid_out = Payout.objects.filter(refund__attempt=attempt, accepted=True).values("refund_id")
    to_check = Q(state=RefundState.PROCESSING) & ~Q(route=RefundRoute.ORIGINAL)
    return rows.exclude(to_check).exclude(pk__in=paid_out).aggregate(sum=Sum("amount"))["sum"] or 0


def _refund_of(attempt: Attempt, notice: Notice) -> Refund | None:
    """The refund of this attempt's money that the notice names by the number it was sent under."""
    if not notice.refund_no:
        return None
    rows = Refund.objects.filter(attempt=attempt, channel_request_no=notice.refund_no)
    return rows.first()


def query_now(refund_id: int) -> None:
    """Make a query about a refund under way due at once."""
    rows = Refund.objects.filter(pk=refund_id).exclude(state=RefundState.SUCCEEDED)
    if rows.filter(sent_at__isnull=False).update(next_query_at=timezone.now()):
        wake(QUERY_TASK)


def query_payment(attempt: Attempt) -> None:
    """Make a query about the payment due: its answer may say how much went back."""
    Attempt.objects.filter(pk=attempt.pk).update(next_query_at=timezone.now())


REFUND_SIDE = _RefundSide()
