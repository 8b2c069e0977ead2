"""What must hold: at every moment that is committed, whenever something is acknowledged, and in the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import connection

from channels.base import PaymentState
from channels.base import RefundState as Word
from notifications.models import Notification
from paycenter.models import Event
from paycenter.sequencer import chain_hash
from refunds.models import Refund
from tests.simulation.scheduler import current
from trades.models import AbnormalPayment, Attempt, Trade

if TYPE_CHECKING:
    from tests.simulation.stage import Stage

AUTOMATIC_UP_TO, ONE_APPROVAL_UP_TO = 300, 700
RESERVING = ("pending_approval", "on_hold", "approved", "processing")
LIVE = ("created", "submitted", "unknown")
TOLD = {"paid": "trade.paid", "closed": "trade.closed", "failed": "trade.failed"}
REFUND_ENDS = ("succeeded", "failed", "rejected", "cancelled")
_READ = {
    "trade": "SELECT id, trade_no, state, paid_amount, refunded_amount, refunding_amount, external_refunded,"
             " settled_attempt_id, amount FROM trades_trade",
    "attempt": "SELECT id, attempt_no, state, paid_amount, trade_id, submitted_at, amount FROM trades_attempt",
    "abnormal": "SELECT id, attempt_id, state, amount, refunded_amount, refunding_amount, external_refunded, trade_id"
                " FROM trades_abnormalpayment",
    "refund": "SELECT id, refund_no, state, amount, source, counted_as_external, abnormal_id, trade_id, attempt_id,"
              " channel_request_no, route, sends FROM refunds_refund",
    "approved": "SELECT refund_id, amount, count(DISTINCT approver_id) AS people FROM refunds_approval"
                " WHERE decision = 'approve' GROUP BY 1, 2",
    "told": "SELECT type, trade_no, refund_no, count(*) FROM notifications_notification GROUP BY 1, 2, 3",
    "events": "SELECT type, trade_no, refund_no, count(*) FROM paycenter_event GROUP BY 1, 2, 3",
}  # fmt: skip


# The sweeps by name, and the column that says when they have something to do.
_DUE = (
    ("query", "next_query_at", "trades_attempt"), ("superseded", "next_close_at", "trades_attempt"),
    ("close", "next_close_at", "trades_trade"), ("send_refunds", "next_send_at", "refunds_refund"),
    ("query_refunds", "next_query_at", "refunds_refund"), ("policies", "next_policy_at", "trades_abnormalpayment"),
    ("deliver", "next_delivery_at", "notifications_notification"), ("probe", "next_probe_at", "trades_channelhealth"),
)  # fmt: skip
_DUE_AT = " UNION ALL ".join(
    [f"SELECT '{name}', min({column}) FROM {table}" for name, column, table in _DUE]
    + ["SELECT 'sequence', min(created_at) FROM paycenter_event WHERE seq IS NULL"]
)


def _moment(value: datetime | str) -> datetime:
    """SQLite answers times as text."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)


class Broken(Exception):
    """A rule does not hold; the text says which and how."""


