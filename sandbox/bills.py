"""Bills before they take a provider's form, and the changes that make a bill differ from the book."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sandbox.amounts import thousandths_of_percent
from sandbox.book import Book
from sandbox.clock import day_bounds
from sandbox.records import Account, Payment, Refund, RefundState
from sandbox.store import payment_from, refund_from

# 0.6 %, the providers' ordinary rate, in thousandths of a percent.
FEE_RATE = 600
_ACCEPTED = "created_at >= ? AND created_at < ?"
_SETTLED = "state = 'success' AND settled_at >= ? AND settled_at < ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class BillRow:
    """One line: `kind` is `payment` or `refund`; amount and fee in minor units and positive (a
    refund's fee is what is given back); `status` is the provider's word where an edit set one."""

    kind: str
    attempt_no: str
    order_no: str
    trade_no: str
    refund_no: str
    channel_refund_no: str
    amount: int
    fee: int
    currency: str
    subject: str
    scene: str
    payer: str
    created_at: float
    occurred_at: float
    order_amount: int
    attach: str = ""
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    date: str
    made_at: float
    rows: Sequence[BillRow]


def bill_for(book: Book, account: Account, date: str, *, refund_states: bool) -> Bill:
    """The day's bill with its edits applied. Refunds are those accepted that day, with their state, or else those
    that ended well that day. Raises ValueError for a date that is none."""
    rows = _book_rows(book, account, date, refund_states=refund_states)
    for edit in _edits(book, account, date):
        rows = _edited(book, rows, edit, date)
    return Bill(date=date, made_at=book.clock(), rows=sorted(rows, key=lambda r: r.occurred_at))


def _book_rows(book: Book, account: Account, date: str, *, refund_states: bool) -> list[BillRow]:
    start, end = day_bounds(date)
    paid = book.store.all(
        "SELECT * FROM payment WHERE channel = ? AND account = ? AND state = 'paid' AND paid_at >= ? AND paid_at < ?",
        account.channel, account.key, start, end,
    )  # fmt: skip
    shown = _ACCEPTED if refund_states else _SETTLED
    refunds = book.store.all(
        f"SELECT * FROM refund WHERE channel = ? AND account = ? AND {shown}", account.channel, account.key, start, end
    )
    rows = [payment_row(payment_from(row)) for row in paid]
    for found in refunds:
        refund = refund_from(found)
        row = refund_row(book.payment(refund.payment_id), refund)
        rows.append(row if refund_states else replace(row, occurred_at=refund.settled_at or row.occurred_at))
    return rows


def payment_row(payment: Payment) -> BillRow:
    return BillRow(
        kind="payment", attempt_no=payment.attempt_no, order_no=payment.order_no, trade_no=payment.trade_no,
        refund_no="", channel_refund_no="", amount=payment.total,
        fee=thousandths_of_percent(payment.total, FEE_RATE), currency=payment.currency,
        subject=payment.subject, scene=payment.scene, payer=payment.payer, created_at=payment.created_at,
        occurred_at=payment.paid_at or payment.created_at, order_amount=payment.total,
        attach=str(payment.extra.get("attach", "")),
    )  # fmt: skip


_REFUND_WORDS: Mapping[RefundState, str] = {
    RefundState.PENDING: "PROCESSING", RefundState.SUCCESS: "SUCCESS", RefundState.FAIL: "FAIL",
}  # fmt: skip


def refund_row(payment: Payment, refund: Refund) -> BillRow:
    return replace(
        payment_row(payment), kind="refund", refund_no=refund.refund_no,
        channel_refund_no=refund.channel_refund_no, amount=refund.amount,
        fee=thousandths_of_percent(refund.amount, FEE_RATE), occurred_at=refund.created_at,
        status=_REFUND_WORDS[refund.state],
    )  # fmt: skip


class BadEdit(ValueError):
    """A bill edit that says nothing usable; the text names the field."""


def add_edits(book: Book, account: Account, date: str, edits: Any) -> int:
    """Store the edits of a day; all or none. Raises BadEdit."""
    day_bounds(date)
    if not isinstance(edits, list) or not edits:
        raise BadEdit("a non-empty list of edits is expected")
    for position, edit in enumerate(edits):
        _check(edit, position)
    for edit in edits:
        book.store.insert("bill_edit", channel=account.channel, account=account.key, date=date, edit=edit)
    return len(edits)


def _check(edit: Any, position: int) -> None:
    def bad(reason: str) -> BadEdit:
        return BadEdit(f"edit {position}: {reason}")

    if not isinstance(edit, dict):
        raise bad("not an object")
    unknown = set(edit) - {"op", "attempt_no", "kind", "amount", "status", "fee", "refund_no"}
    if unknown:
        raise bad(f"unknown field {sorted(unknown)[0]}")
    if edit.get("op") not in ("add", "drop", "alter"):
        raise bad("op must be add, drop or alter")
    if edit.get("kind") not in ("payment", "refund"):
        raise bad("kind must be payment or refund")
    if not isinstance(edit.get("attempt_no"), str) or not edit["attempt_no"]:
        raise bad("attempt_no is missing")
    for name in ("amount", "fee"):
        value = edit.get(name, 0)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise bad(f"{name} must be a whole number of minor units")
    if edit.get("status") is not None and not isinstance(edit["status"], str):
        raise bad("status must be text")
    if edit["op"] == "alter" and not {"amount", "status", "fee"} & set(edit):
        raise bad("alter needs amount, status or fee")


def _edits(book: Book, account: Account, date: str) -> Iterable[dict[str, Any]]:
    rows = book.store.all(
        "SELECT edit FROM bill_edit WHERE channel = ? AND account = ? AND date = ? ORDER BY id",
        account.channel, account.key, date,
    )  # fmt: skip
    return [json.loads(row["edit"]) for row in rows]


def _edited(book: Book, rows: list[BillRow], edit: Mapping[str, Any], date: str) -> list[BillRow]:
    def meant(row: BillRow) -> bool:
        same = row.attempt_no == edit["attempt_no"] and row.kind == edit["kind"]
        return same and edit.get("refund_no") in (None, row.refund_no)

    if edit["op"] == "drop":
        return [row for row in rows if not meant(row)]
    if edit["op"] == "alter":
        return [_changed(row, edit) if meant(row) else row for row in rows]
    return [*rows, _changed(_added(book, edit, date), edit)]


def _changed(row: BillRow, edit: Mapping[str, Any]) -> BillRow:
    values = {name: edit[name] for name in ("amount", "status", "fee") if edit.get(name) is not None}
    changed = replace(row, **values)
    return replace(changed, order_amount=changed.amount) if row.kind == "payment" else changed


def _added(book: Book, edit: Mapping[str, Any], date: str) -> BillRow:
    """A line that the book does not have that day: of an order it knows, or of one nobody knows."""
    noon = day_bounds(date)[0] + 12 * 3600
    known = book.find_attempt(edit["attempt_no"])
    if known is not None:
        row = payment_row(known)
    else:
        row = BillRow(
            kind="payment", attempt_no=edit["attempt_no"], order_no=edit["attempt_no"],
            trade_no=_number(edit, "trade", 28), refund_no="", channel_refund_no="", amount=edit.get("amount") or 0,
            fee=thousandths_of_percent(edit.get("amount") or 0, FEE_RATE), currency="CNY", subject="unknown",
            scene="", payer="", created_at=noon, occurred_at=noon, order_amount=edit.get("amount") or 0,
        )  # fmt: skip
    row = replace(row, created_at=noon, occurred_at=noon)
    if edit["kind"] == "payment":
        return row
    return replace(row, kind="refund", refund_no=edit.get("refund_no") or _number(edit, "ours", 20),
                   channel_refund_no=_number(edit, "refund", 28), status="SUCCESS")  # fmt: skip


def _number(edit: Mapping[str, Any], purpose: str, digits: int) -> str:
    """The same whenever the bill is made: what is announced by its hash is what is downloaded."""
    text = json.dumps([purpose, edit], sort_keys=True)
    return str(int(hashlib.sha256(text.encode()).hexdigest(), 16)).zfill(digits)[-digits:]
