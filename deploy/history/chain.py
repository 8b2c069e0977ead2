"""Events collected out of order and written in the order of time."""

from __future__ import annotations

from operator import itemgetter

from deploy.history.links import COLUMNS, Happened, Links
from deploy.history.tables import Table
from paycenter.models import Event, EventHead
from paycenter.sequencer import HEAD_ID

_HOUR = 3_600_000_000


class Chain:
    """Days of events. The head has to be locked by the caller."""

    def __init__(self) -> None:
        self._head = EventHead.objects.select_for_update().filter(pk=HEAD_ID).first() or EventHead(pk=HEAD_ID)
        self.table = Table(Event, *COLUMNS)
        self.table.links = Links(self.table.last_id, self._head.seq, self._head.hash)
        self._waiting = dict[int, list[Happened]]()

    def add(self, event: Happened) -> None:
        self._waiting.setdefault(event.at // _HOUR, []).append(event)

    def write_before(self, moment: int) -> None:
        """Everything earlier goes to the table; nothing earlier may come any more."""
        for hour in sorted(hour for hour in self._waiting if (hour + 1) * _HOUR <= moment):
            events = sorted(self._waiting.pop(hour), key=itemgetter(0))
            self.table.rows += events
            self.table.last_id += len(events)

    def finish(self) -> None:
        """Nothing more will come."""
        self.write_before(2**62)

    def save_head(self) -> None:
        """The next event joins the last one that was written."""
        links = self.table.links
        assert links is not None  # noqa: S101 - for the type checker
        self._head.seq, self._head.hash = links.seq, links.digest
        self._head.save()
