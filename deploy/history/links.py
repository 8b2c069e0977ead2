"""Events in one chain, as the sequencer would have numbered them. Without Django: see `deploy.history.lines`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from deploy.history.clock import chained, utc
from deploy.history.lines import filed_lines, unpacked


class Happened(NamedTuple):
    """An event before it has a place. `detail` and `data` are JSON in the chain's spelling (sorted, no spaces)."""

    at: int
    type: str
    object_type: str
    object_id: int
    actor: str
    app_id: str = ""
    merchant_no: str = ""
    trade_no: str = ""
    attempt_no: str = ""
    refund_no: str = ""
    before: str = ""
    after: str = ""
    reason: str = ""
    detail: str = "{}"
    data: str | None = None
    public: bool = False


COLUMNS = (
    "id", "type", "created_at", "object_type", "object_id", "app_id", "merchant_no", "trade_no", "attempt_no",
    "refund_no", "from_state", "to_state", "actor", "reason", "detail", "data", "public", "seq", "hash",
)  # fmt: skip


@dataclass
class Links:
    """The last link: the event's id, its place in the chain, and the hash that the next one begins with."""

    number: int
    seq: int
    digest: str

    def rows(self, events: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The events' rows, in the order of COLUMNS, each chained to the one before."""
        return [self._row(*event) for event in events]

    def _row(
        self, moment: int, kind: str, object_type: str, object_id: int, actor: str, app_id: str, merchant_no: str,
        trade_no: str, attempt_no: str, refund_no: str, before: str, after: str, reason: str, detail: str,
        data: str | None, public: bool,
    ) -> tuple[Any, ...]:  # fmt: skip
        self.number += 1
        self.seq += 1
        at = utc(moment)
        text = (
            f'{self.digest}\n{{"actor":"{actor}","app_id":"{app_id}","attempt_no":"{attempt_no}","created_at":'
            f'"{chained(at)}","data":{data or "null"},"detail":{detail},"from_state":"{before}","id":{self.number},'
            f'"merchant_no":"{merchant_no}","object_id":{object_id},"object_type":"{object_type}",'
            f'"public":{"true" if public else "false"},"reason":"{reason}","refund_no":"{refund_no}",'
            f'"to_state":"{after}","trade_no":"{trade_no}","type":"{kind}"}}'
        )
        self.digest = sha256(text.encode()).hexdigest()
        return (
            self.number, kind, at, object_type, object_id, app_id, merchant_no, trade_no, attempt_no, refund_no,
            before, after, actor, reason, detail, data, public, self.seq, self.digest,
        )  # fmt: skip


# ---- in a process of its own ----
_mine = Links(0, 0, "")


def begin(number: int, seq: int, digest: str) -> None:
    """Go on behind this link."""
    global _mine
    _mine = Links(number, seq, digest)


def chained_lines(table: str, events: str, end: str) -> str:
    """A file of the next events as the text COPY reads."""
    return filed_lines(table, _mine.rows(unpacked(events)), end, os.path.dirname(events))


def last_link() -> tuple[int, int, str]:
    """Where that process is."""
    return _mine.number, _mine.seq, _mine.digest
