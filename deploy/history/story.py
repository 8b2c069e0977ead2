"""Payments from their order to their end, as the services would have carried them."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from cashier.models import CashierOrder
from deploy.history.bills import Bills, Paid
from deploy.history.cast import Cast, Line
from deploy.history.clock import MINUTE, SECOND, digits
from deploy.history.orders import Order, Try
from deploy.history.tables import Table
from deploy.history.telling import Telling
from deploy.history.words import Words
from trades.models import Attempt, Trade

LIFE = 30 * MINUTE
LATE_SHARE = 0.004  # of the orders that expired after somebody went to pay
_ORDER_PREFIX = {"fee": "WY", "parking": "TC", "utility": "SD", "overseas": "HW"}
_CLOSED, _REFUSED = "closed at the channel", "balance not enough"
_ADDRESSES = [f"10.{n % 13}.{n % 251}.{n % 239}" for n in range(997)]
_PAY_WORDS = {"wechat": "weixin://wxpay/bizpayurl?pr=", "alipay": "https://qr.alipay.invalid/", "unionpay":
              "https://qr.95516.invalid/", "mpgs": "https://pay.mpgs.invalid/checkout/"}  # fmt: skip


class Story:
    """Tells one order after the other, in the order of time. `refunds` hears of those of which some goes back."""

    def __init__(self, cast: Cast, words: Words, telling: Telling, bills: Bills, now: int) -> None:
        self.words, self.random, self.telling, self.bills, self.now = words, words.random, telling, bills, now
        self.untold = telling.log_from - MINUTE  # nothing that happens before it is told of
        total = sum(line.share for line in cast.lines)
        self.lines: list[Line] = []
        for line in cast.lines:
            self.lines += [line] * max(1, 4000 * line.share // total)
        self.trades = Table(
            Trade, "id", "trade_no", "app_id", "merchant_id", "app_order_no", "business_no", "amount", "currency",
            "subject", "client_ip", "payer", "phone_tail", "state", "paid_amount", "refunded_amount",
            "refunding_amount", "current_attempt_id", "settled_attempt_id", "created_at", "expire_at", "paid_at",
            "closed_at", "next_close_at", "version",
        )  # fmt: skip
        self.attempts = Table(
            Attempt, "id", "attempt_no", "trade_id", "account_id", "channel", "method", "channel_order_no", "amount",
            "currency", "state", "created_at", "sent_at", "submitted_at", "expire_at", "pay", "channel_trade_no",
            "paid_amount", "paid_currency", "paid_at", "channel_state", "error_code", "error_message", "superseded_at",
            "next_query_at", "version",
        )  # fmt: skip
        self.cashier = Table(CashierOrder, "id", "trade_id", "token", "code", "display", "created_at")
        self.tables = (self.trades, self.attempts, self.cashier)
        self._later: list[tuple[int, int, Callable[[int], None]]] = []
        self.after_payment: Callable[[Order], bool] = lambda _order: False
        self.after_money: Callable[[Order, Try, str], None] = lambda _order, _try, _kind: None

    # ---- time ----
    def at(self, moment: int, act: Callable[[int], None]) -> None:
        """Have something done when the story reaches that moment."""
        heapq.heappush(self._later, (moment, len(self._later) + self.trades.last_id, act))

    def reach(self, moment: int) -> None:
        """Do what was put off until now."""
        while self._later and self._later[0][0] <= moment:
            due, _number, act = heapq.heappop(self._later)
            act(due)

    # ---- one order ----
    def tell(self, at: int) -> None:
        self.reach(at)
        o = self._open(at)
        chance = self.random.random()
        if chance < 0.865:
            self._pay(o, self._begin(o, self._chosen(o)), self._payers_time())
        elif chance < 0.9:
            self._second_thoughts(o)
        elif chance < 0.93 and o.cashier:
            self._expire(o)
        elif chance < 0.94:
            self._refused(o)
        else:
            self._begin(o, self._chosen(o))
            self._expire(o)
        if not (o.state == "paid" and self.after_payment(o)):
            self.write(o)

    def _open(self, at: int) -> Order:
        random, words = self.random, self.words
        line = words.one_of(self.lines)
        o = Order(self.trades.next_id(), f"P{digits(at)}{words.tail()}", line, at)
        o.currency, o.amount = words.currency(line.kind), words.one_of(words.amounts[line.kind])
        o.subject, o.expire_at = words.one_of(words.subjects[line.kind]), at + LIFE
        o.app_order_no = f"{_ORDER_PREFIX[line.kind]}{o.no[1:9]}{o.id:010d}"
        o.business_no = words.one_of(words.rooms) if line.kind != "parking" else ""
        o.payer, o.tail = words.one_of(words.payers) if line.kind != "parking" else (None, "")
        o.cashier, o.logged = random.random() < 0.3, at >= self.telling.log_from
        self.telling.of_trade(o, at, "trade.created", f"app:{line.app_id}")
        if o.cashier:
            self.cashier.add(
                self.cashier.next_id(), o.id, words.hex(43), words.hex(16),
                f'[{{"label": "房屋", "value": "{o.business_no}"}}]' if o.business_no else "[]", at,
            )  # fmt: skip
        return o

    def _chosen(self, o: Order) -> int:
        """When the payer chooses a method: at once, or on the cashier page."""
        return o.at + (int(self.random.random() * 90 * SECOND) + 6 * SECOND if o.cashier else 3000)

    def _payers_time(self) -> int:
        return int((4 + self.random.expovariate(1 / 14)) * SECOND)

    def _begin(self, o: Order, at: int, supersedes: Try | None = None) -> Try | None:
        """A new attempt that the channel takes; None where that has not happened yet."""
        if at + SECOND > self.now:
            return None
        actor = "payer" if o.cashier else f"app:{o.line.app_id}"
        a = Try(self.attempts.next_id(), f"A{digits(at)}{self.words.tail()}", self.words.one_of(o.line.ways), at)
        o.tries.append(a)
        if supersedes is not None:
            supersedes.superseded_at = at
        before, o.state, o.version = o.state, "paying", o.version + 1
        if at < self.untold:
            a.state, a.version = "submitted", 1
            return a
        detail = f'{{"amount":{o.amount},"method":"{a.method}"}}'
        self.telling.of_attempt(o, a, at, "attempt.created", actor, detail=detail)
        self.telling.of_trade(o, at, "trade.paying", actor, before)
        a.state, a.version = "submitted", 1
        self.telling.of_attempt(o, a, at + self._answer_time(), "attempt.submitted", actor, "created")
        if o.logged and self.random.random() < 0.1:
            self._exchanges(o, a, at)
        return a

    def _answer_time(self) -> int:
        return 60_000 + int(self.random.expovariate(1 / 120_000)) % 900_000

    def _exchanges(self, o: Order, a: Try, at: int) -> None:
        tell, amount = self.telling.exchange, f'"amount":{o.amount},"currency":"{o.currency}"'
        if not o.cashier:
            asked = f'{{"app_order_no":"{o.app_order_no}",{amount},"method":"{a.method}"}}'
            answer = f'{{"errno":0,"data":{{"trade_no":"{o.no}","attempt_no":"{a.no}"}}}}'
            tell(o, a, at, ("in", f"app:{o.line.app_id}", "gopay", "POST", "/v1/gopay"), asked, answer)
        asked = f'{{"out_trade_no":"{a.no}",{amount},"description":"{o.subject}"}}'
        tell(o, a, at + 5000, ("out", f"channel:{a.channel}", "pay", "POST", "https://channel.invalid/pay"), asked,
             '{"code":"SUCCESS"}')  # fmt: skip

    # ---- how it ends ----
    def _pay(self, o: Order, a: Try | None, after: int) -> bool:
        """The money comes; False where it has not come yet."""
        if a is None or a.at + after + SECOND > self.now:
            return False
        at = a.at + after
        actor = f"channel:{a.channel}" if self.random.random() < 0.97 else "system:query"
        self.money(o, a, at, actor)
        before, o.state, o.version = o.state, "paid", o.version + 1
        o.settled, o.paid, o.paid_at = a, o.amount, a.paid_at
        o.notify_state = "pending" if o.logged else None
        data = self.telling.of_trade(o, at + 400_000, "trade.paid", actor, before)
        if o.logged:
            self.telling.app(o, at + 400_000, "trade.paid", data)
        return True

    def money(self, o: Order, a: Try, at: int, actor: str) -> None:
        """The channel's success, as it is booked some 400 ms later."""
        a.paid_at = at // SECOND * SECOND  # channels know seconds
        a.channel_trade_no = f"42{digits(at)[2:14]}{a.id:012d}"
        before, a.state, a.version = a.state, "succeeded", a.version + 1
        if at >= self.untold:
            detail = f'{{"amount":{o.amount},"channel_trade_no":"{a.channel_trade_no}","currency":"{o.currency}"}}'
            self.telling.of_attempt(o, a, at + 400_000, "attempt.succeeded", actor, before, detail=detail)
        self.bills.paid(a.channel, a.account_id, Paid(
            a.paid_at, a.id, a.no, o.no, o.line.app_pk, o.line.app_id, a.channel_trade_no, o.amount, o.currency,
            a.method,
        ))  # fmt: skip

    def close(self, o: Order, a: Try, at: int, actor: str) -> None:
        before, a.state, a.version, a.closed_at = a.state, "closed", a.version + 1, at
        self.telling.of_attempt(o, a, at, "attempt.closed", actor, before, _CLOSED)

    def _second_thoughts(self, o: Order) -> None:
        """The payer changes to another method and pays; rarely with both."""
        first = self._begin(o, self._chosen(o))
        if first is None:
            return
        second = self._begin(o, first.at + int((10 + self.random.random() * 100) * SECOND), first)
        if second is None:
            return
        twice = self.random.random() < 0.02
        if not twice:
            self.close(o, first, second.at + 800_000, "system:superseded")
        if self._pay(o, second, self._payers_time()) and twice:
            late = second.at + 40 * MINUTE
            if late < self.now:
                self.money(o, first, late, f"channel:{first.channel}")
                self.after_money(o, first, "duplicate")

    def _refused(self, o: Order) -> None:
        """The channel says no; the order is left waiting and expires."""
        a = self._begin(o, self._chosen(o))
        if a is not None and a.at + 2 * SECOND <= self.now:
            at, actor = a.at + 2 * SECOND, f"channel:{a.channel}"
            a.state, a.version, a.error, a.closed_at = "failed", a.version + 1, "NOT_ENOUGH", at
            self.telling.of_attempt(o, a, at, "attempt.failed", actor, "submitted", f"NOT_ENOUGH {_REFUSED}")
            before, o.state, o.version = o.state, "waiting", o.version + 1
            self.telling.of_trade(o, at, "trade.waiting", actor, before, _REFUSED)
        self._expire(o)

    def _expire(self, o: Order) -> None:
        """Closed at its channels and here when its time is over; rarely money comes all the same."""
        at = o.expire_at + 1_500_000
        if at + SECOND > self.now:
            return
        for a in o.tries:
            if a.state == "submitted":
                self.close(o, a, at, "system:expiry")
        before, o.state, o.version, o.closed_at = o.state, "closed", o.version + 1, at
        o.notify_state = "pending" if o.logged else None
        data = self.telling.of_trade(o, at, "trade.closed", "system:expiry", before)
        if o.logged:
            self.telling.app(o, at, "trade.closed", data)
        if o.tries and self.random.random() < LATE_SHARE and at + 20 * MINUTE < self.now:
            a = o.tries[-1]
            self.money(o, a, at + 5 * MINUTE, f"channel:{a.channel}")
            self.after_money(o, a, "late")

    # ---- rows ----
    def write(self, o: Order) -> None:
        """The trade and its attempts as they stand in the end."""
        line, last = o.line, o.tries[-1].id if o.tries else None
        is_open = o.state in ("waiting", "paying")
        self.trades.add(
            o.id, o.no, line.app_pk, line.merchant_pk, o.app_order_no, o.business_no, o.amount, o.currency, o.subject,
            _ADDRESSES[o.id % 997], o.payer, o.tail, o.state, o.paid, o.refunded,
            o.refunding, last, o.settled.id if o.settled else None, o.at, o.expire_at, o.paid_at,
            o.closed_at, o.expire_at if is_open else None, o.version,
        )  # fmt: skip
        for a in o.tries:
            self._write_attempt(o, a)

    def _write_attempt(self, o: Order, a: Try) -> None:
        paid = a.paid_at is not None
        self.attempts.add(
            a.id, a.no, o.id, a.account_id, a.channel, a.method, a.no, o.amount, o.currency, a.state, a.at, a.at,
            a.at, o.expire_at,
            f'{{"type": "qrcode", "content": "{_PAY_WORDS[a.channel]}{a.no[-12:]}"}}', a.channel_trade_no,
            o.amount if paid else None, o.currency if paid else "", a.paid_at, "SUCCESS" if paid else "", a.error,
            _REFUSED if a.error else "", a.superseded_at, self.now + MINUTE if a.state == "submitted" else None,
            a.version,
        )  # fmt: skip
