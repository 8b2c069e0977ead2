"""Events in one chain, exactly as the sequencer would have numbered them."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from deploy.history.clock import chained, utc
from deploy.history.tables import Table
from paycenter.models import Event, EventHead
from paycenter.sequencer import HEAD_ID


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


class Chain:
    """Days of events, written in the order of time. The head has to be locked by the caller."""

    def __init__(self) -> None:
        self.table = Table(
            Event, "id", "type", "created_at", "object_type", "object_id", "app_id", "merchant_no", "trade_no",
            "attempt_no", "refund_no", "from_state", "to_state", "actor", "reason", "detail", "data", "public", "seq",
            "hash",
        )  # fmt: skip
        head = EventHead.objects.select_for_update().filter(pk=HEAD_ID).first() or EventHead(pk=HEAD_ID)
        self._head, self._waiting = head, dict[int, list[Happened]]()

    def add(self, event: Happened) -> None:
        self._waiting.setdefault(event.at // 3_600_000_000, []).append(event)

    def write_before(self, moment: int) -> None:
        """Everything earlier goes to the table; nothing earlier may come any more."""
        for hour in sorted(hour for hour in self._waiting if (hour + 1) * 3_600_000_000 <= moment):
            for event in sorted(self._waiting.pop(hour), key=_time):
                self._write(event)

    def finish(self) -> None:
        self.write_before(2**62)
        self._head.save()

    def _write(self, e: Happened) -> None:
        head, number, public = self._head, self.table.next_id(), "true" if e.public else "false"
        at = utc(e.at)
        text = (
            f'{head.hash}\n{{"actor":"{e.actor}","app_id":"{e.app_id}","attempt_no":"{e.attempt_no}","created_at":'
            f'"{chained(at)}","data":{e.data or "null"},"detail":{e.detail},"from_state":"{e.before}","id":{number},'
            f'"merchant_no":"{e.merchant_no}","object_id":{e.object_id},"object_type":"{e.object_type}",'
            f'"public":{public},"reason":"{e.reason}","refund_no":"{e.refund_no}","to_state":"{e.after}",'
            f'"trade_no":"{e.trade_no}","type":"{e.type}"}}'
        )
        head.seq += 1
        head.hash = sha256(text.encode()).hexdigest()
        self.table.add(
            number, e.type, at, e.object_type, e.object_id, e.app_id, e.merchant_no, e.trade_no, e.attempt_no,
            e.refund_no, e.before, e.after, e.actor, e.reason, e.detail, e.data, e.public, head.seq, head.hash,
        )  # fmt: skip


def _time(event: Happened) -> int:
    return event.at
