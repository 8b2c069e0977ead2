"""The program that writes taken orders: a group of them may run, each with the entries it was handed.

An entry leaves the stream after its rows are committed. A writer that dies before leaves it to another; written
twice, it is there once.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence

import structlog
from django.db import InterfaceError, OperationalError, connection
from django.utils.translation import gettext_noop

from cashier.intake.storing import store
from cashier.intake.stream import Entry, OrderStream, StreamAway
from cashier.intake.taken import TakenOrder, Unreadable, read
from notifications.alerts import alert
from paycenter.transitions import record_event

log = structlog.get_logger(__name__)
BATCH = 500
WAIT = 1.0  # seconds for new entries, and before another try after a failure
# Seconds after which an entry somebody was handed counts as left behind. Two who write one do no harm.
LEFT_BEHIND = 5.0
_FORGOTTEN = 3600.0
_TITLE = gettext_noop("A cashier order that was answered cannot be written")
_TEXT = gettext_noop("%(reason)s. It is kept in Redis; `manage.py write_orders --again` tries once more.")


class Writer:
    """One writer of the group. `run` goes on until it is told to stop."""

    def __init__(self, stream: OrderStream, *, batch: int = BATCH, left_behind: float = LEFT_BEHIND) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._stream, self._batch, self._left_behind = stream, batch, left_behind
        self._look_at = 0.0

    def run(self, stopped: threading.Event) -> None:
        """Write until `stopped`; what was read by then is finished. Failures of servers are waited out."""
        self._open(stopped)
        while not stopped.is_set():
            try:
                self.write_some(wait=WAIT)
            except StreamAway:
                self._open(stopped)  # a Redis that lost everything has no group either
            except (OperationalError, InterfaceError) as exc:
                log.warning("orders wait for the database", error=type(exc).__name__)
                connection.close()
                self._look_at = 0.0
                stopped.wait(WAIT)

    def drain(self) -> int:
        """Write what is in the stream, left behind by others included, and answer how much it was."""
        self._stream.open_group()
        written = 0
        while found := self.write_some(wait=0):
            written += found
        return written

    def write_some(self, *, wait: float) -> int:
        """Write the next entries, waiting so many seconds for new ones; how many there were."""
        entries = self._left_entries() or self._stream.read(self.name, count=self._batch, seconds=wait)
        if entries:
            self._write(entries)
        return len(entries)

    def _open(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                self._stream.open_group()
                return
            except StreamAway:
                stopped.wait(WAIT)

    def _left_entries(self) -> list[Entry]:
        """What somebody was handed and did not finish, ourselves included; looked for now and then."""
        if time.monotonic() < self._look_at:
            return []
        found = self._stream.take_over(self.name, count=self._batch, idle=self._left_behind)
        if not found:
            self._look_at = time.monotonic() + self._left_behind / 2
            self._stream.forget_writers(idle=_FORGOTTEN)
        return found

    def _write(self, entries: Sequence[Entry]) -> None:
        orders = read(entries)
        good = [order for order in orders if isinstance(order, TakenOrder)]
        outcomes = dict(zip((order.trade.trade_no for order in good), store(good), strict=True))
        written: list[Entry] = []
        for entry, order in zip(entries, orders, strict=True):
            wrong = order if isinstance(order, Unreadable) else outcomes[order.trade.trade_no]
            if wrong is None:
                written.append(entry)
            else:
                self._give_up(entry, order, wrong)
        if written:
            self._stream.done(written)

    def _give_up(self, entry: Entry, order: TakenOrder | Unreadable, wrong: Exception) -> None:
        reason = f"{type(wrong).__name__}: {wrong}"
        log.error("order given up", entry=entry.id, reason=reason[:300])
        trade_no = merchant_no = ""
        if isinstance(order, TakenOrder):
            trade_no, merchant_no = order.trade.trade_no, order.trade.merchant.merchant_no
            order.trade.pk = None
            record_event(order.trade, "trade.given_up", actor="system", reason=reason)
        alert(
            kind="fault", key="order-given-up", severity="critical", title=_TITLE, text=_TEXT, trade_no=trade_no,
            merchant_no=merchant_no, context={"reason": reason[:200]},
        )  # fmt: skip
        self._stream.give_up(entry, reason)
