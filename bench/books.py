"""Databases with many stored trades, written by PostgreSQL itself. Runs in a worker.

Rows are copies of one payment that went the normal path, a second apart, so that dates and indexes spread.
"""

from __future__ import annotations

import sys
from typing import Any

from bench import site

_STEP = 1_000_000  # rows of one statement
LONG = 1_000_000  # more trades than this take minutes to make


def fill(trades: int) -> int:
    """A book with so many paid trades, each with its attempt, acknowledged message and last event; how many."""
    site.prepare()
    return add(trades)


def add(trades: int) -> int:
    """So many more, once, in a database where payments were taken."""
    copies = site.copier()
    attempt = copies.row("trades_attempt", "state = 'submitted'")
    trade = copies.row("trades_trade", "id = %s", [attempt["trade_id"]])
    event = copies.row("paycenter_event", "type = 'trade.paying'")
    base = site.free_id() + 1_000
    for first in range(1, trades + 1, _STEP):
        numbers = f"generate_series({first}, {min(first + _STEP - 1, trades)}) n"
        site.run_together(*_statements(copies, trade, attempt, event, base, numbers))
        if trades > LONG:
            tell(f"{min(first + _STEP - 1, trades):,} of {trades:,} trades stored")
    site.after(base + trades)
    site.run("VACUUM ANALYZE")
    return trades


def tell(text: str) -> None:
    """How far something is that takes minutes, beside the table."""
    print(f"  {text}", file=sys.stderr, flush=True)


def _statements(copies: Any, trade: Any, attempt: Any, event: Any, base: int, numbers: str) -> tuple[str, ...]:
    at = "now() - (n || ' seconds')::interval"
    none = "NULL::timestamptz"
    return (
        copies.insert("trades_trade", [trade], {
            "id": f"{base} + n", "trade_no": "'P' || lpad(n::text, 27, '0')", "app_order_no": "'O' || n",
            "current_attempt_id": f"{base} + n", "settled_attempt_id": f"{base} + n", "state": "'paid'",
            "paid_amount": str(trade["amount"]), "paid_at": at, "created_at": at, "expire_at": at,
            "next_close_at": none,
        }, numbers),
        copies.insert("trades_attempt", [attempt], {
            "id": f"{base} + n", "trade_id": f"{base} + n", "attempt_no": "'A' || lpad(n::text, 27, '0')",
            "channel_order_no": "'A' || lpad(n::text, 27, '0')", "channel_trade_no": "'4200' || lpad(n::text, 24, '0')",
            "state": "'succeeded'", "paid_amount": str(attempt["amount"]), "paid_currency": "'CNY'", "paid_at": at,
            "created_at": at, "next_query_at": none, "in_flight_until": none,
        }, numbers),
        copies.insert("paycenter_event", [event], {
            "type": "'trade.paid'", "trade_no": "'P' || lpad(n::text, 27, '0')", "object_id": f"{base} + n",
            "created_at": at, "seq": "n + 1000", "hash": "md5(n::text)",
        }, numbers),
        _messages(numbers, at),
    )  # fmt: skip


def _messages(numbers: str, at: str) -> str:
    return f"""
    INSERT INTO notifications_notification (webhook_id, app_id, type, url, host, body, trade_no, refund_no, state,
        tries, next_delivery_at, resend_by, created_at, delivered_at)
    SELECT 'msg_' || n, (SELECT id FROM merchants_app), 'trade.paid', '{site.NOTIFY_URL}', '127.0.0.1:9',
        repeat('x', 600), 'P' || lpad(n::text, 27, '0'), '', 'delivered', 1, NULL, '', {at}, {at} FROM {numbers}
    """  # noqa: S608
