"""Proves that no event was altered, dropped or put in between, and keeps the head outside the database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from paycenter.models import Event, EventHead
from paycenter.sequencer import HEAD_ID, chain_hash

_BATCH = 2000


class AuditBroken(Exception):
    """The chain of events does not hold; the message names the first place."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    events: int
    heads: int  # lines of the heads file that were compared
    unsequenced: int


def heads_path() -> Path:
    """Where the head is noted each hour; keep copies on another machine."""
    return Path(settings.VAR_DIR) / "audit-heads.log"


def write_head() -> bool:
    """Append the present head as one JSON line, unless it is the last one there. Raises OSError."""
    head = EventHead.objects.filter(pk=HEAD_ID).first()
    if head is None or head.seq == 0:
        return False
    path = heads_path()
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    if lines and f'"seq": {head.seq},' in lines[-1]:
        return False
    line = json.dumps({"seq": head.seq, "hash": head.hash, "time": timezone.now().isoformat(timespec="seconds")})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="ascii") as out:
        out.write(line + "\n")
        out.flush()
        os.fsync(out.fileno())
    return True


def verify() -> AuditResult:
    """Walk the whole chain. Raises AuditBroken naming the first altered, missing or foreign row."""
    noted = _noted_heads(heads_path())
    head = _head()  # the walk ends here, whatever the sequencer adds meanwhile
    seq, previous = 0, ""
    for event in _sequenced(head.seq):
        seq += 1
        if event.seq != seq:
            raise AuditBroken(f"event seq {seq} is missing: the next one is seq {event.seq}, id {event.pk}")
        if chain_hash(previous, event) != event.hash:
            raise AuditBroken(f"event seq {seq}, id {event.pk} ({event.type}) was altered")
        if noted.get(seq, event.hash) != event.hash:
            raise AuditBroken(f"event seq {seq}, id {event.pk} was rewritten: {heads_path()} has another hash")
        previous = event.hash
    if head.seq > seq:
        raise AuditBroken(f"the chain ends at seq {seq}, but its head says {head.seq}: events were cut off")
    if head.hash != previous:
        raise AuditBroken(f"the head's hash is not that of the last event, seq {seq}")
    _check_beyond(max(noted, default=0))
    return AuditResult(events=seq, heads=len(noted), unsequenced=Event.objects.filter(seq__isnull=True).count())


def _check_beyond(noted: int) -> None:
    """Nothing numbered above the head, and nothing noted above it. Read in this order because a
    sequencer may be adding both."""
    last = Event.objects.aggregate(last=Max("seq"))["last"] or 0
    head = _head()
    if last > head.seq:
        raise AuditBroken(f"event seq {last} is beyond the head of the chain, seq {head.seq}")
    if noted > head.seq:
        raise AuditBroken(f"the chain ends at seq {head.seq}, but seq {noted} was noted: events were cut off")


def _head() -> EventHead:
    return EventHead.objects.filter(pk=HEAD_ID).first() or EventHead(pk=HEAD_ID, seq=0, hash="")


def _sequenced(last: int) -> Iterator[Event]:
    """Numbered events up to `last` in order; in pages, so that memory does not grow with the table."""
    after = 0
    while page := list(Event.objects.filter(seq__gt=after, seq__lte=last).order_by("seq")[:_BATCH]):
        yield from page
        after = int(page[-1].seq or 0)


def _noted_heads(path: Path) -> dict[int, str]:
    """Hashes by sequence number, as they were written each hour."""
    found: dict[int, str] = {}
    lines = path.read_text(encoding="ascii", errors="replace").splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            seq, digest = int(row["seq"]), str(row["hash"])
        except (ValueError, KeyError, TypeError) as exc:
            raise AuditBroken(f"{path}, line {number} cannot be read") from exc
        if found.setdefault(seq, digest) != digest:
            raise AuditBroken(f"{path}, line {number}: another hash for seq {seq} stands above it")
    return found
