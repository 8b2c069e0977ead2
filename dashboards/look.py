"""Who looks at which days: what every dashboard is built from, and the links and words they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dashboards.parts import Cell, Chart, Figure, Series, amount, change, number, signed
from dashboards.periods import Period
from dashboards.reading import Sums, Totals
from paycenter.staff.display import money
from paycenter.staff.tenancy import tenant_of
from paycenter.staff.words import party

_SHOWN_CURRENCIES = 3


@dataclass(frozen=True, slots=True)
class Look:
    """A staff member's look at a period. `wanted` is the currency of the charts, if they chose one; `whose` is what
    narrows every list to the merchant whose figures they chose to see."""

    user: Any
    period: Period
    wanted: str = ""
    whose: Mapping[str, str] = field(default_factory=dict)

    def link(self, model: str, **query: Any) -> str:
        """The list of a model (`trades.trade`), filtered; "" for who may not see it."""
        app, name = model.split(".")
        if not self.user.has_perm(f"{app}.view_{name}"):
            return ""
        return f"{reverse(f'admin:{app}_{name}_changelist')}?{urlencode({**self.whose, **query})}"

    def page(self, model: str, pk: int) -> str:
        """The page of one record; "" for who may not see it."""
        app, name = model.split(".")
        return reverse(f"admin:{app}_{name}_change", args=[pk]) if self.user.has_perm(f"{app}.view_{name}") else ""

    def opened(self, day: date | None = None, **query: Any) -> str:
        """The trades opened on a day; in the whole period unless it is given."""
        return self.link("trades.trade", **query, **self._days("day", day))

    def paid(self, day: date | None = None, **query: Any) -> str:
        """The trades paid on a day or in the period, by the channel's time of the payment."""
        return self.link("trades.trade", **query, **self._days("paid", day))

    def refunded(self, day: date | None = None, **query: Any) -> str:
        """The refunds that ended with the money back on a day or in the period."""
        return self.link("refunds.refund", **query, state="succeeded", **self._days("done", day))

    def attempts(self, **query: Any) -> str:
        """The attempts sent in the period."""
        return self.link("trades.attempt", **query, **self._days("day", None))

    def _days(self, prefix: str, day: date | None) -> dict[str, Any]:
        return {f"{prefix}_from": day or self.period.first, f"{prefix}_to": day or self.period.last}

    def currency_of(self, sums: Sums) -> str:
        """The currency that charts of amounts show."""
        found = sums.currencies
        return self.wanted if self.wanted in found else found[0] if found else "CNY"


def channel_name(code: str) -> str:
    return party(f"channel:{code}") if code else "–"


def day_label(day: date) -> str:
    return day.strftime("%m-%d")


def before_words(period: Period) -> str:
    return _("than the %(days)d days before") % {"days": period.length}


def paid_figures(look: Look, sums: Sums) -> list[Figure]:
    """What was paid in the period: one figure for each currency, never one for several."""
    found = []
    for currency in (sums.currencies or ["CNY"])[:_SHOWN_CURRENCIES]:
        now, before = sums.total(currency), sums.total_before(currency)
        found.append(
            Figure(
                _("Paid"), money(now["paid_amount"], currency), payments(now["paid_count"]),
                look.paid(**only(sums, currency)), "good" if now["paid_count"] else "calm", "payments",
                change(now["paid_amount"], before["paid_amount"]),
            )
        )  # fmt: skip
    return found


def refunded_figures(look: Look, sums: Sums) -> list[Figure]:
    """What went back in the period, one figure for each currency in which something did then or before."""
    found = []
    for currency in sums.currencies[:_SHOWN_CURRENCIES]:
        now, before = sums.total(currency), sums.total_before(currency)
        if now["refund_count"] or before["refund_count"]:
            count = ngettext("%(count)s refund", "%(count)s refunds", now["refund_count"])
            note = count % {"count": f"{now['refund_count']:,}"}
            moved = change(now["refund_amount"], before["refund_amount"])
            value, link = money(now["refund_amount"], currency), look.refunded(**only(sums, currency))
            found.append(Figure(_("Refunded"), value, note, link, icon="undo", change=moved))
    return found


