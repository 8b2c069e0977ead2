"""The one path on which a channel's word about a refund is booked: answer, notification, query and bill alike.

Only explicit words mean succeeded or failed; a success counts whatever was decided since the refund was sent.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import RefundResult
from channels.base import RefundState as Word
from notifications.alerts import alert
from paycenter.schedules import delay_for
from paycenter.transitions import record_event, save_changed
from refunds import sums
from refunds.holding import after_external
from refunds.models import Refund, RefundRoute, RefundSource, RefundType
from refunds.states import RefundState
from refunds.telling import refund_advance

_HEARD = ("channel_refund_no", "channel_state", "error_code", "error_message", "resendable", "needs_attention", "memo")
_TWICE = "it was paid out by hand, and the channel gave it back as well"


class Booked(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    OPEN = "open"  # under way: it is asked about again
    UNSEEN = "unseen"  # the channel has no such refund: the same number may be sent
    REPEATED = "repeated"  # known already
    REFUSED = "refused"  # contradicts what is known; a person was alerted


@transaction.atomic
def refund_confirm(*, refund_id: int, word: RefundResult, actor: str) -> Booked:
    """Book a channel's verified word about this refund. Idempotent.

    Must not be called with unverified words: signature, identity and numbers are checked before.
    """
    source, refund = sums.lock_refund(refund_id)
    match word.state:
        case Word.SUCCEEDED:
            return _succeeded(source, refund, word, actor)
        case Word.FAILED:
            return _failed(source, refund, word, actor)
        case Word.NOT_FOUND:
            return Booked.UNSEEN if refund.is_at_channel else Booked.REPEATED
        case _:
            return _open(refund, word)


def _succeeded(source: sums.Source, refund: Refund, word: RefundResult, actor: str) -> Booked:
    if not refund.amount_known and word.amount is not None and word.amount.currency == refund.currency:
        refund.amount, refund.amount_known = word.amount.minor, True
        refund.type = RefundType.FULL if refund.amount == sums.paid_of(source) else RefundType.PARTIAL
    if word.amount != refund.money:
        _alert_contradiction(refund, f"asked for {refund.money}, the channel says {word.amount}")
        return Booked.REFUSED
    if refund.state == RefundState.SUCCEEDED:
        return _succeeded_again(refund)
    if refund.sent_at is None and refund.source != RefundSource.EXTERNAL:
        _alert_contradiction(refund, "the channel says it succeeded, but it was never sent")
        return Booked.REFUSED
    if refund.state == RefundState.PROCESSING and not refund.is_at_channel:
        _alert_contradiction(refund, _TWICE)
    _take_in(refund, word)
    refund.finished_at = _ended_at(refund, word)
    refund.next_send_at = refund.next_query_at = refund.next_expiry_at = None
    refund.needs_attention = False
    _count(source, refund, actor)
    refund_advance(
        refund, "succeed", actor=actor,
        fields=(*_HEARD, "amount", "amount_known", "type", "finished_at", "next_send_at", "next_query_at",
                "next_expiry_at", "counted_as_external"),
        detail={"amount": refund.amount, "currency": refund.currency},
    )  # fmt: skip
    return Booked.SUCCEEDED


def _succeeded_again(refund: Refund) -> Booked:
    """Known already, unless what is known is that people paid it out."""
    if not refund.payouts.filter(accepted=True).exists():
        return Booked.REPEATED
    _alert_contradiction(refund, _TWICE)
    return Booked.REFUSED


def _ended_at(refund: Refund, word: RefundResult) -> datetime:
    """The channel's own time; many know seconds only, and a refund of ours never ends before it was sent."""
    at = word.finished_at or timezone.now()
    if refund.source == RefundSource.EXTERNAL or refund.sent_at is None:
        return at
    return max(at, refund.sent_at)


def _count(source: sums.Source, refund: Refund, actor: str) -> None:
    """Into the source's sums: what was reserved is settled. What is not reserved (any more) went back all the
    same: it is reserved now where it still fits, else it counts as given back by others."""
    if refund.reserves:
        sums.settle(source, refund.amount, actor=actor)
        return
    fits = refund.amount <= sums.paid_of(source) - source.refunded_amount - source.refunding_amount
    if refund.source != RefundSource.EXTERNAL and fits:
        source.refunding_amount += refund.amount
        sums.settle(source, refund.amount, actor=actor)
        return
    refund.counted_as_external = True
    sums.add_external(source, refund.amount, actor=actor)
    after_external(source, refund, actor)
    if refund.source != RefundSource.EXTERNAL:
        _alert_contradiction(refund, "it succeeded after its sum had been given to other refunds")


