"""The sums on a refund's source, under its row lock: what is reserved, what went back, what others gave back.

`refunded + refunding <= paid` is a database constraint as well. Every change of a trade's sums is an event
of the trade; an abnormal payment moves between open, refunding and refunded by its sums.
"""

from __future__ import annotations

from django.utils import timezone

from merchants.models import App, Merchant
from paycenter import compiled
from paycenter.transitions import advance, lock, save_changed
from refunds.models import Refund
from trades.accepting import lock_abnormal
from trades.locking import RARELY_NEEDED
from trades.models import AbnormalPayment, Trade
from trades.states import AbnormalState
from trades.telling import trade_changed

Source = Trade | AbnormalPayment
_COLUMNS = ("refunded_amount", "refunding_amount", "external_refunded")
_TRADE = compiled.Select(
    lambda pk: Trade.objects.select_for_update(of=("self",)).select_related("app", "merchant", "settled_attempt")
    .defer(*RARELY_NEEDED).filter(pk=pk),
    pk=int,
)  # fmt: skip
_ITS_SOURCE = compiled.Select(lambda pk: Refund.objects.only("trade", "abnormal").filter(pk=pk), pk=int)


def lock_trade(trade_id: int) -> Trade:
    """The trade with app, merchant and paying attempt, locked. Must run inside `atomic`."""
    return _TRADE.get(pk=trade_id)


def lock_refund(refund_id: int) -> tuple[Source, Refund]:
    """Lock a refund and the row it gives back from, in the global order. Must run inside `atomic`."""
    unlocked = _ITS_SOURCE.get(pk=refund_id)  # neither ever changes
    source: Source
    if unlocked.abnormal_id is None:
        source = trade = lock_trade(unlocked.trade_id)
    else:
        trade, _attempt, source = lock_abnormal(unlocked.abnormal_id)
    refund = lock(Refund, pk=refund_id)
    attach(refund, trade, source if isinstance(source, AbnormalPayment) else None)
    return source, refund


def attach(refund: Refund, trade: Trade, abnormal: AbnormalPayment | None) -> None:
    """Give a refund the records in hand, so that answering about it reads nothing again."""
    app: App = trade.app
    merchant: Merchant = trade.merchant
    refund.trade, refund.app, refund.merchant = trade, app, merchant
    if abnormal is not None:
        refund.abnormal, refund.attempt = abnormal, abnormal.attempt
    elif trade.settled_attempt is not None:
        refund.attempt = trade.settled_attempt
    refund.attempt.trade = trade


def paid_of(source: Source) -> int:
    """What arrived, in minor units."""
    return source.paid_amount if isinstance(source, Trade) else source.amount


def reserve(source: Source, amount: int, *, actor: str) -> None:
    """Hold a sum back for a refund that was asked for. The caller checked that it fits."""
    source.refunding_amount += amount
    _store(source, actor)


def free(source: Source, amount: int, *, actor: str) -> None:
    """Give a reserved sum up: the refund will not happen."""
    source.refunding_amount -= amount
    _store(source, actor)


def settle(source: Source, amount: int, *, actor: str) -> None:
    """A reserved sum went back to the payer."""
    source.refunding_amount -= amount
    source.refunded_amount += amount
    _store(source, actor)


def add_external(source: Source, amount: int, *, actor: str) -> None:
    """The channel or the bank gave back what nothing here had reserved."""
    source.external_refunded += amount
    _store(source, actor)


def _store(source: Source, actor: str) -> None:
    if isinstance(source, Trade):
        save_changed(source, _COLUMNS)
        trade_changed(source, "trade.refunds_changed", actor=actor)
        return
    transition = _abnormal_move(source)
    fields: tuple[str, ...] = _COLUMNS
    if transition is None:
        save_changed(source, fields)
        return
    if transition == "finish_refunding":
        source.resolved_at, source.next_policy_at = timezone.now(), None
        fields = (*_COLUMNS, "resolved_at", "next_policy_at")
    advance(source, transition, actor=actor, fields=fields, event=f"abnormal.{_WORDS[transition]}")


_WORDS = {"start_refunding": "refunding", "open_again": "open_again", "finish_refunding": "refunded"}


def _abnormal_move(source: AbnormalPayment) -> str | None:
    gone = source.refunded_amount + source.external_refunded
    if source.state == AbnormalState.OPEN:
        if source.refunding_amount > 0:
            return "start_refunding"
        return "finish_refunding" if gone >= source.amount else None
    if source.state == AbnormalState.REFUNDING and source.refunding_amount == 0:
        return "finish_refunding" if gone >= source.amount else "open_again"
    return None
