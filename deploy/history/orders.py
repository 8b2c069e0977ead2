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
                 "refunding", "settled", "spelled", "state", "subject", "tail", "tries", "version")  # fmt: skip

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
        self.spelled: tuple[str, ...] = ()
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
    head, business, order, scale, tail = o.spelled or _spelled(o)
    return (
        f'{head}{middle[0]}{business}{middle[1]}"closed_at":{_time(o.closed_at)},{order}"method":{middle[2]},'
        f'"notified_at":{_time(o.notified_at)},"notify_state":{_text(o.notify_state)},"paid_amount":{o.paid},'
        f'"paid_at":{_time(o.paid_at)},"refundable_amount":{o.paid - o.refunded - o.refunding},'
        f'"refunded_amount":{o.refunded},"refunding_amount":{o.refunding},{scale}"state":"{o.state}",'
        f'{tail}"version":{o.version}}}'
    )


def _spelled(o: Order) -> tuple[str, ...]:
    """What stays the same in all records of an order."""
    o.spelled = (
        f'{{"amount":{o.amount},"app_id":"{o.line.app_id}","app_order_no":"{o.app_order_no}","attach":null,',
        f'"business_no":{_text(o.business_no)},',
        f'"created_at":"{iso(o.at)}","currency":"{o.currency}","detail":null,"expire_at":"{iso(o.expire_at)}",'
        f'"funding":null,"merchant_no":"{o.line.merchant_no}",',
        f'"scale":{_SCALES.get(o.currency, 2)},', f'"subject":"{o.subject}","trade_no":"{o.no}",',
    )  # fmt: skip
    return o.spelled


def _text(value: str | None) -> str:
    return f'"{value}"' if value else "null"


def _time(moment: int | None) -> str:
    return "null" if moment is None else f'"{iso(moment)}"'
