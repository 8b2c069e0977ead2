"""What must hold: at every moment that is committed, whenever something is acknowledged, and in the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from channels.base import PaymentState
from channels.base import RefundState as Word
from paycenter import compiled
from paycenter.models import Event
from paycenter.sequencer import chain_hash
from tests.simulation.scheduler import current

if TYPE_CHECKING:
    from tests.simulation.stage import Stage

AUTOMATIC_UP_TO, ONE_APPROVAL_UP_TO = 300, 700
RESERVING = ("pending_approval", "on_hold", "approved", "processing")
LIVE = ("created", "submitted", "unknown")
TOLD = {"paid": "trade.paid", "closed": "trade.closed", "failed": "trade.failed"}
REFUND_ENDS = ("succeeded", "failed", "rejected", "cancelled")
OPEN = ("waiting", "paying", "confirming")
# What is read: table, columns, and what stands behind the table.
_READ = {
    "trade": ("trades_trade", "id, trade_no, state, paid_amount, refunded_amount, refunding_amount, external_refunded,"
                              " settled_attempt_id, amount", ""),
    "attempt": ("trades_attempt", "id, attempt_no, state, paid_amount, trade_id, expire_at, amount", ""),
    "abnormal": ("trades_abnormalpayment", "id, attempt_id, state, amount, refunded_amount, refunding_amount,"
                                           " external_refunded, trade_id", ""),
    "refund": ("refunds_refund", "id, refund_no, state, amount, source, counted_as_external, abnormal_id, trade_id,"
                                 " attempt_id, channel_request_no, route, sends", "ORDER BY id"),
    "approved": ("refunds_approval", "refund_id, amount, round, count(DISTINCT approver_id) AS people",
                 "WHERE decision = 'approve' GROUP BY 1, 2, 3"),
    "told": ("notifications_notification", "type, trade_no, refund_no, count(*) AS times", "GROUP BY 1, 2, 3"),
    "events": ("paycenter_event", "type, trade_no, refund_no, count(*) AS times", "GROUP BY 1, 2, 3"),
}  # fmt: skip
_SQL = {name: f"SELECT {columns} FROM {table} {rest}" for name, (table, columns, rest) in _READ.items()}
_COLUMNS = {name: [column.split()[-1] for column in columns.split(", ")] for name, (_t, columns, _r) in _READ.items()}
_LEFT = (
    "SELECT count(*) FROM notifications_notification WHERE state <> 'delivered'",
    "SELECT count(*) FROM paycenter_event WHERE seq IS NULL",
    "SELECT count(*) FROM refunds_earlyrefund",
)
_EVENTS = compiled.Select(lambda: Event.objects.order_by("seq"))
_MESSAGES = "SELECT webhook_id, type, body FROM notifications_notification"


# The sweeps by name, and the column that says when they have something to do.
_DUE = (
    ("query", "next_query_at", "trades_attempt"), ("superseded", "next_close_at", "trades_attempt"),
    ("close", "next_close_at", "trades_trade"), ("send_refunds", "next_send_at", "refunds_refund"),
    ("query_refunds", "next_query_at", "refunds_refund"), ("policies", "next_policy_at", "trades_abnormalpayment"),
    ("book_early", "next_try_at", "refunds_earlyrefund"), ("expire", "next_expiry_at", "refunds_refund"),
    ("deliver", "next_delivery_at", "notifications_notification"), ("probe", "next_probe_at", "trades_channelhealth"),
)  # fmt: skip
_DUE_AT = " UNION ALL ".join(
    [f"SELECT '{name}', min({column}) FROM {table}" for name, column, table in _DUE]
    + ["SELECT 'sequence', min(created_at) FROM paycenter_event WHERE seq IS NULL"]
)


def _moment(value: datetime | str) -> datetime:
    """SQLite answers times without a zone, and some of them as text."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Broken(Exception):
    """A rule does not hold; the text says which and how."""


