"""Reading trades: what an app may see of its own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.db.models import QuerySet

from merchants.api.errors import NotFound
from merchants.models import App
from notifications.selectors import notify_state_of
from paycenter import compiled
from paycenter.times import iso
from trades import taken_port
from trades.models import AbnormalPayment, Attempt, Trade
from trades.states import LIVE_ATTEMPT_STATES

_LIVE = compiled.Select(
    lambda trade: Attempt.objects.only("pk").filter(trade_id=trade, state__in=LIVE_ATTEMPT_STATES).order_by("pk"),
    trade=int,
)  # fmt: skip


def trade_get(
    *, app: App, trade_no: str | None = None, app_order_no: str | None = None, merchant_no: str | None = None
) -> Trade:
    """This app's trade by the center's number, or by its own number and the merchant's.

    Raises NotFound; another app's trade looks exactly the same.
    """
    names = {"trade_no": trade_no, "app_order_no": app_order_no, "merchant__merchant_no": merchant_no}
    given = {name: value for name, value in names.items() if value is not None}
    if trade_no is None and app_order_no is None:
        raise NotFound
    trades = _by(*given)
    trade = trades.first(app=app.pk, **given)
    if trade is None and _bring(app, trade_no, app_order_no, merchant_no):
        trade = trades.first(app=app.pk, **given)
    if trade is None:
        raise NotFound
    trade.app = app
    return trade


@lru_cache(maxsize=8)
def _by(*names: str) -> compiled.Select[Trade]:
    """An app's trade by these lookups."""
    trades = Trade.objects.select_related("merchant", "current_attempt", "settled_attempt").order_by("pk")
    return compiled.Select(lambda **values: trades.filter(**values)[:1], app=int, **dict.fromkeys(names, str))


def _bring(app: App, trade_no: str | None, app_order_no: str | None, merchant_no: str | None) -> bool:
    """Whether the order was taken without being stored, and may be found now."""
    taken = taken_port.side()
    if trade_no is not None:
        return taken.bring_trade(trade_no)
    return merchant_no is not None and taken.bring_order(app.pk, merchant_no, app_order_no or "")


def live_attempt_ids(trade_id: int) -> list[int]:
    """The keys of a trade's live attempts, oldest first."""
    return [attempt.pk for attempt in _LIVE.rows(trade=trade_id)]


def live_attempts(trade: Trade) -> QuerySet[Attempt]:
    """Attempts that a channel may still turn into money."""
    return trade.attempts.filter(state__in=LIVE_ATTEMPT_STATES)


def trade_data(trade: Trade) -> dict[str, Any]:
    """The trade as the contract answers it. Amounts in minor units, times ISO 8601 with offset."""
    return {**_order_part(trade), **_attempt_part(trade), **notify_state_of(trade.trade_no)}


def untold_trade_data(trade: Trade) -> dict[str, Any]:
    """As `trade_data`, of a trade that there is no message about yet."""
    return {**_order_part(trade), **_attempt_part(trade), **notify_state_of("")}


def _order_part(trade: Trade) -> dict[str, Any]:
    return {
        "trade_no": trade.trade_no,
        "app_order_no": trade.app_order_no,
        "business_no": trade.business_no or None,
        "merchant_no": trade.merchant.merchant_no,
        "app_id": trade.app.app_id,
        "amount": trade.amount,
        "currency": trade.currency,
        "scale": trade.scale,
        "paid_amount": trade.paid_amount,
        "refunded_amount": trade.refunded_amount,
        "refunding_amount": trade.refunding_amount,
        "refundable_amount": trade.refundable_amount,
        "state": str(trade.state),
        "subject": trade.subject,
        "attach": trade.attach,
        "detail": trade.detail,
        "created_at": iso(trade.created_at),
        "expire_at": iso(trade.expire_at),
        "paid_at": iso(trade.paid_at),
        "closed_at": iso(trade.closed_at),
        "version": trade.version,
    }


def _attempt_part(trade: Trade) -> dict[str, Any]:
    attempt = trade.settled_attempt or trade.current_attempt
    if attempt is None:
        names = ("attempt_no", "channel_order_no", "channel_trade_no", "method", "channel")
        return {**dict.fromkeys(names), "funding": trade.funding}
    return {
        "attempt_no": attempt.attempt_no,
        "channel_order_no": attempt.channel_order_no,
        "channel_trade_no": attempt.channel_trade_no,
        "method": attempt.method,
        "channel": attempt.channel,
        "funding": attempt.funding or trade.funding,
    }


def duplicate_data(abnormal: AbnormalPayment) -> dict[str, Any]:
    """The trade with the `duplicate` part that `trade.duplicate_paid` adds."""
    return {
        **trade_data(abnormal.trade),
        "duplicate": {
            "kind": abnormal.kind,
            "attempt_no": abnormal.attempt.attempt_no,
            "channel_trade_no": abnormal.channel_trade_no or None,
            "amount": abnormal.amount,
            "currency": abnormal.currency,
        },
    }