def refund_cell(look: Look, pk: int, number: str) -> Cell:
    """A refund by the end of its number, as the list of refunds names it; whole in a file."""
    return Cell(f"R…{number[-6:]}", number, look.page("refunds.refund", pk))


def points(now: Totals, before: Totals, part: str, whole: str) -> str:
    """By how many percentage points a rate moved against the days before; "" where either had nothing."""
    if not (now[whole] and before[whole]):
        return ""
    moved = now[part] * 100 / now[whole] - before[part] * 100 / before[whole]
    return _("%(points)s points") % {"points": signed(moved)}


def only(sums: Sums, currency: str) -> dict[str, Any]:
    """What narrows a list to one currency, where there is another one in the period."""
    return {"currency": currency} if currency and len(sums.currencies) > 1 else {}


def notice(look: Look, sums: Sums) -> str:
    """What to do where there is nothing to show at all; the command only for whom the center's operators serve."""
    if sums.now or sums.before:
        return ""
    text = _("Nothing happened on these days. Figures appear seconds after the first order.")
    if tenant_of(look.user) is not None:
        return text
    more = _(
        "Those of payments from before this page was introduced are counted once by the command dashboards_rebuild."
    )
    return f"{text} {more}"


def payments(count: int) -> str:
    return ngettext("%(count)s payment", "%(count)s payments", count) % {"count": f"{count:,}"}


def amounts_chart(look: Look, sums: Sums, currency: str, *, wide: bool = True) -> Chart:
    """What was paid on each day, and on the days before."""
    daily, before = sums.daily(currency), sums.daily_before(currency)
    total, earlier = sums.total(currency), sums.total_before(currency)
    links = [[look.paid(day, currency=currency) for day in part.days] for part in (look.period, look.period.previous)]
    return Chart(
        "paid", _("Paid per day, %(currency)s") % {"currency": currency}, "bar", labels(look.period),
        [
            Series(_("Paid"), amounts(daily, "paid_amount", currency, links[0])),
            Series(_("Days before"), amounts(before, "paid_amount", currency, links[1]), dashed=True),
        ],
        _("%(now)s paid in these %(days)d days, %(before)s in the same number of days before.")
        % {"now": money(total["paid_amount"], currency), "days": look.period.length,
           "before": money(earlier["paid_amount"], currency)},
        _("Nothing was paid on these days. Choose more days above."), wide=wide,
    )  # fmt: skip


def amounts(daily: list[Totals], column: str, currency: str, links: list[str]) -> list[Cell]:
    """One sum of each day, with what leads to it."""
    return [amount(day[column], currency, link) for day, link in zip(daily, links, strict=True)]


Line = tuple[str, list[Totals], str, Callable[[date], str]]


def counts_chart(look: Look, id_: str, title: str, kind: str, lines: Sequence[Line]) -> Chart:
    """Numbers per day; each line has a name, its days, which sum it shows and what leads to a day of it."""
    dates = look.period.days
    drawn = [
        Series(name, [number(sums[column], link(day)) for day, sums in zip(dates, daily, strict=True)])
        for name, daily, column, link in lines
    ]
    said = ", ".join(f"{name}: {sum(day[column] for day in days):,}" for name, days, column, _link in lines)
    return Chart(
        id_, title, kind, labels(look.period), drawn, f"{said}.",
        _("Nothing happened on these days. Choose more days above."),
    )  # fmt: skip


def labels(period: Period) -> list[str]:
    return [day_label(day) for day in period.days]


def lines_chart(look: Look, id_: str, title: str, unit: str, lines: dict[str, list[Cell]], summary: str) -> Chart:
    series = [Series(name, cells) for name, cells in sorted(lines.items())]
    return Chart(
        id_, title, "line", labels(look.period), series, summary,
        _("No channel was asked on these days. Choose more days above."), unit=unit,
    )  # fmt: skip
