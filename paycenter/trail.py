"""Who of the staff did it, from where, and what it was before: added to every event that a staff request writes.

`StaffTrailMiddleware` opens a trail for each request to the admin. While one is open, records that are about to be
changed are remembered as they were loaded (`lock`, and the pages of the admin), and `record_event` adds to an
event's detail what differs since then. Outside of such requests all of this costs one look at a context variable.
"""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import models

from paycenter.crypto import EncryptedJSONField, EncryptedTextField
from paycenter.mask_patterns import HIDDEN
from paycenter.masking import mask_mapping

KEY = "trail"  # in an event's detail
_MOST_CHARS = 500
# Counted up or stamped by every change; they say nothing by themselves.
_NOISE = frozenset({"version", "updated_at", "config_version"})
_SECRET = (EncryptedTextField, EncryptedJSONField)
_WRITES = re.compile(r'\s*(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM)\s+"?(\w+)"?', re.IGNORECASE)
# Sessions, counters of wrong passwords, codes that were used, and the records themselves.
_TECHNICAL = re.compile(
    r"django_session|django_admin_log|axes_\w+|otp_\w+|paycenter_(event|eventhead|exchange|staffsession|knownaddress|passwordused)"
)


@dataclass(slots=True)
class Trail:
    """One staff request. `events` are the types written so far with the records they are about; `tables` what was
    written besides."""

    address: str
    request_id: str = ""
    events: list[tuple[str, str, Any]] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)

    def watch(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Mapping[str, Any]
    ) -> Any:
        """An `execute_wrapper` that notes in which tables rows are written."""
        result = execute(sql, params, many, context)
        written = _WRITES.match(sql)
        if written and not _TECHNICAL.fullmatch(written[1]) and context["cursor"].rowcount != 0:
            self.tables.add(written[1])
        return result

    def has_event_about(self, record: models.Model) -> bool:
        """Whether an event about this record was written in this request."""
        about = (record._meta.model_name or "", record.pk)
        return any(event[1:] == about for event in self.events)


_open: ContextVar[Trail | None] = ContextVar("staff_trail", default=None)


def current() -> Trail | None:
    """The trail of the present staff request."""
    return _open.get()


def begin(trail: Trail) -> Any:
    """Open a trail; the answer is what `end` wants."""
    return _open.set(trail)


def end(token: Any) -> None:
    _open.reset(token)


def remember(record: Any, *, new: bool = False, many: bool = False) -> None:
    """Keep a record as it is now, for the event that tells what became of it; `new` where it is being made.

    With `many` the keys of its many-to-many fields, too.
    """
    if _open.get() is not None and record is not None:
        record._remembered = {} if new else _values(record, many=many)


def compare(before: models.Model, after: Any) -> None:
    """For a record that was loaded anew: the event about `after` tells what differs from `before`."""
    if _open.get() is not None:
        after._remembered = _values(before)


def change(name: str, before: Any, after: Any) -> dict[str, Any]:
    """For an event's detail: what several rows say together (the methods of an account), before and after."""
    return {"before": {name: before}, "after": {name: after}}


def described(record: models.Model, actor: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """The detail with the trail of the present staff request, where there is one and the actor is staff."""
    trail = _open.get()
    if trail is None or not actor.startswith("staff:"):
        return dict(detail)
    return {**detail, KEY: {"address": trail.address, "request": trail.request_id, **_changes(record)}}


def shown(record: models.Model) -> dict[str, Any]:
    """The record's columns, fit for an event: secrets hidden, personal data masked."""
    return _shown(record, _values(record))


def note_event(type_: str, record: models.Model) -> None:
    """Remember in the open trail that this event was written."""
    trail = _open.get()
    if trail is not None:
        trail.events.append((type_, record._meta.model_name or "", record.pk))


def _changes(record: Any) -> dict[str, Any]:
    """What of the record differs from when it was remembered. Of one nobody remembered only how it is now."""
    before: dict[str, Any] | None = getattr(record, "_remembered", None)
    if before is None:
        return {"after": _shown(record, _values(record))} if record.pk is not None else {}
    now = _values(record, many=bool(before) and any(f.name in before for f in record._meta.many_to_many))
    record._remembered = now
    names = [name for name in now if name not in _NOISE and (name not in before or before[name] != now[name])]
    return {
        "before": _shown(record, {name: before[name] for name in names if name in before}),
        "after": _shown(record, {name: now[name] for name in names}),
    }


def _values(record: Any, *, many: bool = False) -> dict[str, Any]:
    """The loaded columns. Deferred ones are left alone, so nothing is fetched for it."""
    loaded = record.__dict__
    found = {f.attname: copy.deepcopy(loaded[f.attname]) for f in record._meta.concrete_fields if f.attname in loaded}
    if many and record.pk is not None:
        for each in record._meta.many_to_many:
            found[each.name] = sorted(getattr(record, each.name).values_list("pk", flat=True))
    return found


def _shown(record: models.Model, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fit for JSON; secrets hidden, personal data masked, empty columns left out."""
    secret = {f.attname for f in record._meta.concrete_fields if isinstance(f, _SECRET)}
    plain = {
        name: HIDDEN if name in secret else _plain(value)
        for name, value in values.items()
        if value not in (None, "", [], {})
    }
    return mask_mapping(plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | None):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | dict):
        return value if len(str(value)) <= 4 * _MOST_CHARS else str(value)[:_MOST_CHARS]
    return str(value)[:_MOST_CHARS]
