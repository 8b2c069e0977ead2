"""Gives events their sequence number and hash, after the commit and off the hot path.

Numbers are given to rows that are already committed, by one sequencer at a time, and become visible
together. A transaction that commits late therefore gets a later number, and a reader who has seen
number n will never see a new row below it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC
from functools import lru_cache
from typing import Any

from django.db import connection, transaction

from paycenter import compiled
from paycenter.models import Event, EventHead

BATCH = 1000
HEAD_ID = 1
_WAITING = compiled.Select(lambda: Event.objects.only("pk").filter(seq__isnull=True).order_by()[:1])
_HEAD = compiled.Select(lambda pk: EventHead.objects.select_for_update(skip_locked=True).filter(pk=pk), pk=int)


def sequence_events(*, batches: int = 100) -> int:
    """Number what is committed and unnumbered, at most `batches` × 1000 rows; answers how many.

    Returns at once when there is nothing to do, or (on PostgreSQL) when another process is at it.
    """
    done = 0
    for _ in range(batches):
        if _WAITING.first() is None:
            return done
        count = _sequence_batch()
        done += count
        if count < BATCH:
            return done
    return done


def _sequence_batch() -> int:
    with transaction.atomic():
        head = _lock_head()
        if head is None:
            return 0
        # Read after the lock: whatever the sequencer before us numbered is not NULL any more.
        events = _unnumbered(BATCH).rows()
        given: list[tuple[int, int, str]] = []
        for event in events:
            head.seq, head.hash = head.seq + 1, chain_hash(head.hash, event)
            given.append((event.pk, head.seq, head.hash))
        if given:
            _store(given)
            compiled.update(head, ("seq", "hash"))
    return len(given)


@lru_cache(maxsize=4)
def _unnumbered(most: int) -> compiled.Select[Event]:
    return compiled.Select(lambda: Event.objects.filter(seq__isnull=True).order_by("id")[:most])


def _lock_head() -> EventHead | None:
    """The head, locked; None while another process holds it."""
    head = _HEAD.first(pk=HEAD_ID)
    if head is None and not EventHead.objects.filter(pk=HEAD_ID).exists():
        last = Event.objects.filter(seq__isnull=False).order_by("-seq").first()
        EventHead.objects.bulk_create(
            [EventHead(pk=HEAD_ID, seq=(last.seq or 0) if last else 0, hash=last.hash if last else "")],
            ignore_conflicts=True,
        )
        head = _HEAD.first(pk=HEAD_ID)
    return head


def _store(given: Sequence[tuple[int, int, str]]) -> None:
    """Write all numbers of the batch in one statement."""
    table = connection.ops.quote_name(Event._meta.db_table)
    row = "(CAST(%s AS bigint), CAST(%s AS bigint), CAST(%s AS varchar(64)))"
    values = ", ".join([row] * len(given))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET seq = v.column2, hash = v.column3 FROM (VALUES {values}) AS v "  # noqa: S608
            f"WHERE {table}.id = v.column1 AND {table}.seq IS NULL",
            [value for triple in given for value in triple],
        )
        if cursor.rowcount != len(given):
            raise RuntimeError(f"{cursor.rowcount} events numbered instead of {len(given)}")


def chain_hash(previous: str, event: Event) -> str:
    """Hash of an event in the chain: SHA-256 over the hash before it and all its lasting columns."""
    return hashlib.sha256(previous.encode("ascii") + b"\n" + canonical(event)).hexdigest()


def canonical(event: Event) -> bytes:
    """All columns of an event that never change, in one spelling (JSON, sorted keys, UTF-8)."""
    values: dict[str, Any] = {
        field.attname: getattr(event, field.attname)
        for field in Event._meta.concrete_fields
        if field.attname not in ("seq", "hash")
    }
    values["created_at"] = event.created_at.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
