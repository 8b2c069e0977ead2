"""The log-like rows beside a payment: events, messages to the app with their deliveries, exchanges, alerts."""

from __future__ import annotations

from deploy.history.chain import Chain
from deploy.history.clock import DAY, MINUTE, SECOND, iso
from deploy.history.links import Happened
from deploy.history.orders import Order, Try, record
from deploy.history.tables import Table
from deploy.history.words import Words
from notifications.models import Alert, Delivery, Notification
from paycenter.models import Exchange

# How long after the first try the following ones came, as the default schedule of deliveries has it.
_RETRIES = (15, 30, 180, 600, 1200, 1800, 1800, 3600, 10800, 21600)
_GIVEN_UP = "HTTP 502"


class Telling:
    """Writes nothing for what happened before `log_from`."""

    def __init__(self, words: Words, log_from: int, now: int) -> None:
        self.words, self.random, self.log_from, self.now = words, words.random, log_from, now
        self.chain = Chain()
        self.messages = Table(
            Notification, "id", "webhook_id", "app_id", "type", "url", "host", "body", "trade_no", "refund_no", "state",
            "tries", "next_delivery_at", "created_at", "delivered_at",
        )  # fmt: skip
        self.deliveries = Table(
            Delivery, "id", "notification_id", "number", "started_at", "elapsed_ms", "status", "response", "error",
            "acknowledged",
        )  # fmt: skip
        self.exchanges = Table(
            Exchange, "id", "created_at", "direction", "peer", "operation", "app_order_no", "trade_no", "attempt_no",
            "merchant_no", "method", "url", "status", "elapsed_ms", "request", "response", "request_id",
        )  # fmt: skip
        self.alerts = Table(
            Alert, "id", "kind", "key", "severity", "title", "text", "merchant_no", "trade_no", "created_at", "last_at",
            "sent_at", "acknowledged_at", "acknowledged_by",
        )  # fmt: skip
        self.tables = (self.chain.table, self.messages, self.deliveries, self.exchanges, self.alerts)

    # ---- events ----
    def of_trade(self, o: Order, at: int, type_: str, actor: str, before: str = "", reason: str = "") -> str:
        """A public event with the trade as it stands now, which is answered; `before` empty where no state changed."""
        if at < self.log_from:
            return ""
        after, data = o.state if before or type_ == "trade.created" else "", record(o)
        self.chain.add(Happened(
            at, type_, "trade", o.id, actor, o.line.app_id, o.line.merchant_no, o.no, "", "", before, after, reason,
            "{}", data, True,
        ))  # fmt: skip
        return data

    def of_attempt(
        self, o: Order, a: Try, at: int, type_: str, actor: str, before: str = "", reason: str = "", detail: str = "{}"
    ) -> None:
        if at >= self.log_from:
            self.chain.add(Happened(
                at, type_, "attempt", a.id, actor, o.line.app_id, o.line.merchant_no, o.no, a.no, "", before, a.state,
                reason, detail,
            ))  # fmt: skip

    # ---- messages ----
    def app(self, o: Order, at: int, type_: str, data: str, refund_no: str = "") -> None:
        """Put a message into the outbox and deliver it; the trade knows how far that is."""
        if at < self.log_from:
            return
        number, tries, acknowledged = self.messages.next_id(), *self._fortune()
        times = [at + 40_000]
        for delay in _RETRIES[: tries - 1]:
            times.append(times[-1] + delay * SECOND)
        done = [time for time in times if time <= self.now - SECOND]
        delivered = times[-1] + 90_000 if acknowledged and len(done) == len(times) else None
        given_up = not acknowledged and len(done) == len(times)
        state = "delivered" if delivered else "given_up" if given_up else "pending"
        webhook_id = f"msg_{at // 1000:012x}{self.words.hex(20)}"
        self.messages.add(
            number, webhook_id, o.line.app_pk, type_, o.line.notify_url, o.line.host,
            f'{{"id":"{webhook_id}","type":"{type_}","created_at":"{iso(at)}","data":{data}}}', o.no, refund_no, state,
            len(done), None if state != "pending" else max(times[len(done)], self.now) + MINUTE, at, delivered,
        )  # fmt: skip
        for n, time in enumerate(done, start=1):
            ok = bool(delivered) and n == len(times)
            self.deliveries.add(
                self.deliveries.next_id(), number, n, time, 20 + n * 7, 200 if ok else 502,
                "success" if ok else "", "" if ok else _GIVEN_UP, ok,
            )  # fmt: skip
        o.notify_state, o.notified_at = state, delivered or o.notified_at
        if given_up:
            self._gave_up(o, number, webhook_id, type_, len(done), times[-1] + 100_000)

    def _fortune(self) -> tuple[int, bool]:
        """How many tries it takes, and whether the last one is acknowledged."""
        chance = self.random.random()
        if chance < 0.98:
            return 1, True
        return (self.random.randint(2, 5), True) if chance < 0.998 else (len(_RETRIES) + 1, False)

    def _gave_up(self, o: Order, number: int, webhook_id: str, type_: str, tries: int, at: int) -> None:
        detail = f'{{"tries":{tries},"type":"{type_}","webhook_id":"{webhook_id}"}}'
        self.chain.add(Happened(
            at, "notification.given_up", "notification", number, "system", o.line.app_id, "", o.no, "", "", "pending",
            "given_up", _GIVEN_UP, detail,
        ))  # fmt: skip

    # ---- exchanges and alerts ----
    def exchange(
        self, o: Order, a: Try | None, at: int, way: tuple[str, str, str, str, str], request: str, response: str
    ) -> None:
        """`way`: direction, peer, operation, HTTP method, address."""
        direction, peer, operation, method, url = way
        self.exchanges.add(
            self.exchanges.next_id(), at, direction, peer, operation, o.app_order_no, o.no, a.no if a else "",
            o.line.merchant_no, method, url, 200, 30 + self.random.randrange(400), request, response,
            self.words.hex(32),
        )  # fmt: skip

    def alert(self, o: Order, at: int, kind: str, key: str, title: str, text: str) -> None:
        """Acknowledged by now unless it is of the last two days."""
        if at < self.log_from:
            return
        seen = at + 2 * 3600 * SECOND if at < self.now - 2 * DAY else None
        self.alerts.add(
            self.alerts.next_id(), kind, key, "critical", title, text, o.line.merchant_no, o.no, at, at,
            at + SECOND, seen, "demo-operator" if seen else "",
        )  # fmt: skip
