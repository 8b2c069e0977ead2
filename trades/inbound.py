"""What comes in at the public entrance: channels' notifications and payers' browsers.

The address selects the keys and nothing else: the order number inside the verified message must be the
attempt's own. Everything that is refused changes no state; the channel is acknowledged after the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import InboundRequest, Notice, NoticeKind, PaymentState, Provider, Reply
from channels.base.storable import storable
from merchants.channels import provider_of
from notifications.alerts import alert
from paycenter.errors import BadSignature, IdentityMismatch, InboundRefused, MalformedInbound
from paycenter.wakeup import wake
from trades import refund_port
from trades.answering import Answering
from trades.calling import order_ref
from trades.confirm import MoneyArrived, payment_arrived, unverified_record
from trades.locking import lock_attempt
from trades.models import Attempt
from trades.states import TradeState
from trades.telling import trade_advance

T = TypeVar("T")
log = structlog.get_logger(__name__)
_TITLES = {
    "bad signature": gettext_noop("A notification was refused: its signature is wrong"),
    "not for this order": gettext_noop("A notification was refused: it is not for this order"),
    "not understood": gettext_noop("A notification was refused: it was not understood"),
}
QUERY_TASK = "trades.tasks.query_due"


def notify_receive(*, attempt: Attempt, request: InboundRequest, answering: Answering | None = None) -> Reply:
    """Handle one notification for an attempt's address; the reply is what this channel expects.

    `answering` may be written together with what is booked.
    """
    provider = provider_of(attempt.account)
    try:
        notice = _parsed(provider, lambda: storable(provider.parse_notify(request)))
        _check_names(attempt, notice)
    except InboundRefused as exc:
        _refuse(attempt, exc)
        return provider.nack(refusal_word(exc))
    return _apply(attempt, notice, provider, answering)


def _check_names(attempt: Attempt, notice: Notice) -> None:
    """Raises IdentityMismatch for a notice about another order than the attempt's."""
    if notice.kind == NoticeKind.REFUND and not notice.order_no:
        # A refund that names no order: the channel's number of the payment is what it names.
        same = bool(notice.channel_trade_no) and notice.channel_trade_no == attempt.channel_trade_no
    else:
        # Where a channel's numbers begin anew each day, yesterday's genuine notice is about another order.
        same = (notice.order_no, notice.order_day) == (attempt.channel_order_no, attempt.order_day)
    if not same:
        raise IdentityMismatch("it names another order than its address")


def _parsed(provider: Provider, parse: Callable[[], T]) -> T:
    """Foreign bytes that trip a provider's parser are not understood; they are no fault of ours to show."""
    try:
        return parse()
    except InboundRefused:
        raise
    except Exception as exc:
        log.exception("a provider's parser failed", channel=provider.code)
        raise MalformedInbound(f"the parser failed: {type(exc).__name__}") from exc


def _apply(attempt: Attempt, notice: Notice, provider: Provider, answering: Answering | None) -> Reply:
    actor = f"channel:{attempt.channel}"
    match notice.kind:
        case NoticeKind.HINT:
            query_now(attempt)
            refund_port.side().hint_received(attempt)
        case NoticeKind.REFUND:
            refund_port.side().notice_received(attempt, notice, actor)
        case NoticeKind.PAYMENT if notice.state == PaymentState.PAID:
            money = MoneyArrived.of(notice)
            if money.amount == attempt.money:
                if answering is not None:
                    answering.prepare(provider.ack(notice))
                payment_arrived(
                    attempt=attempt, money=money, actor=actor, log=answering.take if answering is not None else list
                )
            else:
                unverified_record(attempt_id=attempt.pk, money=money, actor=actor)
                wake(QUERY_TASK)
        case NoticeKind.PAYMENT if notice.state in (PaymentState.CLOSED, PaymentState.FAILED):
            # Never moves anything back; the channel's own answer decides what it means.
            query_now(attempt)
        case _:
            pass
    return provider.ack(notice)


def query_now(attempt: Attempt) -> None:
    """Make a query due at once, also for an attempt that is over: a channel that only hints may be speaking
    of late money, or of money it gave back."""
    Attempt.objects.filter(pk=attempt.pk).update(next_query_at=timezone.now())
    transaction.on_commit(lambda: wake(QUERY_TASK))


def _refuse(attempt: Attempt, exc: InboundRefused) -> None:
    alert(
        kind="security", key=f"inbound:{type(exc).__name__}:{attempt.attempt_no}",
        severity="warning" if isinstance(exc, MalformedInbound) else "critical",
        title=refusal_title(exc),
        text=gettext_noop("Attempt %(attempt_no)s (%(method)s): %(word)s"),
        context={"attempt_no": attempt.attempt_no, "method": attempt.method, "word": exc},
        record=attempt.trade,
        merchant_no=attempt.trade.merchant.merchant_no, trade_no=attempt.trade.trade_no,
    )  # fmt: skip


def refusal_title(exc: InboundRefused) -> str:
    """What people are told of a refused notification."""
    return _TITLES[refusal_word(exc)]


def refusal_word(exc: InboundRefused) -> str:
    """What the channel is told of it: nothing secret."""
    if isinstance(exc, BadSignature):
        return "bad signature"
    if isinstance(exc, IdentityMismatch):
        return "not for this order"
    return "not understood"


def return_receive(*, attempt: Attempt, request: InboundRequest) -> None:
    """The payer's browser came back: at most the trade is `confirming`, and a query is due now.

    Raises BadSignature, IdentityMismatch or MalformedInbound for a request that is not this order's.
    """
    provider = provider_of(attempt.account)
    try:
        word = _parsed(provider, lambda: provider.parse_return(request, order_ref(attempt)))
        if word.order_no is not None and word.order_no != attempt.channel_order_no:
            raise IdentityMismatch("it names another order than its address")
    except InboundRefused as exc:
        _refuse(attempt, exc)
        raise
    with transaction.atomic():
        trade, locked = lock_attempt(attempt.pk)
        if trade.state == TradeState.PAYING and trade.current_attempt_id == locked.pk:
            trade_advance(trade, "confirm_return", actor="payer", reason=gettext_noop("the browser came back"))
        query_now(locked)
