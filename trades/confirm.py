"""The one path on which money is booked. Notification, query, return, close and bill all end here.

It records the channel's success first, then classifies it: what arrived against the attempt, the
attempt against the trade. Equal and the trade unpaid pays the trade, also through a superseded
attempt; everything else is an abnormal payment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import Notice, QueryResult
from notifications.alerts import alert
from paycenter import compiled
from paycenter.combining import Combiner, WriteAlone
from paycenter.exchange import write_answered
from paycenter.models import Exchange
from paycenter.money import Money
from paycenter.transitions import advance, events_together, record_event
from trades import refund_port
from trades.beside import Beside, look_beside, look_beside_each
from trades.locking import lock_attempt, lock_attempts
from trades.models import AbnormalKind, AbnormalPayment, Attempt, Trade
from trades.selectors import live_attempt_ids
from trades.states import LIVE_ATTEMPT_STATES, AbnormalState, AttemptState, TradeState
from trades.telling import abnormal_opened, trade_advance, trade_count_up


@dataclass(frozen=True, kw_only=True, slots=True)
class MoneyArrived:
    """A channel's verified word that a payment succeeded. `amount` is the order total it names."""

    amount: Money
    channel_trade_no: str
    paid_at: datetime | None = None
    payer_id: str | None = None
    funding: str | None = None
    channel_state: str = ""

    @classmethod
    def of(cls, word: Notice | QueryResult) -> MoneyArrived:
        """From a PAID notice or answer, whose amount and number the provider guarantees."""
        if word.amount is None or not word.channel_trade_no:
            raise ValueError("a success without amount or channel number")
        return cls(
            amount=word.amount, channel_trade_no=word.channel_trade_no, paid_at=word.paid_at,
            payer_id=word.payer_id, funding=word.funding, channel_state=word.channel_state,
        )  # fmt: skip


_UNVERIFIED = compiled.Select(
    lambda attempt: AbnormalPayment.objects.only("pk").filter(attempt_id=attempt, state=AbnormalState.UNVERIFIED),
    attempt=int,
)
_ALERT_TITLES = {
    AbnormalKind.DUPLICATE: gettext_noop("Money arrived: the order was paid twice"),
    AbnormalKind.LATE: gettext_noop("Money arrived after the order was closed"),
    AbnormalKind.WRONG_AMOUNT: gettext_noop("Money arrived in another amount than was asked for"),
    AbnormalKind.WRONG_CURRENCY: gettext_noop("Money arrived in another currency than was asked for"),
}


class Booked(StrEnum):
    PAID = "paid"  # it paid the trade
    ABNORMAL = "abnormal"  # recorded, but it does not settle the trade
    REPEATED = "repeated"  # known already
    REFUSED = "refused"  # contradicts what is booked; a person was alerted


@transaction.atomic
@events_together()
def payment_confirm(*, attempt_id: int, money: MoneyArrived, actor: str, trade_id: int | None = None) -> Booked:
    """Book money that the channel says explicitly has arrived for this attempt. Idempotent.

    `trade_id` is the attempt's trade, where the caller knows it already.

    Must not be called with unverified words: signature, identity and order number are checked before.
    """
    trade, attempt = lock_attempt(attempt_id, trade_id)
    if attempt.state == AttemptState.SUCCEEDED:
        return _repeated(attempt, money)
    beside = look_beside(attempt, trade, money.channel_trade_no)
    if beside.number_is_taken:
        _alert_contradiction(attempt, f"channel number {money.channel_trade_no} belongs to another attempt")
        return Booked.REFUSED
    return _book(trade, attempt, money, actor, beside)


def _book(trade: Trade, attempt: Attempt, money: MoneyArrived, actor: str, beside: Beside) -> Booked:
    """Both are locked, and the attempt has no success yet."""
    _record_success(attempt, money, actor)
    if beside.refunds_told_of:
        refund_port.side().payment_booked(attempt)
    kind = _classify(trade, attempt, money)
    if kind is None:
        _settle(trade, attempt, actor, beside)
        return Booked.PAID
    _open_abnormal(trade, attempt, money, kind, actor)
    trade_without_attempts(trade, actor=actor)
    return Booked.ABNORMAL


