"""Reading the sums: each dashboard reads its days and the days before in one query."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from django.db.models import Sum

from dashboards.models import ANSWER_BOUNDS, SUMS, AppDay, ChannelDay, PaymentDay
from dashboards.periods import Period
from paycenter.staff.tenancy import Tenant

Row = dict[str, Any]
Totals = Counter[str]


class Sums:
    """The rows of a period and of the one before it, added up as somebody asks."""

    def __init__(self, rows: Iterable[Row], period: Period) -> None:
        self.period = period
        self.now: list[Row] = []
        self.before: list[Row] = []
        for row in rows:
            (self.now if row["day"] >= period.first else self.before).append(row)

    @property
    def currencies(self) -> list[str]:
        """Those that appear, the busiest first."""
        found = add_up(self.now, lambda row: row["currency"])
        used = {name: sums for name, sums in found.items() if any(sums.values())}
        return sorted(used, key=lambda name: (-used[name]["paid_count"], -used[name]["created_count"], name))

    def by(self, key: Callable[[Row], Hashable], currency: str = "") -> dict[Any, Totals]:
        return add_up(_of(self.now, currency), key)

    def by_before(self, key: Callable[[Row], Hashable], currency: str = "") -> dict[Any, Totals]:
        return add_up(_of(self.before, currency), key)

    def total(self, currency: str = "") -> Totals:
        return add_up(_of(self.now, currency), lambda _row: 0).get(0, Counter())

    def total_before(self, currency: str = "") -> Totals:
        return add_up(_of(self.before, currency), lambda _row: 0).get(0, Counter())

    def daily(self, currency: str = "") -> list[Totals]:
        """One for each day of the period."""
        found = add_up(_of(self.now, currency), lambda row: row["day"])
        return [found.get(day, Counter()) for day in self.period.days]

    def daily_before(self, currency: str = "") -> list[Totals]:
        found = add_up(_of(self.before, currency), lambda row: row["day"])
        return [found.get(day, Counter()) for day in self.period.previous.days]

    def daily_by(self, key: Callable[[Row], Hashable], currency: str = "") -> dict[Any, list[Totals]]:
        """For each key one for each day."""
        found = self.by(lambda row: (key(row), row["day"]), currency)
        keys = {name for name, _day in found}
        return {name: [found.get((name, day), Counter()) for day in self.period.days] for name in keys}


def add_up(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> dict[Any, Totals]:
    found: dict[Any, Totals] = defaultdict(Counter)
    for row in rows:
        sums = found[key(row)]
        for name in SUMS:
            sums[name] += row[name]
    return dict(found)


def _of(rows: list[Row], currency: str) -> list[Row]:
    return [row for row in rows if row["currency"] == currency] if currency else rows


def center_sums(period: Period) -> Sums:
    """Of all merchants, by channel and method."""
    rows = ChannelDay.objects.filter(day__range=(period.previous.first, period.last))
    return Sums(rows.values("day", "channel", "method", "currency", *SUMS), period)


def tenant_sums(tenant: Tenant, period: Period) -> Sums:
    """Of one merchant or one app, by method. Of a tenant that is nobody (an account without its merchant): nothing."""
    days = (period.previous.first, period.last)
    if tenant.pk is None or tenant.kind not in ("merchant", "app"):
        return Sums([], period)
    if tenant.kind == "app":
        own = AppDay.objects.filter(app_id=tenant.pk, day__range=days)
        return Sums(own.values("day", "method", "currency", *SUMS), period)
    rows = PaymentDay.objects.filter(merchant_id=tenant.pk, day__range=days)
    return Sums(_added(rows, "day", "method", "currency"), period)


def merchants_of_app(app_id: int, period: Period, limit: int) -> list[Row]:
    """The busiest merchants of an app, by currency."""
    rows = PaymentDay.objects.filter(app_id=app_id, day__range=(period.first, period.last))
    added = _added(rows, "merchant_id", "merchant__merchant_no", "merchant__name", "currency")
    return list(added.order_by("-paid_count", "merchant_id")[:limit])


def _added(rows: Any, *keys: str) -> Any:
    """Grouped by `keys`; the sums keep their names."""
    return rows.order_by().values(*keys).annotate(**{name: Sum(name) for name in SUMS})


def answered_within(sums: Totals, percent: int) -> str:
    """The bound below which so many of a hundred answers came: `≤ 500 ms`, `> 5 s`; a dash of none."""
    if not sums["answer_count"]:
        return "–"
    wanted, seen = sums["answer_count"] * percent / 100, 0
    for bound in ANSWER_BOUNDS:
        seen += sums[f"under_{bound}"]
        if seen >= wanted:
            return f"≤ {bound} ms" if bound < 1000 else f"≤ {bound // 1000} s"
    return f"> {ANSWER_BOUNDS[-1] // 1000} s"