def _failed(source: sums.Source, refund: Refund, word: RefundResult, actor: str) -> Booked:
    if not refund.is_at_channel:
        if refund.state == RefundState.SUCCEEDED and refund.route == RefundRoute.ORIGINAL:
            _alert_contradiction(refund, f"it succeeded, now the channel says it failed: {word.code} {word.message}")
            return Booked.REFUSED
        return Booked.REPEATED
    _take_in(refund, word)
    refund.finished_at, refund.next_query_at, refund.next_send_at = timezone.now(), None, None
    refund.needs_attention = False
    if refund.reserves:
        sums.free(source, refund.amount, actor=actor)
    reason = f"{word.code} {word.message}".strip() or word.channel_state
    refund_advance(refund, "fail", actor=actor, reason=reason,
                   fields=(*_HEARD, "finished_at", "next_query_at", "next_send_at"))  # fmt: skip
    alert(
        kind="refund", key=f"refund-failed:{refund.refund_no}:{refund.sends}",
        title=gettext_noop("A refund failed at the channel"),
        text=gettext_noop("Refund %(refund_no)s of %(money)s: %(reason)s"),
        context={"refund_no": refund.refund_no, "money": refund.money, "reason": reason},
        merchant_no=refund.merchant.merchant_no, trade_no=refund.trade.trade_no, record=refund,
    )  # fmt: skip
    return Booked.FAILED


def _open(refund: Refund, word: RefundResult) -> Booked:
    """Accepted and not ended: asked about again; stuck at the channel, a person is told once."""
    if not refund.is_at_channel:
        return Booked.REPEATED
    stuck = word.state == Word.ATTENTION
    if stuck and not refund.needs_attention:
        record_event(refund, "refund.stuck", actor=f"channel:{refund.channel}", reason=word.channel_state)
        alert(
            kind="refund", key=f"refund-stuck:{refund.refund_no}", severity="critical",
            title=gettext_noop("A refund is stuck at the channel"),
            text=gettext_noop("Refund %(refund_no)s: %(word)s. Finish it in the channel's own console."),
            context={"refund_no": refund.refund_no, "word": word.channel_state},
            merchant_no=refund.merchant.merchant_no, trade_no=refund.trade.trade_no, record=refund,
        )  # fmt: skip
    _take_in(refund, word)
    refund.needs_attention = stuck
    query_later(refund)
    save_changed(refund, (*_HEARD, "next_query_at", "query_tries"))
    return Booked.OPEN


def query_later(refund: Refund) -> None:
    """Set when to ask about a locked refund next, by its channel's schedule. The caller saves."""
    refund.query_tries += 1
    refund.next_query_at = timezone.now() + query_delay(refund.channel, refund.query_tries)


def query_delay(channel: str, tries: int) -> timedelta:
    """How long to wait before the next query, after `tries` of them (0: after sending)."""
    seconds = delay_for(f"refund_query:{channel}", tries, fallback="refund_query")
    return timedelta(seconds=seconds if seconds is not None else 3600)


def _take_in(refund: Refund, word: RefundResult) -> None:
    refund.channel_refund_no = (word.channel_refund_no or refund.channel_refund_no or "")[:64] or None
    refund.channel_state = word.channel_state[:64]
    refund.error_code, refund.error_message = word.code[:64], word.message[:256]
    refund.resendable = word.resendable
    refund.memo = {**(refund.memo or {}), **word.memo} or None


def _alert_contradiction(refund: Refund, text: str) -> None:
    record_event(refund, "refund.contradicted", actor=f"channel:{refund.channel}", reason=text)
    alert(
        kind="anomaly", key=f"refund-contradiction:{refund.refund_no}", severity="critical",
        title=gettext_noop("A channel contradicts what is known of a refund"),
        text=gettext_noop("Refund %(refund_no)s: %(word)s"),
        context={"refund_no": refund.refund_no, "word": text},
        merchant_no=refund.merchant.merchant_no, trade_no=refund.trade.trade_no, record=refund,
    )  # fmt: skip
