"""Lists over tables that grow without end: bounded counting, and filters by day that use an index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib.admin import ListFilter, SimpleListFilter
from django.contrib.admin.views.main import PAGE_VAR
from django.core.cache import cache
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from paycenter.money import is_currency

COUNT_LIMIT = 2000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than COUNT_LIMIT rows, so that a page costs the same however many are stored."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNT_LIMIT].count())


def parse_day(text: object) -> date | None:
    """The day of an ISO date, None for anything else. Days outside 2000 to 2999 are nobody's business: around the
    first and the last that there are, sums of times go wrong."""
    try:
        found = date.fromisoformat(str(text or ""))
    except ValueError:
        return None
    return found if 2000 <= found.year < 3000 else None


def day_bounds(
    first: date | None, last: date | None, zone: ZoneInfo | None = None
) -> tuple[datetime | None, datetime | None]:
    """Half-open: from the first day's midnight up to the midnight after the last day, local time."""
    place = zone or timezone.get_current_timezone()
    start = datetime.combine(first, time.min, place) if first else None
    end = datetime.combine(last + timedelta(days=1), time.min, place) if last else None
    return start, end


class DayFilter(ListFilter):
    """Quick choices and two date boxes. Without any choice the last `default_days` are shown,
    unless somebody searches: a number is found whenever it was made."""

    title: Any = _("day")
    template = "admin/pc/day_filter.html"
    prefix: ClassVar[str] = "day"
    column: str = "created_at"
    default_days: ClassVar[int | None] = 31
    # Whether lists are in the order of what is filtered by, so that a day's place in them is known.
    in_order: bool = False

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.searching = bool(request.GET.get("q"))
        for name in self.expected_parameters():
            if name in params:
                value = params.pop(name)
                self.used_parameters[name] = value[-1] if isinstance(value, list) else value
        self.others = [
            (k, v) for k, values in request.GET.lists() for v in values
            if k not in (*self.expected_parameters(), PAGE_VAR)
        ]  # fmt: skip

    def expected_parameters(self) -> list[str]:  # type: ignore[override]
        return [f"{self.prefix}_from", f"{self.prefix}_to", f"{self.prefix}_all"]

    def has_output(self) -> bool:
        return True

    @property
    def first(self) -> date | None:
        return parse_day(self.used_parameters.get(f"{self.prefix}_from"))

    @property
    def last(self) -> date | None:
        return parse_day(self.used_parameters.get(f"{self.prefix}_to"))

    @property
    def everything(self) -> bool:
        return bool(self.used_parameters.get(f"{self.prefix}_all")) or self.default_days is None

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        first = self.first
        if first is None and self.last is None and not self.everything and not self.searching:
            first = timezone.localdate() - timedelta(days=self.default_days or 0)
        return self.of_days(queryset, first, self.last)

    def of_days(self, rows: Any, first: date | None, last: date | None) -> Any:
        """The rows of days, both included; of all days before or after where one is None."""
        return self.bounded(rows, *day_bounds(first, last))

    def bounded(self, rows: Any, start: datetime | None, end: datetime | None) -> Any:
        """The rows in [start, end)."""
        if start is not None:
            rows = rows.filter(**{f"{self.column}__gte": start})
        return rows.filter(**{f"{self.column}__lt": end}) if end is not None else rows

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        today, one = timezone.localdate(), timedelta(days=1)
        spans = ((_("Today"), today, today), (_("Yesterday"), today - one, today - one),
                 (_("Last 7 days"), today - 6 * one, today))  # fmt: skip
        names = self.expected_parameters()
        for label, first, last in spans:
            yield {
                "selected": (self.first, self.last) == (first, last), "display": label,
                "query_string": changelist.get_query_string(
                    {names[0]: first.isoformat(), names[1]: last.isoformat()}, [names[2]]
                ),
            }  # fmt: skip
        none_set = self.first is None and self.last is None
        if self.default_days is not None:
            yield {
                "selected": none_set and not self.everything, "display": _("Last 31 days"),
                "query_string": changelist.get_query_string({}, names),
            }  # fmt: skip
        yield {
            "selected": none_set and self.everything, "display": _("Any day"),
            "query_string": changelist.get_query_string({names[2]: "1"}, names[:2]),
        }  # fmt: skip


class SerialDayFilter(DayFilter):
    """By a time that grows with the id, without an index on it: the ids of the span's ends are looked up by halving.

    Rows are written within SLACK of the time they carry; the exact times are compared as well.
    """

    default_days = None
    in_order = True
    SLACK: ClassVar[timedelta] = timedelta(hours=1)

    def bounded(self, rows: Any, start: datetime | None, end: datetime | None) -> Any:
        if start is not None:
            rows = rows.filter(pk__gte=first_id(rows.model, self.column, start - self.SLACK))
        if end is not None:
            rows = rows.filter(pk__lt=first_id(rows.model, self.column, end + self.SLACK))
        return super().bounded(rows, start, end)


class CurrencyFilter(SimpleListFilter):
    """One currency, where a figure of it leads here; there is nothing to choose from."""

    title = _("currency")
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        chosen = request.GET.get(self.parameter_name, "")
        return [(chosen, chosen)] if is_currency(chosen) else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(currency=self.value()) if is_currency(self.value()) else queryset


def first_id(model: type[Model], column: str, moment: datetime) -> int:
    """An id below which no row of `moment` or later stands: some thirty look-ups by key, kept for a moment that is
    long past, as nothing is written there any more."""
    kept = f"first-id:{model._meta.label_lower}:{moment.isoformat()}"
    found: int | None = cache.get(kept)
    if found is None:
        found = _halved(model, column, moment)
        if moment < timezone.now() - timedelta(hours=2):
            cache.set(kept, found, 600)
    return found


def _halved(model: type[Model], column: str, moment: datetime) -> int:
    rows = model._default_manager.order_by("pk")
    low = rows.values_list("pk", flat=True).first() or 0
    high = (rows.values_list("pk", flat=True).last() or 0) + 1
    while low < high:
        middle = (low + high) // 2
        at = rows.filter(pk__gte=middle).values_list("pk", column).first()
        if at is None or at[1] >= moment:
            high = middle
        else:
            low = at[0] + 1
    return low


def number_bound(kind: str, moment: datetime) -> str:
    """What our numbers of a kind (`P` trades) that were made at `moment` or later are not smaller than."""
    return f"{kind}{moment.astimezone(UTC):%Y%m%d%H%M%S}"


class NumberDayFilter(DayFilter):
    """By the time inside our own numbers, which sort by it: uses the number's unique index.

    `P20261121034447123456…` was made on 2026-11-21 03:44:47.123456 UTC.
    """

    column = "trade_no"
    in_order = True
    kind: str = "P"

    def bounded(self, rows: Any, start: datetime | None, end: datetime | None) -> Any:
        if start is not None:
            rows = rows.filter(**{f"{self.column}__gte": number_bound(self.kind, start)})
        return rows.filter(**{f"{self.column}__lt": number_bound(self.kind, end)}) if end is not None else rows