def payment_arrived(
    *, attempt: Attempt, money: MoneyArrived, actor: str, log: Callable[[], list[Exchange]] = list
) -> Booked:
    """As `payment_confirm`, together with others who wait to book at the same moment; not inside a transaction.

    `attempt` was read with its trade, app and merchant, and is not locked. `log` gives the row of the exchange log,
    which is written after the commit; it is not called where there was no company for it.
    """
    return _arrivals.write(_Arrival(attempt, money, actor, log))


@dataclass(frozen=True, slots=True)
class _Arrival:
    attempt: Attempt
    money: MoneyArrived
    actor: str
    log: Callable[[], list[Exchange]]

    def confirm(self) -> Booked:
        return payment_confirm(
            attempt_id=self.attempt.pk, trade_id=self.attempt.trade_id, money=self.money, actor=self.actor
        )


def _confirm_together(arrivals: Sequence[_Arrival]) -> list[Booked | Exception]:
    """As each alone, in one transaction, of those that plainly pay their trade. What is repeated, contradicts or
    settles nothing is left to its own turn, and so are rows that somebody else has locked."""
    booked: list[Booked | Exception] = []
    numbers: set[tuple[int, str]] = set()  # in which nothing was looked for beside the stored ones
    first = {one.attempt.pk: one for one in reversed(arrivals)}  # another word for the same attempt waits its turn
    with transaction.atomic():
        locked = lock_attempts([one.attempt for one in first.values()])
        beside = look_beside_each(
            [(*locked[pk], one.money.channel_trade_no) for pk, one in first.items() if pk in locked]
        )
        with compiled.gathering() as found:
            for one in arrivals:
                number = (one.attempt.account_id, one.money.channel_trade_no)
                is_next = number not in numbers and one is first[one.attempt.pk]
                rows = locked.get(one.attempt.pk) if is_next else None
                numbers.add(number)
                booked.append(_book_if_plain(one, rows, beside))
        found.write()
    answered = [one for one, answer in zip(arrivals, booked, strict=True) if isinstance(answer, Booked)]
    write_answered([row for one in answered for row in one.log()])
    return booked


def _book_if_plain(
    one: _Arrival, rows: tuple[Trade, Attempt] | None, beside: Mapping[int, Beside]
) -> Booked | WriteAlone:
    if rows is None or any(beside[one.attempt.pk]):
        return WriteAlone()
    trade, attempt = rows
    if attempt.state == AttemptState.SUCCEEDED or _classify(trade, attempt, one.money) is not None:
        return WriteAlone()
    return _book(trade, attempt, one.money, one.actor, beside[attempt.pk])


_arrivals: Combiner[_Arrival, Booked] = Combiner(_Arrival.confirm, _confirm_together, skips_locked=True)


def trade_without_attempts(trade: Trade, *, actor: str, reason: str = "") -> bool:
    """Move a locked open trade on when no attempt can bring money any more: closed where it is expired
    or its closing was asked for, else waiting. Returns whether it is closed now."""
    if not trade.is_open or live_attempt_ids(trade.pk):
        return False
    now = timezone.now()
    if trade.close_requested_at is not None or trade.expire_at <= now:
        trade.closed_at, trade.next_close_at = now, None
        trade_advance(trade, "close", actor=actor, reason=reason, fields=("closed_at", "next_close_at"))
        return True
    if trade.state != TradeState.WAITING:
        trade_advance(trade, "wait_again", actor=actor, reason=reason)
    return False


def _repeated(attempt: Attempt, money: MoneyArrived) -> Booked:
    booked = Money(attempt.paid_amount or 0, attempt.paid_currency)
    if (attempt.channel_trade_no, booked) == (money.channel_trade_no, money.amount):
        return Booked.REPEATED
    _alert_contradiction(attempt, f"booked {booked}, now the channel says {money.amount} {money.channel_trade_no}")
    return Booked.REFUSED


