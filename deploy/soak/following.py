"""Each app reads `/v1/sync/events` from its cursor on, through whichever web server answers, while everything dies."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.demo.client import CallFailed, Client
from deploy.soak.record import Record

PAUSE = 0.7  # seconds between two looks
LIMIT = 50  # events in one answer: small, so that cursors are passed on often
_PATIENCE = 30.0  # seconds for the last look


class Follower:
    """One app that follows its events. `rows` are what it read, in the order in which it did."""

    def __init__(self, bases: Sequence[str], app: Mapping[str, Any], record: Record) -> None:
        self._bases, self._app, self._record = bases, app, record
        self._cursor = ""
        self._turns = itertools.count()
        self._stop = threading.Event()
        self.rows: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run, name=f"follower {app['app_id']}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Read what is left, when nothing happens any more."""
        self._stop.set()
        self._thread.join(20)
        limit = time.monotonic() + _PATIENCE
        while time.monotonic() < limit:
            more = self._look()
            if more is False:
                return
            if more is None:
                time.sleep(0.5)

    def _run(self) -> None:
        while not self._stop.wait(PAUSE):
            while self._look() and not self._stop.is_set():
                pass

    def _look(self) -> bool | None:
        """Read one answer's events; whether there are more. None where there was no answer."""
        base = self._bases[next(self._turns) % len(self._bases)]
        client = Client(base, self._app["app_id"], self._app["hmac_secret"])
        try:
            data = client.call("/v1/sync/events", cursor=self._cursor, limit=LIMIT)
        except (CallFailed, OSError, http.client.HTTPException) as exc:
            self._record.note("events not read", app_id=self._app["app_id"], error=str(exc)[:200])
            return None
        for event in data["events"]:
            self.rows.append({"app_id": self._app["app_id"], "id": event["id"], "seq": event["seq"],
                              "trade_no": event["trade_no"], "refund_no": event["refund_no"]})  # fmt: skip
        self._cursor = data["next_cursor"]
        return bool(data["has_more"])
