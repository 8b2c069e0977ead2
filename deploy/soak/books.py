"""What each side wrote down, as plain rows: the center's database, the sandbox's, and the apps' own record.

Times are Unix seconds, amounts minor units.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.soak import commits
from deploy.soak.duties import due_rows

Row = dict[str, Any]


@dataclass
class Books:
    """One moment after everything has settled. `due` counts what is left to do, by what it is.

    `committed_at` of a row is when the transaction that first wrote it was committed.
    """

    trades: list[Row] = field(default_factory=list)
    attempts: list[Row] = field(default_factory=list)
    abnormal: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)
    approvals: list[Row] = field(default_factory=list)
    policies: list[Row] = field(default_factory=list)
    notifications: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)
    chain: str = ""  # what is wrong with the chain of events; "" when it holds
    channel_payments: list[Row] = field(default_factory=list)
    channel_refunds: list[Row] = field(default_factory=list)
    channel_notices: list[Row] = field(default_factory=list)  # genuine, of payments, with when they were acknowledged
    answers: list[Row] = field(default_factory=list)
    receipts: list[Row] = field(default_factory=list)
    decisions: list[Row] = field(default_factory=list)
    events_read: list[Row] = field(default_factory=list)  # by apps, from their cursors on, in the order they did
    bills: list[Row] = field(default_factory=list)  # of the run's days, with how each ended
    cases: list[Row] = field(default_factory=list)  # differences that reconciliation found and nobody explained


def center_rows(books: Books) -> None:
    """Read the center's database, through Django, as of one moment; `commits` watched it. Raises DatabaseError."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        written = commits.moments(cursor)
        _payments(books, written)
        _refunds(books, written)
        _told(books, written)
    books.due = due_rows()
    books.chain = _chain()


def _payments(books: Books, written: commits.Moments) -> None:
    from trades.models import AbnormalPayment, Attempt, Trade

    books.trades = _values(
        written, Trade, "trade_no", "app__app_id", "app_order_no", "amount", "currency", "state", "paid_amount",
        "refunded_amount", "refunding_amount", "external_refunded", "settled_attempt__attempt_no", "created_at",
        "next_close_at",
    )  # fmt: skip
    books.attempts = _values(
        written, Attempt, "attempt_no", "trade__trade_no", "state", "amount", "paid_amount", "paid_currency",
        "channel_trade_no", "channel", "created_at", "submitted_at", "next_query_at", "next_close_at",
    )  # fmt: skip
    books.abnormal = _values(
        written, AbnormalPayment, "trade__trade_no", "attempt__attempt_no", "kind", "state", "amount",
        "refunded_amount", "refunding_amount", "external_refunded",
    )  # fmt: skip


def _refunds(books: Books, written: commits.Moments) -> None:
    from refunds.models import Approval, Refund, RefundPolicy

    books.refunds = _values(
        written, Refund, "refund_no", "channel_request_no", "app_refund_no", "trade__trade_no", "attempt__attempt_no",
        "abnormal_id", "amount", "requested_amount", "state", "route", "source", "counted_as_external", "sends",
        "requested_at", "next_send_at", "next_query_at", "app__app_id", "merchant__merchant_no", "currency",
        "requested_by__username", "changed_by__username",
    )  # fmt: skip
    books.approvals = _values(
        written, Approval, "refund__refund_no", "approver__username", "decision", "decided_at", "round", "amount"
    )  # fmt: skip
    books.policies = _values(
        written, RefundPolicy, "app__app_id", "merchant__merchant_no", "currency", "automatic_up_to",
        "one_approval_up_to", "abnormal_automatic_up_to",
    )  # fmt: skip


def _told(books: Books, written: commits.Moments) -> None:
    from notifications.models import Notification
    from paycenter.models import Event
    from reconciliation.models import Case

    books.notifications = _values(
        written, Notification, "webhook_id", "app__app_id", "type", "trade_no", "refund_no", "state", "body",
        "created_at", "next_delivery_at",
    )  # fmt: skip
    books.events = _values(
        written, Event, "seq", "type", "object_type", "trade_no", "attempt_no", "refund_no", "to_state", "actor",
        "created_at", "app_id", "public",
    )  # fmt: skip
    books.cases = _values(
        written, Case, "account__channel", "day", "subject", "kind", "state", "trade_no", "attempt_no", "refund_no",
        "our_amount", "channel_amount",
    )  # fmt: skip


def _chain() -> str:
    from paycenter.audit import AuditBroken, verify

    try:
        verify()
    except AuditBroken as exc:
        return str(exc)
    return ""


def _values(written: commits.Moments, model: Any, *names: str) -> list[Row]:
    rows = (_plain(row) for row in model.objects.order_by("id").values("id", *names))
    return [{**row, "committed_at": written.get((model._meta.db_table, row["id"]))} for row in rows]


def _plain(row: Mapping[str, Any]) -> Row:
    """Short names, and times as numbers."""
    return {
        name.replace("__", "_").replace("trade_trade_no", "trade_no").replace("attempt_attempt_no", "attempt_no")
            .replace("refund_refund_no", "refund_no").replace("app_app_id", "app_id")
            .replace("merchant_merchant_no", "merchant_no"):
        value.timestamp() if isinstance(value, datetime) else value
        for name, value in row.items()
    }  # fmt: skip


def sandbox_rows(books: Books, state: Path) -> None:
    """Read the sandbox's own file."""
    with sqlite3.connect(f"file:{state / 'sandbox.db'}?mode=ro", uri=True) as connection:
        connection.row_factory = sqlite3.Row
        books.channel_payments = _all(
            connection,
            "SELECT id, channel, order_no, attempt_no, trade_no, state, paid_amount, currency, paid_at FROM payment",
        )
        books.channel_refunds = _all(
            connection,
            "SELECT r.id, r.refund_no, p.attempt_no, r.amount, r.state, r.console FROM refund r"
            " JOIN payment p ON p.id = r.payment_id",
        )
        books.channel_notices = _all(
            connection,
            "SELECT n.id, p.attempt_no, p.channel, n.acknowledged_at FROM notice n"
            " JOIN payment p ON p.id = n.payment_id"
            " WHERE n.refund_id IS NULL AND n.claim = '{}' AND p.state = 'paid' AND n.acknowledged_at IS NOT NULL",
        )


def _all(connection: sqlite3.Connection, sql: str) -> list[Row]:
    return [dict(row) for row in connection.execute(sql)]


def concerning(books: Books, numbers: Iterable[str]) -> dict[str, list[Row]]:
    """Every row of every book that carries one of these numbers, and what belongs to the same trades."""
    wanted = {number for number in numbers if number}
    tables = {name: rows for name, rows in vars(books).items() if isinstance(rows, list)}
    for _ in range(2):  # from an attempt or refund to its trade, and from there to everything
        for rows in tables.values():
            for row in rows:
                if wanted & {str(value) for value in row.values()}:
                    wanted |= {str(row[n]) for n in ("trade_no", "attempt_no", "refund_no") if row.get(n)}
    return {
        name: [row for row in rows if wanted & {str(value) for value in row.values()} or _mentions(row, wanted)]
        for name, rows in tables.items()
    }  # fmt: skip


def _mentions(row: Row, wanted: set[str]) -> bool:
    text = f"{row.get('data', '')}{row.get('body', '')}{row.get('content', '')}"
    return bool(text) and any(number in text for number in wanted)
