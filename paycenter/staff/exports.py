"""Exports of lists, written in the background: started, gone on with after a crash, stopped, deleted again.

The file holds what the list shows to its owner with the chosen filters: the list itself is asked, as its owner, and
by key, so that memory does not grow with the rows.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.contrib import admin
from django.db import transaction
from django.http import Http404, HttpRequest, QueryDict
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from paycenter.claims import claim_due
from paycenter.errors import TransitionRefused
from paycenter.money import Money
from paycenter.places import files_dir
from paycenter.replica import reporting
from paycenter.staff.keyset import Key, beyond, estimated, keys_of, token, value_in, values_of
from paycenter.staff.list_models import UNFINISHED, ExportState, ListExport
from paycenter.staff.sheets import SEPARATORS, csv_line, xlsx_stream
from paycenter.transitions import record_event
from paycenter.wakeup import wake

log = structlog.get_logger(__name__)
TASK = "paycenter.tasks.write_exports"
PORTION = 1000  # rows in memory
LEASE = 60.0  # seconds without a sign of life until another worker takes over
AT_ONCE = 3  # of one person
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an export: its heading, and a record's value in it (text, a whole number, or None)."""

    heading: Any
    value: Callable[[Any], Any]


def columns(*pairs: tuple[Any, Callable[[Any], Any]]) -> tuple[Column, ...]:
    """Columns from (heading, value)."""
    return tuple(Column(heading, value) for heading, value in pairs)


def major(amount: int | None, currency: str) -> str | None:
    """`128.50`, for sums in a spreadsheet."""
    return None if amount is None else Money(amount, currency).major


def moment(at: Any) -> str | None:
    """Local time, as spreadsheets know it."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S") if at else None


class Stopped(Exception):
    """Somebody cancelled the export, or another worker has it."""


def exports_root() -> Path:
    """Where the files are: below the data directory, which no web server shows."""
    return files_dir() / "exports"


def export_path(export: ListExport) -> Path:
    """The export's file. Raises Http404 where it has none."""
    if not export.file or not export.file.replace(".", "").isalnum():
        raise Http404
    return exports_root() / export.file


def reader_of(user: Any) -> str:
    """What decides which rows somebody sees. Whoever is somebody else by now gets nothing they could see before."""
    return f"{user.role}:{user.merchant_id}:{user.app_id}:{user.is_superuser}"


# ---- what people do -----------------------------------------------------------------------------------------
def export_start(page: Any, request: HttpRequest, kind: str) -> ListExport:
    """Have the list written as it is filtered now. Raises TransitionRefused for too many at once or too long a filter,
    ValueError for an unknown format."""
    query = request.GET.copy()
    query.pop("p", None)
    if len(query.urlencode()) > 2000:
        raise TransitionRefused(_("The filter is too long."))
    user: Any = request.user
    if ListExport.objects.filter(owner=user, state__in=UNFINISHED).count() >= AT_ONCE:
        raise TransitionRefused(_("%(n)d of your exports are still being written.") % {"n": AT_ONCE})
    rows, words = page.export_source(request)
    now = timezone.now()
    with transaction.atomic():
        export = ListExport.objects.create(
            owner=user, page=page.opts.label_lower, query=query.urlencode(), kind=ListExport.Kind(kind).value,
            language=translation.get_language() or "", reader=reader_of(user), words=words,
            expected=min(estimated(rows)[0], settings.EXPORT_ROWS),
            file=f"{secrets.token_hex(16)}.{ListExport.ending_of(kind)}", created_at=now, next_run_at=now,
        )  # fmt: skip
        record_event(export, "listexport.requested", actor=_actor(user), to_state=str(export.state))
        transaction.on_commit(lambda: wake(TASK), robust=True)
    return export


