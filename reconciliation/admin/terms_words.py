"""Fee rates and settlement terms in words and money, as people read and compare them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext, ngettext

from merchants.admin.changes import ChangeWords, words_of_change
from merchants.forms import method_label
from merchants.models import ChangeRequest
from paycenter.staff.display import money
from reconciliation.settlement.changing import FEE_RATE, RATE_FIELDS, SETTLEMENT_TERMS, TERMS_FIELDS, parts_of
from reconciliation.settlement.models import ROUNDINGS, FeeRate, SettlementCalendar, SettlementTerms

# Amounts of a rate are numbers of smallest units of whatever is paid; they are written and read as yuan.
SHOWN_CURRENCY = "CNY"
Row = tuple[str, str, str]


def percent(ppm: int) -> str:
    """`0.6 %` of 6,000 millionths."""
    return f"{(Decimal(ppm) / 10_000).normalize():f} %"


def method_word(method: str) -> str:
    """Which payments a rate is about."""
    return method_label(method) if method else gettext("every method without a rate of its own")


def rate_word(name: str, value: Any) -> str:
    """A stored value of a rate in words."""
    if name == "ppm":
        return percent(int(value))
    if name == "rounding":
        return str(dict(ROUNDINGS).get(value, value))
    if value is None or (name != "most" and value == 0):
        return gettext("none")
    return money(int(value), SHOWN_CURRENCY)


def terms_word(name: str, value: Any) -> str:
    """A stored value of settlement terms in words."""
    if name == "days_after":
        return f"T+{value}"
    if name == "working_days":
        return gettext("working days") if value else gettext("all days")
    found = SettlementCalendar.objects.filter(pk=value).first() if value else None
    return str(found) if found else gettext("weekends are free, no other holidays")


def rate_label(name: str) -> str:
    """A field of a rate as the form calls it."""
    return gettext("Ratio") if name == "ppm" else _label(FeeRate, name)


def terms_label(name: str) -> str:
    """A field of settlement terms as the form calls them."""
    return gettext("Counted in") if name == "working_days" else _label(SettlementTerms, name.removesuffix("_id"))


def _label(model: Any, name: str) -> str:
    label = str(model._meta.get_field(name).verbose_name)
    return label[:1].upper() + label[1:]


def rate_rows(rate: FeeRate) -> list[tuple[str, str]]:
    """(field, value) in the form's order."""
    return [(rate_label(name), rate_word(name, getattr(rate, name))) for name in RATE_FIELDS]


def terms_rows(terms: SettlementTerms) -> list[tuple[str, str]]:
    """(field, value) in the form's order; a calendar only where one is followed."""
    names = TERMS_FIELDS if terms.working_days else TERMS_FIELDS[:-1]
    return [(terms_label(name), terms_word(name, getattr(terms, name))) for name in names]


def days_word(terms: SettlementTerms) -> str:
    """`1 working day later`, in one phrase."""
    n = {"n": terms.days_after}
    if terms.working_days:
        return ngettext("%(n)s working day later", "%(n)s working days later", terms.days_after) % n
    return ngettext("%(n)s day later", "%(n)s days later", terms.days_after) % n


def _compared(before: Mapping[str, Any], after: Mapping[str, Any], names: Any, label: Any, word: Any) -> list[Row]:
    """What stays is shown, too: one number alone does not say what a payment will cost."""
    def shown(values: Mapping[str, Any], name: str) -> str:
        return word(name, values[name]) if name in values else ""

    return [(label(n), shown(before, n), shown({**before, **after}, n)) for n in names]


def _rate_rows(change: ChangeRequest) -> list[Row]:
    return _compared(change.before, change.after, RATE_FIELDS, rate_label, rate_word)


def _terms_rows(change: ChangeRequest) -> list[Row]:
    return _compared(change.before, change.after, TERMS_FIELDS, terms_label, terms_word)


def _rate_about(change: ChangeRequest) -> str:
    day, method = parts_of(change)
    from_day = gettext("from %(day)s on") % {"day": day.isoformat()}
    return f"{change.account} · {method_word(method)} · {from_day}"


def _list_of(name: str, change: ChangeRequest) -> str:
    return f"{reverse(f'admin:reconciliation_{name}_changelist')}?account__id__exact={change.account_id}"


words_of_change(FEE_RATE.code, ChangeWords(
    rows=_rate_rows, about=_rate_about, link=lambda change: _list_of("feerate", change),
))  # fmt: skip
words_of_change(SETTLEMENT_TERMS.code, ChangeWords(
    rows=_terms_rows, about=lambda change: str(change.account), link=lambda change: _list_of("settlementterms", change),
))  # fmt: skip
