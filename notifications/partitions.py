"""Months of the log tables: made before they begin, and somebody is told in time where that fails."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from django.db import DatabaseError
from django.utils.translation import gettext_noop

from notifications.alerts import alert
from paycenter.partitions import keeping
from paycenter.partitions.catalogue import LOGS, Log, Month, partitions

log = structlog.get_logger(__name__)
_MISSING = gettext_noop("Log table %(table)s has no partition for %(month)s")
_MISSING_TEXT = gettext_noop(
    "Its rows are kept in the default partition meanwhile, where old months cannot be retired. "
    "manage.py log_partitions says what is there."
)
_STRAY = gettext_noop("Log table %(table)s holds %(rows)d rows of %(month)s in its default partition")
_STRAY_TEXT = gettext_noop(
    "They are too many to be moved while the center works. At a quiet hour: manage.py log_partitions --settle"
)


def keep_partitions() -> int:
    """Make what is missing; an alert for each month that has no partition then, or too many rows elsewhere.

    Answers how many partitions were made.
    """
    made = 0
    try:
        made = len(keeping.keep_ahead())
    except DatabaseError as exc:  # somebody holds the table; the next run tries again
        log.warning("partitions not made", error=str(exc)[:300])
    for key, title, text, context in _troubles():
        alert(kind="backlog", key=key, severity="critical", title=title, text=text, context=context)
    return made


def _troubles() -> Iterator[tuple[str, str, str, dict[str, object]]]:
    for each in LOGS:
        for month in keeping.missing_months(each):
            yield _trouble("missing", each, month, _MISSING, _MISSING_TEXT)
        for month, rows in (keeping.stray_months(each) if partitions(each) else {}).items():
            if rows > keeping.MOVED_AT_ONCE:
                yield _trouble("stray", each, month, _STRAY, _STRAY_TEXT, rows=rows)


def _trouble(
    what: str, each: Log, month: Month, title: str, text: str, **more: object
) -> tuple[str, str, str, dict[str, object]]:
    words = {"table": each.table, "month": str(month).replace("_", "-"), **more}
    return f"partition:{what}:{each.table}:{month}", title, text, words