class Rules:
    """Over the rows of one history."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.book = stage, stage.world.book
        self._ended: dict[str, str] = {}

    def answered(self, what: str, is_there: bool) -> None:
        """Called by whoever got an answer, once it has read what stands behind it in the database."""
        if not is_there and not (current() and current().dead):  # type: ignore[union-attr]
            self.stage.trouble.append(f"a {what} was acknowledged that is not committed")

    def now(self) -> None:
        """With nobody running: what is committed is consistent, together with what the channel did."""
        rows = {name: self._read(sql) for name, sql in _READ.items()}
        self._placed(rows)
        self._sums(rows)
        self._told(rows)
        self._channel(rows)
        self._decided(rows)

    def _decided(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """Nothing is sent that fewer people approved, over this very amount, than the policy asks for."""
        people = {(row["refund_id"], row["amount"]): row["people"] for row in rows["approved"]}
        for refund in rows["refund"]:
            needed = sum(refund["amount"] > limit for limit in (AUTOMATIC_UP_TO, ONE_APPROVAL_UP_TO))
            given = people.get((refund["id"], refund["amount"]), 0)
            if refund["sends"] and refund["source"] == "api" and given < needed:
                raise Broken(f"refund of {refund['amount']} was sent with {given} approvals instead of {needed}")

    def _read(self, sql: str) -> list[dict[str, Any]]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _placed(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """A success pays its trade, or is one abnormal payment."""
        settles = {t["settled_attempt_id"]: t for t in rows["trade"] if t["settled_attempt_id"]}
        strays = defaultdict(list)
        for stray in rows["abnormal"]:
            if stray["state"] not in ("void", "unverified"):
                strays[stray["attempt_id"]].append(stray)
        for attempt in rows["attempt"]:
            trade, stray = settles.get(attempt["id"]), strays.get(attempt["id"], [])
            accepted = bool(stray) and stray[0]["state"] == "accepted"
            places = bool(trade) + len(stray) - (bool(trade) and accepted)
            if places != (attempt["state"] == "succeeded"):
                raise Broken(f"attempt {attempt['id']} is {attempt['state']} and counted in {places} places")
            if trade and trade["paid_amount"] != attempt["paid_amount"]:
                raise Broken(f"the trade counts {trade['paid_amount']}, {attempt['paid_amount']} arrived")
        self._final(rows)

    def _final(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """Paid is never left, and money that went back never comes again."""
        for kind, name, final in (("trade", "trade_no", "paid"), ("refund", "refund_no", "succeeded")):
            for row in rows[kind]:
                if self._ended.get(row[name]) == final and row["state"] != final:
                    raise Broken(f"{kind} {row[name]} was {final} and is {row['state']}")
                self._ended[row[name]] = row["state"]

    def _sums(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        for kind, paid in (("trade", "paid_amount"), ("abnormal", "amount")):
            for source in rows[kind]:
                own = [r for r in rows["refund"] if self._is_of(r, kind, source)]
                done = [r for r in own if r["state"] == "succeeded"]
                wanted = (
                    sum(r["amount"] for r in own if r["state"] in RESERVING and r["source"] != "external"),
                    sum(r["amount"] for r in done if not r["counted_as_external"]),
                    sum(r["amount"] for r in done if r["counted_as_external"]),
                )
                kept = (source["refunding_amount"], source["refunded_amount"], source["external_refunded"])
                if kept != wanted:
                    raise Broken(f"{kind} keeps refunding, refunded, external {kept}; its refunds make {wanted}")
                if wanted[0] + wanted[1] > source[paid]:
                    raise Broken(f"{kind}: {wanted[1]} given back and {wanted[0]} under way of {source[paid]}")

    @staticmethod
    def _is_of(refund: dict[str, Any], kind: str, source: dict[str, Any]) -> bool:
        if kind == "abnormal":
            return bool(refund["abnormal_id"] == source["id"])
        return refund["abnormal_id"] is None and refund["trade_id"] == source["id"]

    def _told(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """The message and the event stand in the same transaction as what they tell."""
        told, events = ({(r["type"], r["refund_no"] or r["trade_no"]): list(r.values())[-1] for r in rows[name]}
                        for name in ("told", "events"))  # fmt: skip
        for trade in rows["trade"]:
            type_ = TOLD.get(trade["state"])
            for name, counts in (("message", told), ("event", events)):
                count = counts.get((type_, trade["trade_no"]), 0)
                if type_ and count != 1:
                    raise Broken(f"the trade is {trade['state']} with {count} {name}s")
        for refund in rows["refund"]:
            type_ = f"refund.{refund['state']}"
            for name, counts in (("message", told), ("event", events)):
                if refund["state"] in REFUND_ENDS and not counts.get((type_, refund["refund_no"])):
                    raise Broken(f"refund {refund['refund_no']} is {refund['state']} without a {name}")
        strays = Counter(r["state"] not in ("void", "unverified") for r in rows["abnormal"])[True]
        duplicates = sum(n for (type_, _number), n in told.items() if type_ == "trade.duplicate_paid")
        if strays != duplicates:
            raise Broken(f"{strays} stray payments, {duplicates} were told")

    def _channel(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """Against the channel's book, which may know more than we do but never less."""
        numbers = {a["id"]: a["attempt_no"] for a in rows["attempt"]}
        for attempt in rows["attempt"]:
            self._payment(attempt)
        known = {r["channel_request_no"]: r for r in rows["refund"]}
        for given in self.book.refunds.values():
            refund = known.get(given.refund_no)
            if not given.refund_no.startswith("C") and (refund is None or refund["amount"] != given.amount.minor):
                raise Broken(f"the channel has refund {given.refund_no} of {given.amount}, here it is {refund}")
        for refund in rows["refund"]:
            given = self.book.refunds.get(refund["channel_request_no"])  # type: ignore[assignment]
            ours = refund["source"] != "external" and refund["route"] == "original"
            if ours and refund["state"] == "succeeded" and (given is None or given.state != Word.SUCCEEDED):
                raise Broken(f"refund {refund['refund_no']} succeeded here only")
            lost = given is not None and given.state in (Word.SUCCEEDED, Word.PROCESSING)
            if ours and lost and refund["state"] in ("failed", "rejected", "cancelled"):
                raise Broken(f"refund {refund['refund_no']} is {refund['state']}, the channel has it {given.state}")
        for number in numbers.values():
            payment = self.book.payments.get(number)
            if payment is not None and self.book.refunded(number) > payment.amount.minor:
                raise Broken(f"the channel gave back more than was paid for {number}")

    def _payment(self, attempt: dict[str, Any]) -> None:
        payment = self.book.payments.get(attempt["attempt_no"])
        paid = payment is not None and payment.state == PaymentState.PAID
        if attempt["state"] == "succeeded" and not paid:
            raise Broken(f"attempt {attempt['id']} succeeded here, the channel has no money")
        if attempt["state"] == "succeeded" and attempt["paid_amount"] != payment.amount.minor:  # type: ignore[union-attr]
            raise Broken(f"{attempt['paid_amount']} booked, the channel has {payment.amount}")  # type: ignore[union-attr]
        if attempt["state"] in ("closed", "failed") and payment is not None:
            self._over(attempt, payment)

    def _over(self, attempt: dict[str, Any], payment: Any) -> None:
        """What counts as over here can bring no money at the channel any more, and has brought none."""
        if payment.state == PaymentState.PAID:
            raise Broken(f"attempt {attempt['id']} is {attempt['state']}, and the channel has its money")
        expiry = Attempt.objects.values_list("expire_at", flat=True).get(pk=attempt["id"])
        if payment.state == PaymentState.UNPAID and expiry > self.stage.clock.now():
            raise Broken(f"attempt {attempt['id']} is {attempt['state']}, and can still be paid at the channel")

    # -- the end

    def due(self) -> dict[str, int]:
        """What is left to do."""
        counts = {
            "open trades": Trade.objects.filter(state__in=["waiting", "paying", "confirming"]),
            "live attempts": Attempt.objects.filter(state__in=LIVE),
            "unverified money": AbnormalPayment.objects.filter(state="unverified"),
            "refunds": Refund.objects.filter(state__in=RESERVING).exclude(source="external"),
            "messages": Notification.objects.exclude(state="delivered"),
            "events": Event.objects.filter(seq__isnull=True),
        }
        return {name: rows.count() for name, rows in counts.items() if rows.exists()}

    def due_at(self) -> dict[str, datetime]:
        """When each sweep next has something to do."""
        with connection.cursor() as cursor:
            cursor.execute(_DUE_AT)
            return {name: _moment(at) for name, at in cursor.fetchall() if at is not None}

    def at_the_end(self) -> None:
        """Everything is settled: both books agree to the cent, and the app knows."""
        self.now()
        if self.due():
            raise Broken(f"left over: {self.due()}")
        self._books_agree()
        self._app_knows()
        previous = ""
        for seq, event in enumerate(Event.objects.order_by("seq"), start=1):
            if event.seq != seq or event.hash != chain_hash(previous, event):
                raise Broken(f"the chain of events breaks at {seq}")
            previous = event.hash

    def _books_agree(self) -> None:
        for number, payment in self.book.payments.items():
            attempt = Attempt.objects.get(attempt_no=number)
            if (payment.state == PaymentState.PAID) != (attempt.state == "succeeded"):
                raise Broken(f"the channel has {payment.state}, here the attempt is {attempt.state}")
            ours = sum(Refund.objects.filter(attempt=attempt, state="succeeded", route="original").values_list(
                "amount", flat=True))  # fmt: skip
            consoles = sum(g.amount.minor for g in self.book.refunds.values()
                           if g.order_no == number and g.refund_no.startswith("C"))  # fmt: skip
            if not 0 <= self.book.refunded(number) - ours <= consoles:
                raise Broken(f"the channel gave back {self.book.refunded(number)}, here it is {ours}")
        for given in self.book.refunds.values():
            mine = Refund.objects.filter(channel_request_no=given.refund_no).first()
            if mine is not None and (mine.state == "succeeded") != (given.state == Word.SUCCEEDED):
                raise Broken(f"refund {given.refund_no} is {mine.state} here and {given.state} at the channel")

    def _app_knows(self) -> None:
        acknowledged = {number: body for number, body, well in self.stage.receiver.got if well}
        for row in Notification.objects.all():
            if acknowledged.get(row.webhook_id) != row.body:
                raise Broken(f"{row.type} counts as delivered, the app does not have it")
        bodies = {row.webhook_id: row.body for row in Notification.objects.all()}
        for number, body, _well in self.stage.receiver.got:
            if bodies.get(number) != body:
                raise Broken(f"the app was told {body[:80]}, which nobody wrote")