def export_cancel(export: ListExport) -> None:
    """Stop it; what was written is deleted. Raises TransitionRefused when it is finished."""
    with transaction.atomic():
        rows = ListExport.objects.filter(pk=export.pk, state__in=UNFINISHED)
        if not rows.update(state=ExportState.CANCELLED, next_run_at=None, finished_at=timezone.now()):
            raise TransitionRefused(_("It is finished already."), state=str(export.state))
        record_event(export, "listexport.cancelled", actor=_actor(export.owner), to_state=str(ExportState.CANCELLED))
    with suppress(Http404):
        export_path(export).unlink(missing_ok=True)


def _actor(user: Any) -> str:
    return f"staff:{user.get_username()}"


# ---- the worker ---------------------------------------------------------------------------------------------
def exports_write() -> int:
    """Write what is due, one after the other; answers how many. Several workers share them."""
    done = 0
    while ids := claim_due(ListExport, "next_run_at", now=timezone.now(), lease=LEASE, limit=1):
        export_run(ids[0])
        done += 1
    return done


def export_run(export_id: int) -> None:
    """Write one that this worker has claimed, from where it stands. Never raises: what went wrong stands on the row."""
    export = ListExport.objects.select_related("owner").get(pk=export_id)
    if export.state not in UNFINISHED:
        return
    export.tries += 1
    _store(export, "tries", state=ExportState.RUNNING)
    try:
        with translation.override(export.language or None):
            _write(export)
    except Stopped:
        _clean_up_after_stop(export)
    except Exception as exc:
        log.exception("export failed", export=export_id)
        _failed(export, exc)


def _clean_up_after_stop(export: ListExport) -> None:
    if not ListExport.objects.filter(pk=export.pk, state__in=UNFINISHED).exists():
        export_path(export).unlink(missing_ok=True)


def _failed(export: ListExport, exc: Exception) -> None:
    """Tried again a little later, unless it is hopeless."""
    export.error = type(exc).__name__[:200] if not isinstance(exc, TransitionRefused) else str(exc)[:200]
    now = timezone.now()
    if export.tries < _TRIES and not isinstance(exc, TransitionRefused):
        ListExport.objects.filter(pk=export.pk, state__in=UNFINISHED).update(
            error=export.error, next_run_at=now + timedelta(seconds=5 * export.tries)
        )
        return
    with transaction.atomic():
        ended = {"state": ExportState.FAILED, "next_run_at": None, "error": export.error, "finished_at": now}
        if ListExport.objects.filter(pk=export.pk, state__in=UNFINISHED).update(**ended):
            record_event(export, "listexport.failed", actor="system", reason=export.error, to_state="failed")
    export_path(export).unlink(missing_ok=True)


def _write(export: ListExport) -> None:
    page, request = _page_of(export)
    shown: Sequence[Column] = page.get_export_columns(request)
    queryset = page.export_source(request)[0].using(reporting())
    keys = keys_of(queryset)
    if keys is None:  # an order made for people; a file can do without
        queryset, keys = queryset.order_by("-pk"), [Key(queryset.model._meta.pk.attname, True)]
    heads = [str(column.heading) for column in shown]
    exports_root().mkdir(parents=True, exist_ok=True, mode=0o700)
    portions = _portions(export, queryset, keys)
    if export.kind in SEPARATORS:
        _write_csv(export, heads, shown, portions)
    else:
        _write_xlsx(export, heads, shown, portions)
    _finished(export)


def _page_of(export: ListExport) -> tuple[Any, HttpRequest]:
    """The list and a request of its owner's. Raises TransitionRefused where they may not see it (any more)."""
    page = next((p for m, p in admin.site._registry.items() if m._meta.label_lower == export.page), None)
    request = HttpRequest()
    request.method, request.user = "GET", export.owner
    request.GET = QueryDict(export.query)
    same = export.owner.is_active and reader_of(export.owner) == export.reader
    allowed = same and page is not None and page.has_view_permission(request)
    if not allowed or not getattr(page, "export_columns", ()):
        raise TransitionRefused(_("You may not see this list any more."))
    return page, request


