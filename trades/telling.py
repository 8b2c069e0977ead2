"""Events and notifications of trades: what the timeline, the cursor and the app get to know."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from merchants.models import App
from notifications.models import NotificationState
from notifications.services import notification_create
from paycenter import compiled
from paycenter.models import Event
from paycenter.transitions import advance, record_event
from trades.models import AbnormalPayment, Trade
from trades.selectors import duplicate_data, trade_data, untold_trade_data

# Transition → the type apps know it by. Transitions that are not here are not told, only recorded.
_TOLD = {"pay": "trade.paid", "accept_late_money": "trade.paid", "close": "trade.closed", "fail": "trade.failed"}
_EVENT = {
    **_TOLD,
    "start_paying": "trade.paying",
    "wait_again": "trade.waiting",
    "confirm_return": "trade.confirming",
    "resume_paying": "trade.paying",
}


def trade_advance(
    trade: Trade, transition: str, *, actor: str, reason: str = "", fields: tuple[str, ...] = (), untold: bool = False
) -> None:
    """Run a transition on a locked trade; write its public event and, where apps are told, the notification.

    `untold` says that there is no message about it yet. Raises TransitionRefused.
    """
    def data_of(changed: Trade) -> dict[str, Any]:
        data = untold_trade_data(changed) if untold else trade_data(changed)
        return _when_told(changed, data) if transition in _TOLD else data

    event = advance(
        trade, transition, actor=actor, reason=reason, fields=fields, event=_EVENT[transition], public=True,
        data_of=data_of,
    )  # fmt: skip
    if transition in _TOLD:
        tell_app(trade, _TOLD[transition], event.data)


def _address(trade: Trade) -> str:
    return trade.notify_url or trade.app.notify_url


def _when_told(trade: Trade, data: dict[str, Any]) -> dict[str, Any]:
    """The data as the query answers from the commit on: with the message that is written beside it."""
    return {**data, "notify_state": str(NotificationState.PENDING)} if _address(trade) else data


def trade_created(trade: Trade, *, actor: str) -> None:
    """Write the event of a trade opened in this transaction."""
    data = untold_trade_data(trade)
    record_event(trade, "trade.created", actor=actor, to_state=str(trade.state), public=True, data=data)


def trade_changed(trade: Trade, type_: str, *, actor: str, reason: str = "") -> Event:
    """Write a public event for a change that is no transition (an amount, a channel's number)."""
    return record_event(trade, type_, actor=actor, reason=reason, public=True, data=trade_data(trade))


def trade_count_up(trade: Trade) -> None:
    """Raise the version of a locked trade for a change that is no transition."""
    trade.version += 1
    compiled.update(trade, ("version",))


def abnormal_opened(abnormal: AbnormalPayment, *, actor: str) -> None:
    """Tell the app about money that does not settle its trade."""
    data = {**duplicate_data(abnormal), **_when_told(abnormal.trade, trade_data(abnormal.trade))}
    record_event(
        abnormal, "trade.duplicate_paid", actor=actor, to_state=str(abnormal.state), public=True, data=data
    )
    tell_app(abnormal.trade, "trade.duplicate_paid", data)


def tell_app(trade: Trade, type_: str, data: dict[str, Any] | None) -> None:
    """Put a notification into the outbox, in the caller's transaction."""
    app: App = trade.app
    notification_create(
        app=app, type=type_, data=data or {}, url=_address(trade),
        trade_no=trade.trade_no, now=timezone.now(),
    )  # fmt: skip
