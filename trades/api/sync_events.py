"""POST /v1/sync/events: every change of this app's records, in an order that never skips one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from django.db import OperationalError

from merchants.api.answers import boolean, free, instant, integer, nullable, record, rows, text
from merchants.api.endpoint import Endpoint
from merchants.api.errors import BadParameter
from merchants.api.fields import Integer, Shape, Text
from merchants.models import App
from paycenter.models import Event
from paycenter.sequencer import sequence_events
from paycenter.times import iso
from trades.api.cursor import decode_cursor, encode_cursor

log = structlog.get_logger(__name__)
EVENT = record({
    "id": integer("The same event always has the same id."),
    "seq": integer("Grows; not without gaps, as other apps' events lie between."),
    "type": text(),
    "created_at": instant(),
    "trade_no": nullable(text()),
    "refund_no": nullable(text()),
    "data": nullable(free("The record after the change.")),
})  # fmt: skip


class SyncEvents(Endpoint):
    operation = "sync_events"
    about = "Read changes from a cursor on; none is ever skipped or dropped."
    takes = Shape(
        fields={
            "cursor": Text(least=0, most=128, default="", about="`next_cursor` of the answer before; empty to start."),
            "limit": Integer(least=1, most=1000, default=100),
        }
    )
    example = {"cursor": "", "limit": 100}
    answers = record({"events": rows(EVENT), "next_cursor": text(), "has_more": boolean()})

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        cursor, limit = given["cursor"], given["limit"]
        try:
            after = decode_cursor(app.app_id, cursor)
        except ValueError:
            raise BadParameter({"cursor": ["not a cursor that this app was given"]}) from None
        self._sequence()
        found = list(Event.objects.filter(app_id=app.app_id, public=True, seq__gt=after).order_by("seq")[: limit + 1])
        events = found[:limit]
        return {
            "events": [_event_data(event) for event in events],
            "next_cursor": encode_cursor(app.app_id, int(events[-1].seq or 0)) if events else cursor,
            "has_more": len(found) > limit,
        }

    def _sequence(self) -> None:
        """Number what is new, so that events are in time also where no worker runs.

        A database too busy to write can still be read: what is numbered already is answered.
        """
        try:
            sequence_events(batches=1)
        except OperationalError as exc:
            log.warning("events not numbered", error=type(exc).__name__)


def _event_data(event: Event) -> dict[str, Any]:
    return {
        "id": event.pk,
        "seq": event.seq,
        "type": event.type,
        "created_at": iso(event.created_at),
        "trade_no": event.trade_no or None,
        "refund_no": event.refund_no or None,
        "data": event.data,
    }
