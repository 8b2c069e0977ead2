"""What happened, line by line: kept in memory for the checks and in a file for whoever has to understand a run."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any


class Record:
    """Thread-safe. `answers` holds what apps were told, `receipts` what they were sent, `decisions` what staff did,
    `troubles` what went wrong in the run itself."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")
        self.answers: list[dict[str, Any]] = []
        self.receipts: list[dict[str, Any]] = []
        self.decisions: list[dict[str, Any]] = []
        self.troubles: list[str] = []
        self.counts: Counter[str] = Counter()

    def note(self, what: str, **values: Any) -> None:
        """One line of the log."""
        line = {"at": time.time(), "what": what, **values}
        with self._lock:
            self.counts[what] += 1
            self._file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
            self._file.flush()

    def totals(self) -> Counter[str]:
        """How often each thing was noted, by now."""
        with self._lock:
            return Counter(self.counts)

    def trouble(self, exc: Exception) -> None:
        """Something the run did not expect: a client that broke, a program that did not start again."""
        text = f"{type(exc).__name__}: {exc}"[:300]
        self.troubles.append(text)
        self.note("trouble", error=text, trace="".join(traceback.format_exception(exc))[-3000:])

    def answer(self, **values: Any) -> None:
        """An answer of the API that an app received. The time is taken now."""
        self._keep(self.answers, "answer", values)

    def receipt(self, **values: Any) -> None:
        """A notification that an app received; `at` is when its last byte was read."""
        self._keep(self.receipts, "receipt", values)

    def decision(self, **values: Any) -> None:
        """A decision of staff that came through."""
        self._keep(self.decisions, "decision", values)

    def _keep(self, where: list[dict[str, Any]], what: str, values: dict[str, Any]) -> None:
        where.append({"at": time.time(), **values})
        self.note(what, **values)

    def close(self) -> None:
        self._file.close()