def _portions(export: ListExport, queryset: Any, keys: list[Key]) -> Iterator[list[Any]]:
    """The rows from the export's place on; before each further portion the last one is written down."""
    if export.kind == ListExport.Kind.XLSX:
        export.place, export.rows = "", 0
    values = values_of(keys, export.place, queryset.model) if export.place else None
    while export.rows < settings.EXPORT_ROWS:
        rows = queryset if values is None else queryset.filter(beyond(keys, values))
        found = list(rows[: min(PORTION, settings.EXPORT_ROWS - export.rows)])
        if not found:
            return
        values = [value_in(found[-1], key) for key in keys]
        export.place, export.rows = token(keys, found[-1]), export.rows + len(found)
        yield found
        _store(export, "rows", "place", "size", alive=True)
    rest = queryset if values is None else queryset.filter(beyond(keys, values))
    export.cut = bool(list(rest[:1]))


def _write_csv(export: ListExport, heads: list[str], shown: Sequence[Column], portions: Iterator[list[Any]]) -> None:
    """Goes on where the last certain byte is."""
    path, separator = export_path(export), SEPARATORS[export.kind]
    with path.open("r+b" if path.exists() else "wb") as out:
        if not export.place or path.stat().st_size < export.size:
            export.place, export.rows, export.size = "", 0, 0
        out.truncate(export.size)
        out.seek(export.size)
        if not export.size:
            out.write(f"\ufeff{csv_line(heads, separator)}".encode())
        for found in portions:
            out.write("".join([csv_line([c.value(row) for c in shown], separator) for row in found]).encode())
            out.flush()
            os.fsync(out.fileno())
            export.size = out.tell()
        out.flush()
        os.fsync(out.fileno())
        export.size = out.tell()


def _write_xlsx(export: ListExport, heads: list[str], shown: Sequence[Column], portions: Iterator[list[Any]]) -> None:
    """Always from the beginning: a half-written archive cannot be gone on with."""
    rows = ([c.value(row) for c in shown] for found in portions for row in found)
    with export_path(export).open("wb") as out:
        for block in xlsx_stream(heads, rows):
            out.write(block)
            export.size = out.tell()
        out.flush()
        os.fsync(out.fileno())


def _store(export: ListExport, *names: str, alive: bool = False, **more: Any) -> None:
    """Write columns of an unfinished export, and that somebody is at it. Raises Stopped where it is not ours."""
    values: dict[str, Any] = {name: getattr(export, name) for name in names}
    if alive:
        values["next_run_at"] = timezone.now() + timedelta(seconds=LEASE)
    ours = ListExport.objects.filter(pk=export.pk, state__in=UNFINISHED, tries__lte=export.tries)
    if not ours.update(**values, **more):
        raise Stopped


def _finished(export: ListExport) -> None:
    now = timezone.now()
    with transaction.atomic():
        _store(
            export, "rows", "size", "cut", state=ExportState.DONE, next_run_at=None, finished_at=now, error="",
            expires_at=now + timedelta(days=settings.EXPORT_KEEP_DAYS),
        )  # fmt: skip
        record_event(export, "listexport.finished", actor="system", to_state=str(ExportState.DONE))


def exports_forget() -> int:
    """Delete files whose time is over, and such that belong to no export; answers how many exports."""
    old = list(ListExport.objects.filter(state=ExportState.DONE, expires_at__lte=timezone.now())[:1000])
    for export in old:
        export_path(export).unlink(missing_ok=True)
        ListExport.objects.filter(pk=export.pk).update(state=ExportState.GONE)
        record_event(export, "listexport.forgotten", actor="system", to_state=str(ExportState.GONE))
    _forget_strays()
    return len(old)


def _forget_strays() -> None:
    """Files of exports that are finished without one, or of people who were deleted; a day old at least."""
    before = timezone.now().timestamp() - 86_400
    files = [f for f in exports_root().glob("*.*") if f.stat().st_mtime < before] if exports_root().is_dir() else []
    kept = ListExport.objects.filter(file__in=[f.name for f in files], state__in=(*UNFINISHED, ExportState.DONE))
    known = set(kept.values_list("file", flat=True))
    for stray in files:
        if stray.name not in known:
            stray.unlink(missing_ok=True)
