"""What is due and not done yet, and how long the oldest of it waits. Each kind has a partial index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from cashier.intake.figures import facts
from dashboards.bounded import First, HowMany, moment
from dashboards.models import FoldedUpTo
from notifications.models import Notification
from paycenter.models import Event, EventHead
from reconciliation.models import Bill, Case
from refunds.models import Refund
from trades.models import Attempt, Trade

WORK: Mapping[str, tuple[Any, type[Model], str]] = {
    "close": (_("Trades to close"), Trade, "next_close_at"),
    "query": (_("Payments to ask about"), Attempt, "next_query_at"),
    "finish": (_("Replaced payments to close"), Attempt, "next_close_at"),
    "send": (_("Refunds to send"), Refund, "next_send_at"),
    "refunds": (_("Refunds to ask about"), Refund, "next_query_at"),
    "deliver": (_("Notifications to deliver"), Notification, "next_delivery_at"),
    "fetch": (_("Bills to download"), Bill, "next_fetch_at"),
    "cases": (_("Differences to ask about"), Case, "next_ask_at"),
}
# Overdue by less is everyday.
LATE, VERY_LATE = timedelta(seconds=60), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One kind of work: how much is due (up to `bounded.COUNT_LIMIT`), and since when the oldest is."""

    name: str
    count: int
    overdue: timedelta | None

    @property
    def tone(self) -> str:
        if self.overdue is None or self.overdue < LATE:
            return ""
        return "warn" if self.overdue < VERY_LATE else "bad"


def questions(now: datetime) -> dict[str, HowMany | First]:
    """What `bounded.ask` is asked, with others."""
    found: dict[str, HowMany | First] = {
        "unnumbered": First(Event.objects.filter(seq__isnull=True), "created_at", order="pk"),
        "unnumbered_count": HowMany(Event.objects.filter(seq__isnull=True)),
        "head": First(EventHead.objects.all(), "seq"), "folded": First(FoldedUpTo.objects.all(), "seq"),
    }  # fmt: skip
    for name, (_title, model, column) in WORK.items():
        rows = model._default_manager.filter(**{f"{column}__lte": now})
        found |= {name: First(rows, column), f"{name}_count": HowMany(rows)}
    return found


def waiting(answers: Mapping[str, Any], now: datetime) -> list[Waiting]:
    """The backlog as `bounded.ask` answered it, the longest overdue first."""
    titles = {name: title for name, (title, _model, _column) in WORK.items()}
    titles["unnumbered"] = _("Events to number")
    found = []
    for name, title in titles.items():
        since = moment(answers[name])
        overdue = max(now - since, timedelta(0)) if since else None
        found.append(Waiting(str(title), answers[f"{name}_count"], overdue))
    found += _in_the_stream()
    return sorted(found, key=lambda work: work.overdue or timedelta(-1), reverse=True)


def _in_the_stream() -> list[Waiting]:
    """Cashier orders that are not rows yet, where they go through a stream."""
    found = facts()
    if found is None:
        return []
    overdue = timedelta(seconds=found.oldest) if found.length else None
    return [Waiting(str(_("Cashier orders to write")), found.length, overdue)]


def not_in_the_sums(answers: Mapping[str, Any]) -> int:
    """How many numbered events the dashboards' sums do not hold yet."""
    return max((answers["head"] or 0) - (answers["folded"] or 0), 0)


def spell(overdue: timedelta | None) -> str:
    """`45 s`, `12 min`, `3 h`, `2 d` in the reader's language; a dash for nothing."""
    if overdue is None:
        return "–"
    seconds = int(overdue.total_seconds())
    if seconds < 120:
        return gettext("%(n)d s") % {"n": seconds}
    if seconds < 7200:
        return gettext("%(n)d min") % {"n": seconds // 60}
    if seconds < 172_800:
        return gettext("%(n)d h") % {"n": seconds // 3600}
    return gettext("%(n)d d") % {"n": seconds // 86_400}
