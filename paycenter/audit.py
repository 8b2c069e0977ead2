"""Proves that no event was altered, dropped or put in between, and keeps the head outside the database."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext_noop

from notifications.alerts import alert
from paycenter.models import AuditVerification, Event, EventHead
from paycenter.places import files_dir
from paycenter.sequencer import HEAD_ID, chain_hash

log = structlog.get_logger(__name__)
_BATCH = 2000
Progress = Callable[[int, int], None]


class AuditBroken(Exception):
    """The chain of events does not hold; the message names the first place."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    events: int
    heads: int  # lines of the heads file that were compared
    unsequenced: int
    first: int
    last: int
    hash: str  # of the last one


def heads_path() -> Path:
    """Where the head is noted each hour; keep copies on another machine."""
    return files_dir() / "audit-heads.log"


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
    log.info("audit head", seq=head.seq, hash=head.hash)  # wherever the logs go, it stands there too
    return True


def verify(*, first: int = 1, last: int | None = None, progress: Progress | None = None) -> AuditResult:
    """Walk the chain from sequence number `first` to `last` (included; without it to the head), in pages.

    A walk from the middle takes the hash before `first` as it is stored. Raises AuditBroken naming the first altered,
    missing or foreign row, ValueError for a range that is none. `progress` hears each page's last number and the
    number of the last one there will be.
    """
    noted = _noted_heads(heads_path())
    head = _head()  # the walk ends here, whatever the sequencer adds meanwhile
    end = head.seq if last is None else last
    if not 1 <= first <= max(end, 1) or end > head.seq:
        raise ValueError(f"there is no seq {first} to {end}: the chain goes from 1 to {head.seq}")
    previous = _hash_before(first, noted)
    seq, previous = _walk(first, end, previous, noted, progress)
    if end > seq:
        raise AuditBroken(f"the chain ends at seq {seq}, but its head says {end}: events were cut off")
    if last is None and head.hash != previous:
        raise AuditBroken(f"the head's hash is not that of the last event, seq {seq}")
    _check_beyond(max(noted, default=0))
    heads = sum(first <= each <= end for each in noted)
    unsequenced = Event.objects.filter(seq__isnull=True).count()
    return AuditResult(seq - first + 1, heads, unsequenced, first, seq, previous)


def _walk(
    first: int, end: int, previous: str, noted: dict[int, str], progress: Progress | None
) -> tuple[int, str]:
    """The last number that was there, and its hash."""
    seq = first - 1
    for event in _sequenced(first, end):
        seq += 1
        if event.seq != seq:
            raise AuditBroken(f"event seq {seq} is missing: the next one is seq {event.seq}, id {event.pk}")
        if chain_hash(previous, event) != event.hash:
            raise AuditBroken(f"event seq {seq}, id {event.pk} ({event.type}) was altered")
        if noted.get(seq, event.hash) != event.hash:
            raise AuditBroken(f"event seq {seq}, id {event.pk} was rewritten: {heads_path()} has another hash")
        previous = event.hash
        if progress is not None and seq % _BATCH == 0:
            progress(seq, end)
    return seq, previous


def _hash_before(first: int, noted: dict[int, str]) -> str:
    """The hash the chain goes on from. Raises AuditBroken where that event is missing or differs from a noted head."""
    if first == 1:
        return ""
    found = Event.objects.filter(seq=first - 1).values_list("hash", flat=True).first()
    if found is None:
        raise AuditBroken(f"event seq {first - 1} is missing")
    if noted.get(first - 1, found) != found:
        raise AuditBroken(f"event seq {first - 1} was rewritten: {heads_path()} has another hash")
    return found


def verify_and_keep(*, by: str, whole: bool = True, progress: Progress | None = None) -> AuditVerification:
    """Verify, keep the result for the auditor's page, and alert where the chain does not hold.

    Not the `whole` chain: from where the last good verification ended, whose last hash must still be there.
    """
    before = AuditVerification.objects.filter(ok=True).order_by("-id").first() if not whole else None
    row = AuditVerification(started_at=timezone.now(), by=by[:100], first_seq=before.last_seq + 1 if before else 1)
    try:
        _keep_result(row, _verify_after(before, progress))
    except AuditBroken as exc:
        row.ok, row.problem = False, str(exc)[:500]
    row.finished_at = timezone.now()
    row.save()
    if not row.ok:
        _alert_broken(row)
    return row


def _verify_after(before: AuditVerification | None, progress: Progress | None) -> AuditResult:
    if before is None or before.last_seq == 0:
        return verify(progress=progress)
    if before.last_seq > _head().seq:
        raise AuditBroken(f"seq {before.last_seq} was verified, but the chain ends at seq {_head().seq}")
    last = Event.objects.filter(seq=before.last_seq).values_list("hash", flat=True).first()
    if last != before.last_hash:
        raise AuditBroken(f"event seq {before.last_seq} was rewritten since it was verified")
    return verify(first=before.last_seq, progress=progress)


def _keep_result(row: AuditVerification, found: AuditResult) -> None:
    row.ok, row.first_seq, row.last_seq, row.last_hash = True, found.first, found.last, found.hash
    row.events, row.heads, row.unsequenced = found.events, found.heads, found.unsequenced


def _alert_broken(row: AuditVerification) -> None:
    alert(
        kind="audit", key="audit:chain", severity="critical", record=row,
        title=gettext_noop("The chain of audit events is broken"),
        text="%(problem)s", context={"problem": row.problem},
    )  # fmt: skip


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


def _sequenced(first: int, last: int) -> Iterator[Event]:
    """Numbered events from `first` to `last` in order; in pages, so that memory does not grow with the table."""
    after = first - 1
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
