"""Nothing is acknowledged before it is committed: what apps and channels heard, against PostgreSQL's moments.

A commit is over before its answer leaves, and all clocks are one machine's: no tolerance is needed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from deploy.soak.books import Books, Row
from deploy.soak.difference import Difference

RULE = "acknowledged after commit"
# The event that is written together with the beginning of a state. A new trade, or refund, has its row only.
_EVENT_OF_TRADE = {
    "paying": ("trade.paying",), "confirming": ("trade.confirming",), "paid": ("trade.paid",),
    "closed": ("trade.closed",), "failed": ("trade.failed",),
}  # fmt: skip
_EVENT_OF_REFUND = {
    "on_hold": ("refund.on_hold",), "approved": ("refund.approved", "refund.sent_again"),
    "processing": ("refund.processing",), "succeeded": ("refund.succeeded",), "failed": ("refund.failed",),
    "rejected": ("refund.rejected",), "cancelled": ("refund.cancelled",),
}  # fmt: skip


def answers_were_committed(books: Books) -> Iterator[Difference]:
    """What an app was told in an answer was in the book by then, and is there still."""
    ledger = _Ledger(books)
    for answer in books.answers:
        lost = ledger.lost(answer)
        if lost:
            data = answer["data"] or {}
            words = f"{answer['path']} answered {json.dumps(data, ensure_ascii=False)[:160]}: {lost}"
            numbers = tuple(str(data[name]) for name in ("trade_no", "refund_no", "attempt_no") if data.get(name))
            yield Difference(RULE, words, numbers)


def decisions_were_committed(books: Books) -> Iterator[Difference]:
    """Each decision that staff saw come through was in the book by then, and is there still. Of the same person's same
    decision on one refund, the second is known by there being two."""
    known = defaultdict(list)
    for row in books.approvals:
        if row["committed_at"] is not None:
            known[(row["refund_no"], row["approver_username"], row["decision"])].append(row["committed_at"])
    waiting = {key: iter(sorted(moments)) for key, moments in known.items()}
    for decision in books.decisions:
        key = (decision["refund_no"], decision["user"], decision["decision"])
        at = next(waiting.get(key, iter(())), None)
        if _too_late(at, decision["at"]):
            yield Difference(RULE, f"the decision {decision} was committed {_when(at)}", (decision["refund_no"],))


def messages_were_committed(books: Books) -> Iterator[Difference]:
    """A message leaves only once it is in the book."""
    written = {row["webhook_id"]: row for row in books.notifications}
    for row in books.receipts:
        message = written.get(row["webhook_id"])
        if message is not None and _too_late(message["committed_at"], row["at"]):
            words = f"{row['webhook_id']} reached the app at {row['at']:.6f}, it was committed"
            yield Difference(RULE, f"{words} {_when(message['committed_at'])}", (message["trade_no"],))


def notices_were_committed(books: Books) -> Iterator[Difference]:
    """A channel's notification is acknowledged only when its money is in the book, or (where it names another amount
    than was asked for) its claim is."""
    booked = _first(books, ("attempt.succeeded",), "attempt_no")
    claimed = _first(books, ("abnormal.unverified",), "attempt_no")
    for notice in books.channel_notices:
        number = notice["attempt_no"]
        at = min((times[number] for times in (booked, claimed) if number in times), default=None)
        # An unsigned webhook is a hint: it is acknowledged, and the channel is asked.
        if notice["channel"] != "mpgs" and _too_late(at, notice["acknowledged_at"]):
            acknowledged = _when(notice["acknowledged_at"])
            words = f"the notification of {number} was acknowledged {acknowledged}, its money committed {_when(at)}"
            yield Difference(RULE, words, (number,))


class _Ledger:
    """When what answers claim was committed, by number."""

    def __init__(self, books: Books) -> None:
        self._trades = {row["trade_no"]: row["committed_at"] for row in books.trades}
        self._refunds = {row["refund_no"]: row["committed_at"] for row in books.refunds}
        self._submitted = _first(books, ("attempt.submitted",), "attempt_no")
        self._states = {
            **{("trade_no", state): _first(books, types, "trade_no") for state, types in _EVENT_OF_TRADE.items()},
            **{("refund_no", state): _first(books, types, "refund_no") for state, types in _EVENT_OF_REFUND.items()},
        }

    def lost(self, answer: Row) -> str:
        """Why a received answer has no foundation; "" where it has."""
        data, at = answer["data"] or {}, answer["at"]
        if answer["errno"] != 0:
            return ""
        places = {"trade_no": self._trades, "refund_no": self._refunds}
        if answer["path"] == "/v1/gopay":
            places["attempt_no"] = self._submitted
        for name, known in places.items():
            if data.get(name) and _too_late(known.get(data[name]), at):
                return f"{name} {data[name]} was committed {_when(known.get(data[name]))}, answered {_when(at)}"
        name = "refund_no" if data.get("refund_no") else "trade_no"
        states = self._states.get((name, data.get("state") or ""))
        if states is not None and _too_late(states.get(data[name]), at):
            return f"it became {data['state']} {_when(states.get(data[name]))}, answered {_when(at)}"
        return ""


def _first(books: Books, types: tuple[str, ...], name: str) -> dict[str, float]:
    """When the first event of these types was committed, by number."""
    found: dict[str, float] = {}
    for row in books.events:
        at = row["committed_at"]
        if row["type"] in types and at is not None:
            found[row[name]] = min(at, found.get(row[name], at))
    return found


def _too_late(committed: float | None, told: float) -> bool:
    return committed is None or committed > told


def _when(at: float | None) -> str:
    return "never" if at is None else f"at {at:.6f}"
