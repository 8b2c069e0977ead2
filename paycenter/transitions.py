"""The only code that changes a state: a django-fsm transition under the row's lock, saved with its event.

django-fsm checks neither permissions nor locks, and saves nothing; `advance` is what everybody calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeVar

from django.db import connection, models, transaction
from django.utils import timezone
from django_fsm import TransitionNotAllowed, can_proceed

from paycenter import compiled, trail
from paycenter.errors import TransitionRefused
from paycenter.models import Event

M = TypeVar("M", bound=models.Model)
_NOT_YET = ("seq", "hash")  # the sequencer gives them


def lock(model: type[M], **lookup: Any) -> M:
    """Fetch one row for update. Must run inside `atomic`; raises `model.DoesNotExist`.

    Lock order everywhere: trade, attempt, abnormal payment, refund, ceiling counter. New rows may refer to a locked one
    meanwhile: a merchant that staff change holds up no payment.
    """
    if set(lookup) == {"pk"} and isinstance(lookup["pk"], int):
        found = _lock_by_key(model).get(**lookup)
    else:
        found = model._default_manager.select_for_update(of=("self",), no_key=True).get(**lookup)
    trail.remember(found)
    return found  # type: ignore[return-value]


@lru_cache(maxsize=64)
def _lock_by_key(model: type[models.Model]) -> compiled.Select[models.Model]:
    return compiled.Select(
        lambda pk: model._default_manager.select_for_update(of=("self",), no_key=True).order_by().filter(pk=pk), pk=int
    )


def advance(
    record: models.Model,
    transition: str,
    *,
    actor: str,
    reason: str = "",
    fields: Iterable[str] = (),
    event: str = "",
    data_of: Callable[[Any], dict[str, Any]] | None = None,
    **event_fields: Any,
) -> Event:
    """Run the named transition on a row the caller has locked, save it and write its event.

    `fields` are further columns the caller changed on `record`; `data_of(record)`, called after the
    change, is the event's public data. Raises TransitionRefused when the present state does not allow
    the change.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("advance() needs an open transaction and a locked row")
    before = _proceed(record, transition)
    save_changed(record, ("state", *fields))
    if data_of is not None:
        event_fields["data"] = data_of(record)
    return record_event(
        record, event or f"{record._meta.model_name}.{transition}", actor=actor, reason=reason,
        from_state=before, to_state=str(record.state), **event_fields,  # type: ignore[attr-defined]
    )  # fmt: skip


def _proceed(record: Any, transition: str) -> str:
    """Run the transition in memory; the state before. Raises TransitionRefused."""
    method = getattr(record, transition)
    before = str(record.state)
    if not can_proceed(method, check_conditions=True):
        raise TransitionRefused(f"{transition} is not possible from {before}", state=before)
    try:
        method()
    except TransitionNotAllowed as exc:
        raise TransitionRefused(f"{transition} is not possible from {before}", state=before) from exc
    return before


def way_of(model: type[models.Model], transition: str) -> tuple[tuple[str, ...], str]:
    """The states that a transition starts from and the one it leads to, for a statement that moves many rows at once.

    Raises TypeError where anything besides the state decides.
    """
    field: Any = model._meta.get_field("state")
    ways = [way for way in field.get_all_transitions(model) if way.name == transition]
    sources, targets = tuple(sorted({str(way.source) for way in ways})), {str(way.target) for way in ways}
    if len(targets) != 1 or any(way.conditions for way in ways) or not set(sources) <= set(dict(field.choices)):
        raise TypeError(f"{transition} of {model.__name__} is not a matter of states alone")
    return sources, targets.pop()


def events_sql(source: str, **columns: str) -> str:
    """An INSERT of an event for each row of `source`, as `record_event` writes it; `columns` are SQL (PostgreSQL)."""
    empty = dict.fromkeys(("attempt_no", "refund_no", "hash"), "''")
    return compiled.insert_sql(Event, source, {**empty, "detail": "'{}'", **columns})


def save_changed(record: models.Model, fields: Iterable[str]) -> None:
    """Save these columns, and count the version up where the record has one."""
    names = set(fields)
    if hasattr(record, "version"):
        record.version += 1
        names.add("version")
    compiled.update(record, names)


def record_event(record: models.Model, type_: str, *, actor: str, **fields: Any) -> Event:
    """Write an event about a record without changing its state."""
    event = _event(record, type_, actor=actor, **fields)
    waiting = _waiting.get()
    if waiting is None:
        compiled.insert(event, empty=_NOT_YET)
    else:
        waiting.append(event)
    return event


def _event(record: models.Model, type_: str, *, actor: str, **fields: Any) -> Event:
    describe = getattr(record, "event_fields", None)
    values = {**(describe() if describe else {}), **fields}
    if trail.current() is not None:
        values["detail"] = trail.described(record, actor, values.get("detail") or {})
        trail.note_event(type_, record)
    return Event(
        type=type_, actor=actor[:100], object_type=record._meta.model_name or "", object_id=record.pk,
        created_at=timezone.now(), **{**values, "reason": str(values.get("reason", ""))[:500]},
    )  # fmt: skip


_waiting: ContextVar[list[Event] | None] = ContextVar("waiting_events", default=None)


@contextmanager
def events_together() -> Iterator[None]:
    """Write the events recorded inside the block in one statement at its end, in their order.

    Inside the transaction of what they tell about; when the block fails, none is written.
    """
    events: list[Event] = []
    token = _waiting.set(events)
    try:
        yield
    finally:
        _waiting.reset(token)
    if events:
        compiled.insert(*events, empty=_NOT_YET)