def _number_is_taken(attempt: Attempt, channel_trade_no: str) -> bool:
    others = Attempt.objects.filter(account_id=attempt.account_id, channel_trade_no=channel_trade_no)
    return others.exclude(pk=attempt.pk).exists()


def _record_success(attempt: Attempt, money: MoneyArrived, actor: str) -> None:
    attempt.channel_trade_no = money.channel_trade_no
    attempt.paid_amount = money.amount.minor
    attempt.paid_currency = money.amount.currency
    attempt.paid_at = money.paid_at or timezone.now()
    attempt.payer_id = money.payer_id
    attempt.funding = (money.funding or attempt.funding or "")[:64] or None
    attempt.channel_state = money.channel_state[:64]
    attempt.next_query_at = attempt.next_close_at = attempt.in_flight_until = None
    fields = (
        "channel_trade_no", "paid_amount", "paid_currency", "paid_at", "payer_id", "funding", "channel_state",
        "next_query_at", "next_close_at", "in_flight_until",
    )  # fmt: skip
    advance(attempt, "succeed", actor=actor, fields=fields, event="attempt.succeeded",
            detail={"amount": money.amount.minor, "currency": money.amount.currency,
                    "channel_trade_no": money.channel_trade_no})  # fmt: skip


def _classify(trade: Trade, attempt: Attempt, money: MoneyArrived) -> AbnormalKind | None:
    if money.amount.currency != attempt.currency:
        return AbnormalKind.WRONG_CURRENCY
    if money.amount.minor != attempt.amount:
        return AbnormalKind.WRONG_AMOUNT
    if trade.state == TradeState.PAID:
        return AbnormalKind.DUPLICATE
    if trade.state in (TradeState.CLOSED, TradeState.FAILED):
        return AbnormalKind.LATE
    if attempt.money != trade.money:
        return AbnormalKind.WRONG_AMOUNT
    return None


def _settle(trade: Trade, attempt: Attempt, actor: str, beside: Beside) -> None:
    trade.settled_attempt = attempt
    trade.paid_amount = attempt.amount
    trade.paid_at = attempt.paid_at
    trade.next_close_at = None
    trade_advance(
        trade, "pay", actor=actor, fields=("settled_attempt", "paid_amount", "paid_at", "next_close_at"),
        untold=not beside.app_was_told,
    )  # fmt: skip
    if beside.was_told_otherwise:
        _void_unverified(attempt, actor)
    if beside.others_live:  # closed at their channels
        others = trade.attempts.filter(state__in=LIVE_ATTEMPT_STATES).exclude(pk=attempt.pk)
        others.update(next_close_at=timezone.now())


def _open_abnormal(
    trade: Trade, attempt: Attempt, money: MoneyArrived, kind: AbnormalKind, actor: str
) -> None:
    abnormal = (
        AbnormalPayment.objects.select_for_update()
        .filter(attempt=attempt, state=AbnormalState.UNVERIFIED)
        .first()
    )
    now = timezone.now()
    values = {
        "kind": kind, "amount": money.amount.minor, "currency": money.amount.currency,
        "channel_trade_no": money.channel_trade_no, "paid_at": attempt.paid_at, "next_policy_at": now,
    }  # fmt: skip
    if abnormal is None:
        abnormal = AbnormalPayment.objects.create(
            trade=trade, attempt=attempt, account_id=attempt.account_id, created_at=now, **values
        )
    for name, value in values.items():
        setattr(abnormal, name, value)
    abnormal.trade, abnormal.attempt = trade, attempt
    advance(abnormal, "open", actor=actor, fields=tuple(values), event="abnormal.opened")
    if trade.settled_attempt_id is None and trade.current_attempt_id == attempt.pk:
        # The trade's query shows this attempt, whose channel number has just become known.
        trade_count_up(trade)
    abnormal_opened(abnormal, actor=actor)
    alert(
        kind="abnormal_payment", key=f"abnormal:{attempt.attempt_no}", severity="critical",
        title=_ALERT_TITLES[kind],
        text=gettext_noop("%(money)s arrived for trade %(trade_no)s and does not settle it."),
        context={"money": money.amount, "trade_no": trade.trade_no}, record=abnormal,
        merchant_no=trade.merchant.merchant_no, trade_no=trade.trade_no,
    )  # fmt: skip


