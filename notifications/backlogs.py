"""Work that is overdue: how late the oldest due row of each kind is, and an alert where that is too late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from notifications.alerts import alert
from notifications.models import BacklogLimit


@dataclass(frozen=True, slots=True)
class Work:
    """`column` of `model` is when a row is due (its partial index answers for the oldest); `label` an untranslated
    word for it, `seconds` how late it may be where no row of `BacklogLimit` says otherwise.

    Without a model it is not in the database: who has it says since when it waits (`ask_for`)."""

    label: str
    model: str
    column: str
    seconds: int
    filters: tuple[tuple[str, Any], ...] = ()


WORK: Mapping[str, Work] = {
    "query": Work(gettext_noop("queries of payments"), "trades.Attempt", "next_query_at", 120),
    "close": Work(gettext_noop("closing of expired trades"), "trades.Trade", "next_close_at", 120),
    "superseded": Work(gettext_noop("closing of replaced attempts"), "trades.Attempt", "next_close_at", 120),
    "delivery": Work(gettext_noop("notifications to apps"), "notifications.Notification", "next_delivery_at", 120),
    "refund_send": Work(gettext_noop("refunds to send"), "refunds.Refund", "next_send_at", 300),
    "refund_query": Work(gettext_noop("queries of refunds"), "refunds.Refund", "next_query_at", 300),
    "abnormal_policy": Work(gettext_noop("policies for stray money"), "trades.AbnormalPayment", "next_policy_at", 300),
    "bill_fetch": Work(gettext_noop("bills to fetch"), "reconciliation.Bill", "next_fetch_at", 3600),
    "bill_import": Work(gettext_noop("bills to read"), "reconciliation.Bill", "next_import_at", 3600),
    "reconcile": Work(gettext_noop("days to compare"), "reconciliation.ReconciliationDay", "next_match_at", 3600),
    "alert": Work(gettext_noop("alerts to tell"), "notifications.Alert", "next_send_at", 300),
    "order_stream": Work(gettext_noop("cashier orders to write"), "", "", 60),
    "sequencer": Work(gettext_noop("events to number"), "paycenter.Event", "created_at", 60, (("seq__isnull", True),)),
}  # fmt: skip
_TITLE = gettext_noop("Work is overdue: %(work)s")
_TEXT = gettext_noop("The oldest has been due since %(since)s, %(late)d seconds ago; %(limit)d are allowed.")


_asked: dict[str, Callable[[], datetime | None]] = {}


def ask_for(name: str, since: Callable[[], datetime | None]) -> None:
    """Register who knows since when work outside the database waits; called once, when the program starts."""
    _asked[name] = since


def work_label(name: str) -> str:
    """A kind of work in words; the name itself where nobody knows it."""
    return str(_(WORK[name].label)) if name in WORK else name


def oldest_due(name: str) -> datetime | None:
    """Since when the oldest row of this work is due; None where nothing is due. One look into a partial index."""
    work, now = WORK[name], timezone.now()
    if not work.model:
        return _asked[name]() if name in _asked else None
    rows = apps.get_model(work.model)._default_manager.filter(**{f"{work.column}__lte": now}, **dict(work.filters))
    order = "id" if work.filters else work.column  # the index of unnumbered events is by id
    found: datetime | None = rows.order_by(order).values_list(work.column, flat=True).first()
    return found


def limits() -> dict[str, int]:
    """Seconds by name of work, as the rows say, else the defaults; without those that are switched off."""
    rows = {row.name: row for row in BacklogLimit.objects.all()}
    return {
        name: rows[name].seconds if name in rows else work.seconds
        for name, work in WORK.items()
        if name not in rows or rows[name].is_active
    }


def watch_backlogs() -> int:
    """One alert per kind of work that is more overdue than its limit; answers how many."""
    return sum(_tell(name, limit) for name, limit in limits().items())


def _tell(name: str, limit: int) -> bool:
    since = oldest_due(name)
    late = int((timezone.now() - since).total_seconds()) if since else 0
    if since is None or late <= limit:
        return False
    alert(
        kind="backlog", key=f"backlog:{name}", severity="critical", title=_TITLE, text=_TEXT,
        context={"work": WORK[name].label, "since": timezone.localtime(since).strftime("%Y-%m-%d %H:%M:%S"),
                 "late": late, "limit": limit},
    )  # fmt: skip
    return True
