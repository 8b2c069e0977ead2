"""Refunds that began elsewhere: at the bank, or in the channel's own console. Nobody here asked for them.

They are recorded in a sum of their own. What was approved here and no longer fits is put on hold before it is
sent; money given back beyond what was paid is alerted.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import RefundResult
from channels.base import RefundState as Word
from notifications.alerts import alert
from paycenter.models import Event
from paycenter.money import Money
from paycenter.numbers import NumberKind, new_number
from paycenter.transitions import record_event
from paycenter.wakeup import wake
from refunds import sums
from refunds.confirm import Booked, refund_confirm
from refunds.models import Refund, RefundKind, RefundRoute, RefundSource, RefundType
from refunds.states import RefundState
from refunds.telling import refund_recorded
from trades.accepting import lock_abnormal
from trades.models import AbnormalPayment, Attempt
from trades.states import AbnormalState, AttemptState

# Begins the number of a refund that is known from a cumulative sum only.
SUM_PREFIX = "SUM-"
QUERY_TASK = "refunds.tasks.query_due"
_REASON = gettext_noop("refunded by the channel or the bank")


def external_refund_open(
    *, attempt: Attempt, channel_request_no: str, amount: Money | None, actor: str,
    channel_refund_no: str | None = None, sent_at: datetime | None = None,
) -> Refund | None:  # fmt: skip
    """Record a refund of this attempt's money under the channel's own number, and have the channel asked about it.

    `amount` is None where nobody said it: the channel's answer will. The same number again is the same refund.
    None where the attempt's money is not booked: then there is nothing to give back from, and a person is told.
    A caller with a transaction of its own holds no lock but the trade's.
    """
    with transaction.atomic():
        source = _source_of(attempt)
        if source is None or (amount is not None and amount.minor <= 0):
            _alert_nothing_to_refund(attempt, channel_request_no)
            return None
        known = _known(attempt, channel_request_no, amount, actor)
        if known is not None and known.attempt_id != attempt.pk:
            _alert_nothing_to_refund(attempt, channel_request_no)  # the number is another payment's
            return None
        if known is not None:
            return known
        return _record(source, attempt, channel_request_no, amount, actor, channel_refund_no, sent_at)


def external_refund_record(
    *, attempt: Attempt, channel_request_no: str, amount: Money, actor: str, channel_refund_no: str | None = None,
    finished_at: datetime | None = None,
) -> Booked:  # fmt: skip
    """Book money that a verified word of the channel (its bill, its cumulative sum) says was given back.

    Idempotent by the number. REFUSED where there is nothing booked to give back from, or the words contradict.
    """
    refund = external_refund_open(
        attempt=attempt, channel_request_no=channel_request_no, amount=amount, actor=actor,
        channel_refund_no=channel_refund_no, sent_at=finished_at,
    )  # fmt: skip
    if refund is None:
        return Booked.REFUSED
    word = RefundResult(
        state=Word.SUCCEEDED, refund_no=channel_request_no, amount=amount, channel_refund_no=channel_refund_no,
        finished_at=finished_at,
    )  # fmt: skip
    return refund_confirm(refund_id=refund.pk, word=word, actor=actor)


def _known(attempt: Attempt, number: str, amount: Money | None, actor: str) -> Refund | None:
    """The refund of this number, or the one that stands for it because only a cumulative sum was heard so far."""
    rows = Refund.objects.filter(account_id=attempt.account_id)
    found = rows.filter(channel_request_no=number).first()
    if found is not None or number.startswith(SUM_PREFIX):
        return found
    sums_heard = rows.filter(
        attempt=attempt, source=RefundSource.EXTERNAL, channel_request_no__startswith=SUM_PREFIX
    )
    for covering in sums_heard.order_by("id"):
        named = _named(covering)
        if number in named:
            return covering
        if sum(named.values()) + (amount.minor if amount else 1) <= covering.amount:
            detail = {"number": number, "amount": amount.minor if amount else None}
            record_event(covering, "refund.external_named", actor=actor, detail=detail)
            return covering
    return None


def _named(covering: Refund) -> dict[str, int]:
    """The refunds a cumulative sum was found to hold, by number, in minor units; one of unknown amount fills it."""
    details = Event.objects.of(covering).filter(type="refund.external_named").values_list("detail", flat=True)
    return {detail["number"]: detail["amount"] or covering.amount for detail in details}


def _source_of(attempt: Attempt) -> sums.Source | None:
    """The locked row the attempt's money is booked on; None when it is not booked."""
    trade = sums.lock_trade(attempt.trade_id)
    if trade.settled_attempt_id == attempt.pk:
        return trade
    abnormal_id = (
        AbnormalPayment.objects.filter(attempt_id=attempt.pk)
        .exclude(state__in=(AbnormalState.VOID, AbnormalState.UNVERIFIED))
        .values_list("pk", flat=True)
        .first()
    )
    if abnormal_id is None or attempt.state != AttemptState.SUCCEEDED:
        return None
    return lock_abnormal(abnormal_id)[2]


def _record(
    source: sums.Source, attempt: Attempt, number: str, said: Money | None, actor: str,
    channel_refund_no: str | None, sent_at: datetime | None,
) -> Refund:  # fmt: skip
    now = timezone.now()
    amount = said or Money(sums.paid_of(source), attempt.paid_currency)  # at most
    abnormal = source if isinstance(source, AbnormalPayment) else None
    trade = source.trade if isinstance(source, AbnormalPayment) else source
    full = amount.minor == sums.paid_of(source)
    refund = Refund(
        refund_no=new_number(NumberKind.REFUND), channel_request_no=number[:64], app=trade.app, merchant=trade.merchant,
        trade=trade, attempt=attempt, abnormal=abnormal, account_id=attempt.account_id, channel=attempt.channel,
        amount=amount.minor, amount_known=said is not None, requested_amount=amount.minor, currency=amount.currency,
        reason=_REASON,
        type=RefundType.FULL if full else RefundType.PARTIAL,
        kind=RefundKind.BUSINESS if abnormal is None else RefundKind.ABNORMAL, route=RefundRoute.ORIGINAL,
        source=RefundSource.EXTERNAL, state=RefundState.PROCESSING, requested_at=sent_at or now,
        sent_at=sent_at or now, channel_refund_no=channel_refund_no, next_query_at=now,
    )  # fmt: skip
    refund.save(force_insert=True)
    sums.attach(refund, trade, abnormal)
    refund_recorded(refund, actor=actor, reason=_REASON)
    alert(
        kind="refund", key=f"refund-external:{refund.refund_no}",
        title=gettext_noop("The channel gave money back that nobody here asked to refund"),
        text=gettext_noop("%(money)s of trade %(trade_no)s, under the channel's number %(number)s"),
        context={"money": amount, "trade_no": trade.trade_no, "number": number},
        merchant_no=trade.merchant.merchant_no, trade_no=trade.trade_no, record=refund,
    )  # fmt: skip
    transaction.on_commit(lambda: wake(QUERY_TASK), robust=True)
    return refund


def _alert_nothing_to_refund(attempt: Attempt, number: str) -> None:
    alert(
        kind="anomaly", key=f"refund-of-nothing:{attempt.attempt_no}", severity="critical",
        title=gettext_noop("A refund is reported of money that is not booked"),
        text=gettext_noop("Attempt %(attempt_no)s, refund %(number)s"),
        context={"attempt_no": attempt.attempt_no, "number": number},
        merchant_no=attempt.trade.merchant.merchant_no, trade_no=attempt.trade.trade_no, record=attempt.trade,
    )  # fmt: skip