def unverified_record(*, attempt_id: int, money: MoneyArrived, actor: str) -> None:
    """A genuine notification names another amount or currency than the attempt's: keep it as
    `unverified` and make a query due now; the channel's own answer opens or voids it. Idempotent."""
    with transaction.atomic():
        trade, attempt = lock_attempt(attempt_id)
        if attempt.state == AttemptState.SUCCEEDED:
            _repeated(attempt, money)
            return
        if money.amount.minor <= 0 or _number_is_taken(attempt, money.channel_trade_no):
            _alert_contradiction(attempt, f"a notification claims {money.amount} {money.channel_trade_no}")
            return
        attempt.next_query_at = timezone.now()
        attempt.save(update_fields=["next_query_at"])
        if attempt.abnormal_payments.exclude(state=AbnormalState.VOID).exists():
            return
        wrong_currency = money.amount.currency != attempt.currency
        kind = AbnormalKind.WRONG_CURRENCY if wrong_currency else AbnormalKind.WRONG_AMOUNT
        abnormal = AbnormalPayment.objects.create(
            trade=trade, attempt=attempt, account_id=attempt.account_id, kind=kind, amount=money.amount.minor,
            currency=money.amount.currency, channel_trade_no=money.channel_trade_no, paid_at=money.paid_at,
            created_at=timezone.now(),
        )  # fmt: skip
        _record_unverified(abnormal, attempt, actor)


def _record_unverified(abnormal: AbnormalPayment, attempt: Attempt, actor: str) -> None:
    record_event(abnormal, "abnormal.unverified", actor=actor, to_state=str(abnormal.state),
                 detail={"amount": abnormal.amount, "currency": abnormal.currency})  # fmt: skip
    alert(
        kind="security", key=f"unverified:{attempt.attempt_no}", severity="critical",
        title=gettext_noop("A notification names another amount than was asked for"),
        text=gettext_noop(
            "Attempt %(attempt_no)s: asked %(asked)s, told %(told)s. The channel is being queried."
        ),
        context={"attempt_no": attempt.attempt_no, "asked": attempt.money,
                 "told": Money(abnormal.amount, abnormal.currency)}, record=abnormal,
        merchant_no=attempt.trade.merchant.merchant_no, trade_no=attempt.trade.trade_no,
    )  # fmt: skip


def _void_unverified(attempt: Attempt, actor: str, *, before: datetime | None = None) -> None:
    found = AbnormalPayment.objects.select_for_update().filter(attempt=attempt, state=AbnormalState.UNVERIFIED)
    if before is not None:
        found = found.filter(created_at__lt=before)
    for abnormal in found:
        abnormal.attempt = attempt
        abnormal.resolved_at = timezone.now()
        advance(abnormal, "void", actor=actor, fields=("resolved_at",), event="abnormal.voided",
                reason=gettext_noop("the channel's own answer knows no such money"))  # fmt: skip


def unverified_void(*, attempt_id: int, actor: str, asked_at: datetime) -> None:
    """The channel, asked at `asked_at`, says explicitly that nothing was paid: void what a notification
    had claimed before. What was claimed since is newer than the answer."""
    if _UNVERIFIED.first(attempt=attempt_id) is None:
        return
    with transaction.atomic():
        _trade, attempt = lock_attempt(attempt_id)
        _void_unverified(attempt, actor, before=asked_at)


def _alert_contradiction(attempt: Attempt, text: str) -> None:
    alert(
        kind="anomaly", key=f"contradiction:{attempt.attempt_no}", severity="critical",
        title=gettext_noop("A channel contradicts what is booked"),
        text=gettext_noop("Attempt %(attempt_no)s: %(word)s"),
        context={"attempt_no": attempt.attempt_no, "word": text}, record=attempt.trade,
        merchant_no=attempt.trade.merchant.merchant_no, trade_no=attempt.trade.trade_no,
    )  # fmt: skip
