"""How channels answered lately: the newest exchanges, at most RECENT of them and one hour. Where a busy center writes
that many sooner, the span they cover is told with them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from paycenter.models import Exchange

RECENT = 2000
SPAN = timedelta(hours=1)


@dataclass(slots=True)
class Calls:
    """Our calls of one channel. An error is no answer, or a 5xx."""

    times: list[int] = field(default_factory=list)
    errors: int = 0

    def quantile(self, percent: int) -> int:
        """Milliseconds within which so many of a hundred calls ended."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Lately:
    """Calls by channel code. `covered` is the time they stand for: SPAN, or less where RECENT exchanges took less."""

    calls: dict[str, Calls]
    covered: timedelta = SPAN

    @property
    def is_whole(self) -> bool:
        return self.covered >= SPAN


def recent_calls(now: datetime) -> Lately:
    """Read backwards from the newest row by the primary key, so that the log's size costs nothing."""
    newest = list(
        Exchange.objects.order_by("-pk").values_list(
            "direction", "peer", "status", "elapsed_ms", "error", "created_at"
        )[:RECENT]
    )
    found: dict[str, Calls] = defaultdict(Calls)
    for direction, peer, status, elapsed_ms, error, created_at in newest:
        kind, _colon, channel = peer.partition(":")
        if direction != Exchange.Direction.OUT or kind != "channel" or created_at < now - SPAN:
            continue
        calls = found[channel]
        calls.times.append(elapsed_ms)
        calls.errors += bool(error) or status is None or status >= 500
    cut = len(newest) == RECENT and now - newest[-1][-1] < SPAN
    return Lately(dict(found), max(now - newest[-1][-1], timedelta(0)) if cut else SPAN)
