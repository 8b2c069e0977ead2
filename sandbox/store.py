"""The sandbox's state: one SQLite file (WAL), written only by short synchronous statements.

The serving process uses it from its event loop only, so every method is atomic towards the
others; `issue` may write accounts from another process at the same time.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.records import Account, Notice, Payment, PaymentState, Refund, RefundState

_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
  channel TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, payment_no TEXT NOT NULL,
  config TEXT NOT NULL, secrets TEXT NOT NULL, PRIMARY KEY (channel, key));
CREATE TABLE IF NOT EXISTS payment (
  id INTEGER PRIMARY KEY, channel TEXT NOT NULL, account TEXT NOT NULL, order_no TEXT NOT NULL,
  attempt_no TEXT NOT NULL, trade_no TEXT NOT NULL, state TEXT NOT NULL, scene TEXT NOT NULL,
  amount INTEGER NOT NULL, paid_amount INTEGER NOT NULL DEFAULT 0, currency TEXT NOT NULL,
  subject TEXT NOT NULL, notify_url TEXT NOT NULL, return_url TEXT NOT NULL, code TEXT NOT NULL,
  code_expires_at REAL NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL, paid_at REAL,
  closed_at REAL, payer TEXT NOT NULL DEFAULT '', request TEXT NOT NULL, extra TEXT NOT NULL,
  UNIQUE (channel, account, order_no));
CREATE INDEX IF NOT EXISTS payment_attempt ON payment (attempt_no);
CREATE INDEX IF NOT EXISTS payment_code ON payment (channel, code);
CREATE INDEX IF NOT EXISTS payment_trade ON payment (channel, trade_no);
CREATE INDEX IF NOT EXISTS payment_paid ON payment (channel, account, paid_at);
CREATE INDEX IF NOT EXISTS payment_waiting ON payment (created_at) WHERE state IN ('unscanned', 'unpaid');
CREATE TABLE IF NOT EXISTS refund (
  id INTEGER PRIMARY KEY, payment_id INTEGER NOT NULL REFERENCES payment, channel TEXT NOT NULL,
  account TEXT NOT NULL, refund_no TEXT NOT NULL, channel_refund_no TEXT NOT NULL,
  amount INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, notify_url TEXT NOT NULL,
  console INTEGER NOT NULL, created_at REAL NOT NULL, settled_at REAL, due_at REAL,
  UNIQUE (payment_id, refund_no));
CREATE INDEX IF NOT EXISTS refund_no ON refund (refund_no);
CREATE INDEX IF NOT EXISTS refund_day ON refund (channel, account, created_at);
CREATE INDEX IF NOT EXISTS refund_due ON refund (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS outcome (refund_no TEXT PRIMARY KEY, outcome TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notice (
  id INTEGER PRIMARY KEY, payment_id INTEGER NOT NULL REFERENCES payment, refund_id INTEGER,
  notice_id TEXT NOT NULL, claim TEXT NOT NULL, copies INTEGER NOT NULL, retries INTEGER NOT NULL,
  sends INTEGER NOT NULL DEFAULT 0, next_at REAL, acknowledged_at REAL);
CREATE INDEX IF NOT EXISTS notice_due ON notice (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS notice_payment ON notice (payment_id);
CREATE TABLE IF NOT EXISTS send (
  id INTEGER PRIMARY KEY, notice_id INTEGER NOT NULL REFERENCES notice, sent_at REAL NOT NULL,
  elapsed_ms INTEGER NOT NULL, status INTEGER, body TEXT NOT NULL, error TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS send_notice ON send (notice_id);
CREATE TABLE IF NOT EXISTS call (
  channel TEXT NOT NULL, number TEXT NOT NULL, operation TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (number, channel, operation)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fault (
  id INTEGER PRIMARY KEY, channel TEXT NOT NULL, operation TEXT NOT NULL, fault TEXT NOT NULL,
  times INTEGER NOT NULL, seconds REAL);
CREATE TABLE IF NOT EXISTS bill_edit (
  id INTEGER PRIMARY KEY, channel TEXT NOT NULL, account TEXT NOT NULL, date TEXT NOT NULL,
  edit TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS token (
  token TEXT PRIMARY KEY, purpose TEXT NOT NULL, data TEXT NOT NULL, expires_at REAL NOT NULL,
  used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS agreement (
  id INTEGER PRIMARY KEY, channel TEXT NOT NULL, account TEXT NOT NULL, contract_no TEXT NOT NULL,
  channel_no TEXT NOT NULL, state TEXT NOT NULL, scene TEXT NOT NULL, notify_url TEXT NOT NULL,
  return_url TEXT NOT NULL, code TEXT NOT NULL, payer TEXT NOT NULL, highest INTEGER,
  created_at REAL NOT NULL, signed_at REAL, ended_at REAL, UNIQUE (channel, account, contract_no));
CREATE INDEX IF NOT EXISTS agreement_no ON agreement (contract_no);
CREATE INDEX IF NOT EXISTS agreement_code ON agreement (channel, code);
CREATE TABLE IF NOT EXISTS agreement_notice (
  id INTEGER PRIMARY KEY, agreement_id INTEGER NOT NULL REFERENCES agreement, notice_id TEXT NOT NULL,
  state TEXT NOT NULL, signing TEXT NOT NULL, sends INTEGER NOT NULL DEFAULT 0, next_at REAL,
  acknowledged_at REAL);
CREATE INDEX IF NOT EXISTS agreement_notice_due ON agreement_notice (next_at) WHERE next_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_JSON = {"config", "secrets", "extra", "claim"}


def _decoded(row: sqlite3.Row) -> dict[str, Any]:
    return {k: json.loads(row[k]) if k in _JSON else row[k] for k in row.keys()}  # noqa: SIM118


def payment_from(row: sqlite3.Row) -> Payment:
    data = _decoded(row)
    return Payment(**{**data, "state": PaymentState(data["state"])})


def refund_from(row: sqlite3.Row) -> Refund:
    data = _decoded(row)
    return Refund(**{**data, "state": RefundState(data["state"]), "console": bool(data["console"])})


def notice_from(row: sqlite3.Row) -> Notice:
    data = _decoded(row)
    return Notice(**{**data, "retries": bool(data["retries"])})


class Store:
    """Opens (and creates, mode 0700) the state directory; raises OSError where it is not writable."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / "sandbox.db"
        # Private keys live in here: the file must not be readable by others, not even briefly.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self.path = path
        self._db = sqlite3.connect(path, timeout=20, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def one(self, sql: str, *args: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(sql, args).fetchone()
        return row

    def all(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        return self._db.execute(sql, args).fetchall()

    def run(self, sql: str, *args: Any) -> int:
        """Execute one writing statement; answers the number of rows it touched."""
        return self._db.execute(sql, args).rowcount

    def insert(self, table: str, **values: Any) -> int:
        """Insert one row (mappings become JSON) and answer its id."""
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        stored = [json.dumps(v, ensure_ascii=False) if isinstance(v, Mapping) else v for v in values.values()]
        cursor = self._db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", stored)
        return cursor.lastrowid or 0

    def update(self, table: str, row_id: int, **values: Any) -> None:
        sets = ", ".join(f"{name} = ?" for name in values)
        stored = [json.dumps(v, ensure_ascii=False) if isinstance(v, Mapping) else v for v in values.values()]
        self._db.execute(f"UPDATE {table} SET {sets} WHERE id = ?", [*stored, row_id])

    @contextmanager
    def together(self) -> Iterator[None]:
        """All writes inside happen or none does, also if the process is killed. No awaiting inside."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- accounts

    def account(self, channel: str, key: str) -> Account | None:
        row = self.one("SELECT * FROM account WHERE channel = ? AND key = ?", channel, key)
        return Account(**_decoded(row)) if row else None

    def account_of(self, payment: Payment) -> Account:
        found = self.account(payment.channel, payment.account)
        if found is None:
            raise LookupError(f"payment {payment.order_no} has no account")
        return found

    def account_by_payment_no(self, payment_no: str) -> Account | None:
        row = self.one(
            "SELECT * FROM account WHERE payment_no = ? OR key = ? ORDER BY payment_no = ? DESC LIMIT 1",
            payment_no, payment_no, payment_no,
        )  # fmt: skip
        return Account(**_decoded(row)) if row else None

    def accounts(self, channel: str) -> list[Account]:
        rows = self.all("SELECT * FROM account WHERE channel = ? ORDER BY rowid", channel)
        return [Account(**_decoded(row)) for row in rows]

    def add_account(self, account: Account) -> None:
        self.insert(
            "account", channel=account.channel, key=account.key, name=account.name,
            payment_no=account.payment_no, config=account.config, secrets=account.secrets,
        )  # fmt: skip

    # -- counting what was received

    def count_call(self, channel: str, number: str, operation: str) -> None:
        self.run(
            "INSERT INTO call VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
            channel, number, operation,
        )  # fmt: skip

    def calls(self, number: str) -> dict[str, int]:
        rows = self.all("SELECT operation, sum(count) AS n FROM call WHERE number = ? GROUP BY 1", number)
        return {row["operation"]: row["n"] for row in rows}

    # -- settings and one-time tokens

    def setting(self, name: str) -> str | None:
        row = self.one("SELECT value FROM setting WHERE name = ?", name)
        return row["value"] if row else None

    def set_setting(self, name: str, value: str) -> None:
        self.run("INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                 name, value)  # fmt: skip

    def add_token(self, token: str, purpose: str, data: Mapping[str, Any], expires_at: float) -> None:
        self.insert("token", token=token, purpose=purpose, data=data, expires_at=expires_at)

    def token(self, token: str, purpose: str) -> tuple[dict[str, Any], float, bool] | None:
        """(data, expiry, whether used), or None."""
        row = self.one("SELECT * FROM token WHERE token = ? AND purpose = ?", token, purpose)
        return (json.loads(row["data"]), row["expires_at"], bool(row["used"])) if row else None

    def use_token(self, token: str) -> None:
        self.run("UPDATE token SET used = 1 WHERE token = ?", token)
