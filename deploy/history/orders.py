"""One order on its way, and its public record in the chain's spelling."""

from __future__ import annotations

from deploy.history.cast import Line, Way
from deploy.history.clock import iso

_SCALES = {"JPY": 0}


class Try:
    """One attempt."""

    __slots__ = ("account_id", "at", "channel", "channel_trade_no", "closed_at", "error", "id", "method", "no",
                 "paid_at", "state", "superseded_at", "version")  # fmt: skip

    def __init__(self, number: int, no: str, way: Way, at: int) -> None:
        self.id, self.no, self.at = number, no, at
        self.account_id, self.channel, self.method = way.account_id, way.channel, way.method
        self.state, self.version = "created", 0
        self.channel_trade_no: str | None = None
        self.paid_at: int | None = None
        self.closed_at: int | None = None
        self.superseded_at: int | None = None
        self.error = ""


class Order:
    """A trade with its attempts, as it stands at the moment that is told of."""

    __slots__ = ("amount", "app_order_no", "at", "business_no", "cashier", "closed_at", "currency", "expire_at",
                 "id", "line", "logged", "no", "notified_at", "notify_state", "paid", "paid_at", "payer", "refunded",
                 "refunding", "settled", "state", "subject", "tail", "tries", "version")  # fmt: skip

    def __init__(self, number: int, no: str, line: Line, at: int) -> None:
        self.id, self.no, self.line, self.at = number, no, line, at
        self.state, self.version, self.paid, self.refunded, self.refunding = "waiting", 1, 0, 0, 0
        self.tries: list[Try] = []
        self.settled: Try | None = None
        self.paid_at: int | None = None
        self.closed_at: int | None = None
        self.notify_state: str | None = None
        self.notified_at: int | None = None
        self.logged = self.cashier = False
        self.app_order_no = self.business_no = self.currency = self.subject = self.tail = ""
        self.payer: str | None = None
        self.amount = self.expire_at = 0


def record(o: Order) -> str:
    """`trades.selectors.trade_data` of this moment, as sorted JSON."""
    tried = o.settled or (o.tries[-1] if o.tries else None)
    if tried is None:
        middle = '"attempt_no":null,', '"channel":null,"channel_order_no":null,"channel_trade_no":null,', "null"
    else:
        number = f'"{tried.channel_trade_no}"' if tried.channel_trade_no else "null"
        middle = (
            f'"attempt_no":"{tried.no}",',
            f'"channel":"{tried.channel}","channel_order_no":"{tried.no}","channel_trade_no":{number},',
            f'"{tried.method}"',
        )
    return (
        f'{{"amount":{o.amount},"app_id":"{o.line.app_id}","app_order_no":"{o.app_order_no}","attach":null,{middle[0]}'
        f'"business_no":{_text(o.business_no)},{middle[1]}"closed_at":{_time(o.closed_at)},"created_at":"{iso(o.at)}",'
        f'"currency":"{o.currency}","detail":null,"expire_at":"{iso(o.expire_at)}","funding":null,'
        f'"merchant_no":"{o.line.merchant_no}","method":{middle[2]},"notified_at":{_time(o.notified_at)},'
        f'"notify_state":{_text(o.notify_state)},"paid_amount":{o.paid},"paid_at":{_time(o.paid_at)},'
        f'"refundable_amount":{o.paid - o.refunded - o.refunding},"refunded_amount":{o.refunded},'
        f'"refunding_amount":{o.refunding},"scale":{_SCALES.get(o.currency, 2)},"state":"{o.state}",'
        f'"subject":"{o.subject}","trade_no":"{o.no}","version":{o.version}}}'
    )


def _text(value: str | None) -> str:
    return f'"{value}"' if value else "null"


def _time(moment: int | None) -> str:
    return "null" if moment is None else f'"{iso(moment)}"'