class Rules:
    """Over the rows of one history."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.book = stage, stage.world.book
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self._read: dict[str, int] = {}  # each table's changes when it was read
        self._said: list[Any] = []  # the channel's book when the rules were last checked
        self._ended: dict[str, str] = {}

    def answered(self, what: str, is_there: bool) -> None:
        """Called by whoever got an answer, once it has read what stands behind it in the database."""
        if not is_there and not (current() and current().dead):  # type: ignore[union-attr]
            self.stage.trouble.append(f"a {what} was acknowledged that is not committed")

    def now(self) -> None:
        """With nobody running: what is committed is consistent, together with what the channel did.

        What nothing was committed to since the last time is not read again; where the channel's book is as it was too,
        the answer is.
        """
        changed = self.refresh()
        said = [(p.order_no, p.state, p.amount) for p in self.book.payments.values()]
        said += [(g.refund_no, g.state, g.amount) for g in self.book.refunds.values()]  # type: ignore[misc]
        if not changed and said == self._said:
            return
        self._said = said
        for rule in (self._placed, self._sums, self._told, self._channel, self._decided):
            rule(self.rows)

    def refresh(self) -> bool:
        """Read what changed; whether anything did."""
        changes = {table: self.stage.points.changes(table) for table, _columns, _rest in _READ.values()}
        names = [name for name, (table, _c, _r) in _READ.items() if self._read.get(table) != changes[table]]
        if names:
            found = self.stage.database.read([_SQL[name] for name in names])
            for name, rows in zip(names, found, strict=True):
                self.rows[name] = [dict(zip(_COLUMNS[name], row, strict=True)) for row in rows]
        self._read = changes
        return bool(names)

    def _decided(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        """Nothing is sent that fewer people approved, over this very amount, than the policy asks for."""
        people: Counter[tuple[int, int]] = Counter()
        for row in rows["approved"]:  # those of different rounds do not add up
            about = (row["refund_id"], row["amount"])
            people[about] = max(people[about], row["people"])
        for refund in rows["refund"]:
            needed = sum(refund["amount"] > limit for limit in (AUTOMATIC_UP_TO, ONE_APPROVAL_UP_TO))
            given = people[refund["id"], refund["amount"]]
            if refund["sends"] and refund["source"] == "api" and given < needed:
                raise Broken(f"refund of {refund['amount']} was sent with {given} approvals instead of {needed}")

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
        told, events = ({(r["type"], r["refund_no"] or r["trade_no"]): r["times"] for r in rows[name]}
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
        if payment.state == PaymentState.UNPAID and _moment(attempt["expire_at"]) > self.stage.clock.now():
            raise Broken(f"attempt {attempt['id']} is {attempt['state']}, and can still be paid at the channel")

    # -- the end

    def due(self) -> dict[str, int]:
        """What is left to do."""
        self.refresh()
        messages, events, early = (rows[0][0] for rows in self.stage.database.read(_LEFT))
        ours = [refund for refund in self.rows["refund"] if refund["source"] != "external"]
        counts = {
            "open trades": _in(self.rows["trade"], OPEN),
            "live attempts": _in(self.rows["attempt"], LIVE),
            "unverified money": _in(self.rows["abnormal"], ("unverified",)),
            "refunds": _in(ours, RESERVING),
            "messages": messages,
            "events": events,
            "refunds told of early": early,
        }
        return {name: count for name, count in counts.items() if count}

    def due_at(self) -> dict[str, datetime]:
        """When each sweep next has something to do."""
        (found,) = self.stage.database.read([_DUE_AT])
        return {name: _moment(at) for name, at in found if at is not None}

    def waiting(self) -> list[int]:
        """Our refunds that people have to decide on, by their keys."""
        self.refresh()
        ours = (refund for refund in self.rows["refund"] if refund["source"] != "external")
        return [refund["id"] for refund in ours if refund["state"] in ("pending_approval", "on_hold")]

    def at_the_end(self, heard: frozenset[str]) -> list[str]:
        """Everything is settled: both books agree to the cent, and the app knows.

        `heard` are the refunds from the channel's console that the center acknowledged to have been told of. Answers
        the payments of which more went back than was ever told.
        """
        self.now()
        left = self.due()
        if left:
            raise Broken(f"left over: {left}")
        untold = self._books_agree(heard)
        self._app_knows()
        previous = ""
        for seq, event in enumerate(_EVENTS.rows(), start=1):
            if event.seq != seq or event.hash != chain_hash(previous, event):
                raise Broken(f"the chain of events breaks at {seq}")
            previous = event.hash
        return untold

    def _books_agree(self, heard: frozenset[str]) -> list[str]:
        attempts = {attempt["attempt_no"]: attempt for attempt in self.rows["attempt"]}
        untold = []
        for number, payment in self.book.payments.items():
            attempt = attempts[number]
            if (payment.state == PaymentState.PAID) != (attempt["state"] == "succeeded"):
                raise Broken(f"the channel has {payment.state}, here the attempt is {attempt['state']}")
            more = self.book.refunded(number) - self._given_back(attempt)
            if not 0 <= more <= self._secret(number, heard):
                raise Broken(f"the channel gave back {self.book.refunded(number)}, here it is {more} less")
            untold += [number] if more else []
        known = {refund["channel_request_no"]: refund for refund in self.rows["refund"]}
        for given in self.book.refunds.values():
            mine = known.get(given.refund_no)
            if mine is not None and (mine["state"] == "succeeded") != (given.state == Word.SUCCEEDED):
                raise Broken(f"refund {given.refund_no} is {mine['state']} here and {given.state} at the channel")
        return untold

    def _given_back(self, attempt: dict[str, Any]) -> int:
        """By the channel, as far as it is booked here."""
        booked = (attempt["id"], "succeeded", "original")
        rows = self.rows["refund"]
        return sum(row["amount"] for row in rows if (row["attempt_id"], row["state"], row["route"]) == booked)

    def _secret(self, number: str, heard: frozenset[str]) -> int:
        """What went back in the channel's console, of which nobody may have told."""
        given = (g for g in self.book.refunds.values() if g.order_no == number and g.refund_no.startswith("C"))
        return sum(g.amount.minor for g in given if g.refund_no not in heard)

    def _app_knows(self) -> None:
        acknowledged = {number: body for number, body, well in self.stage.receiver.got if well}
        (messages,) = self.stage.database.read([_MESSAGES])
        for number, type_, body in messages:
            if acknowledged.get(number) != body:
                raise Broken(f"{type_} counts as delivered, the app does not have it")
        bodies = {number: body for number, _type, body in messages}
        for number, body, _well in self.stage.receiver.got:
            if bodies.get(number) != body:
                raise Broken(f"the app was told {body[:80]}, which nobody wrote")


def _in(rows: list[dict[str, Any]], states: tuple[str, ...]) -> int:
    return sum(row["state"] in states for row in rows)
