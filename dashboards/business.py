"""The dashboard of one merchant or one app: today, the trend, by pay method, what goes back, what is settled next."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboards.bounded import HowMany, ask, at_most
from dashboards.look import (
    Look,
    amounts_chart,
    counts_chart,
    notice,
    only,
    paid_figures,
    payments,
    points,
    refund_cell,
    refunded_figures,
)
from dashboards.parts import Cell, Chart, Dashboard, Figure, Series, Table, amount, change, number, share
from dashboards.reading import Sums, merchants_of_app, tenant_sums
from merchants.forms import method_label
from paycenter.staff.display import money
from paycenter.staff.tenancy import Tenant
from reconciliation.models import SettlementBatch
from reconciliation.settlement.states import UNSETTLED_BATCH_STATES
from refunds.models import Refund
from refunds.states import RESERVING_STATES
from trades.models import AbnormalPayment
from trades.states import AbnormalState

_SHOWN = 10


def business(look: Look, tenant: Tenant, name: str) -> Dashboard:
    """Figures of `tenant`, whoever looks at them; the caller has made sure that they may."""
    sums = tenant_sums(tenant, look.period)
    currency = look.currency_of(sums)
    answers = ask(**_open_work(tenant))
    refunds = list(_refunds(tenant).defer("memo").order_by("-pk")[:_SHOWN])
    panels: list[Chart | Table] = [
        amounts_chart(look, sums, currency), _methods_chart(look, sums, currency), _counts_chart(look, sums),
        _methods_table(look, sums, currency),
    ]
    if tenant.kind == "merchant" and look.user.has_perm("reconciliation.view_settlementbatch"):
        panels.append(_settlement_table(look, _batches(tenant)))
    elif tenant.kind == "app" and tenant.pk is not None:
        panels.append(_merchants_table(look, merchants_of_app(tenant.pk, look.period, _SHOWN)))
    panels.append(_refunds_table(look, refunds))
    return Dashboard(
        name or _("Figures"), [*paid_figures(look, sums), *_rates(look, sums)], panels,
        _now_figures(look, sums, answers), sums.currencies, currency, notice(look, sums),
    )  # fmt: skip


def _mine(tenant: Tenant, prefix: str = "") -> Q:
    """The tenant's rows, none for a tenant that is nobody."""
    return Q(**{f"{prefix}{tenant.kind}_id": tenant.pk}) if tenant.pk is not None else Q(pk__in=[])


def _refunds(tenant: Tenant) -> Any:
    return Refund.objects.filter(_mine(tenant), state__in=RESERVING_STATES)


def _open_work(tenant: Tenant) -> dict[str, HowMany]:
    waiting = (AbnormalState.OPEN, AbnormalState.UNVERIFIED)
    return {
        "refunds": HowMany(_refunds(tenant)),
        "abnormal": HowMany(AbnormalPayment.objects.filter(_mine(tenant, "trade__"), state__in=waiting)),
    }


def _batches(tenant: Tenant) -> list[SettlementBatch]:
    rows = SettlementBatch.objects.filter(_mine(tenant, "account__"), state__in=UNSETTLED_BATCH_STATES)
    return list(rows.select_related("account").defer("account__config").order_by("date", "id")[:_SHOWN])


def _now_figures(look: Look, sums: Sums, answers: dict[str, Any]) -> list[Figure]:
    """Today next to yesterday, where the period ends today; what is under way."""
    found = []
    today = look.period.last
    if look.period.preset:
        for currency in (sums.currencies or ["CNY"])[:2]:
            daily = sums.daily(currency)
            now, before = daily[-1], daily[-2]
            found.append(
                Figure(
                    _("Today"), money(now["paid_amount"], currency), payments(now["paid_count"]),
                    look.paid(today, **only(sums, currency)), "good" if now["paid_count"] else "calm", "today",
                    _("yesterday %(amount)s") % {"amount": money(before["paid_amount"], currency)},
                )
            )  # fmt: skip
    refunds, abnormal = answers["refunds"], answers["abnormal"]
    return [
        *found,
        Figure(_("Refunds under way"), at_most(refunds), "", look.link("refunds.refund", state="under_way"),
               "warn" if refunds else "calm", "undo"),
        Figure(_("Open abnormal payments"), at_most(abnormal), "", look.link("trades.abnormalpayment", state="waiting"),
               "bad" if abnormal else "calm", "report"),
    ]  # fmt: skip


def _rates(look: Look, sums: Sums) -> list[Figure]:
    now, before = sums.total(), sums.total_before()
    rate = share(now["paid_count"], now["created_count"])
    note = _("%(part)s paid, %(whole)s opened; the list shows those opened") % {
        "part": f"{now['paid_count']:,}", "whole": f"{now['created_count']:,}",
    }  # fmt: skip
    found = [Figure(_("Orders that were paid"), rate.text, note, look.opened(), icon="check_circle",
                    change=points(now, before, "paid_count", "created_count"))]  # fmt: skip
    found += refunded_figures(look, sums)
    found.append(
        Figure(_("Payments"), f"{now['paid_count']:,}", "", look.paid(), icon="receipt_long",
               change=change(now["paid_count"], before["paid_count"]))
    )  # fmt: skip
    return found


def _by_method(sums: Sums, currency: str) -> list[tuple[str, Any]]:
    found = sums.by(lambda row: row["method"], currency)
    paying = [(method, row) for method, row in found.items() if method and (row["paid_count"] or row["refund_count"])]
    return sorted(paying, key=lambda item: -item[1]["paid_amount"])


def _methods_chart(look: Look, sums: Sums, currency: str) -> Chart:
    found = _by_method(sums, currency)
    said = ", ".join(f"{method_label(method)} {money(row['paid_amount'], currency)}" for method, row in found)
    return Chart(
        "methods", _("Paid by pay method, %(currency)s") % {"currency": currency}, "across",
        [method_label(method) for method, _row in found],
        [
            Series(_("Paid"), [
                amount(row["paid_amount"], currency, look.paid(method=method, **only(sums, currency)))
                for method, row in found
            ])
        ],
        said or _("Nothing was paid."), _("Nothing was paid on these days. Choose more days above."),
        over=_("Pay method"),
    )  # fmt: skip


def _counts_chart(look: Look, sums: Sums) -> Chart:
    daily = sums.daily()
    series = [(_("Orders"), daily, "created_count", look.opened), (_("Payments"), daily, "paid_count", look.paid),
              (_("Refunds"), daily, "refund_count", look.refunded)]  # fmt: skip
    return counts_chart(look, "counts", _("Orders, payments and refunds per day"), "line", series)


def _methods_table(look: Look, sums: Sums, currency: str) -> Table:
    found, whole = _by_method(sums, currency), sums.total(currency)["paid_amount"]
    before = sums.by_before(lambda row: row["method"], currency)
    rows = []
    for method, row in found:
        query = {"method": method, **only(sums, currency)}
        paid, refunded = look.paid(**query), look.refunded(**query)
        rows.append([
            Cell(method_label(method)), number(row["paid_count"], paid), amount(row["paid_amount"], currency, paid),
            Cell(change(row["paid_amount"], before.get(method, Counter())["paid_amount"]) or "–", numeric=True),
            share(row["paid_amount"], whole), number(row["refund_count"], refunded),
            amount(row["refund_amount"], currency, refunded),
        ])  # fmt: skip
    heads = [_("Pay method"), _("Payments"), _("Paid"), _("Against before"), _("Share"), _("Refunds"), _("Refunded")]
    empty = _("Nothing was paid on these days. Choose more days above.")
    return Table("by-method", _("By pay method, %(currency)s") % {"currency": currency}, heads, rows, empty,
                 wide=True)  # fmt: skip


def _settlement_table(look: Look, batches: list[SettlementBatch]) -> Table:
    rows = [
        [Cell(f"{batch.date}", link=look.page("reconciliation.settlementbatch", batch.pk)), Cell(str(batch.account)),
         Cell(batch.get_state_display()), amount(batch.expected, batch.currency), amount(batch.fee, batch.currency),
         amount(batch.expected - batch.fee, batch.currency)]
        for batch in batches
    ]  # fmt: skip
    heads = [_("Day"), _("Payment account"), _("State"), _("Expected"), _("Fee"), _("To arrive")]
    return Table("settlement", _("Settlement due"), heads, rows,
                 _("Nothing is due. Settlements appear once a day's bill has been compared."),
                 look.link("reconciliation.settlementbatch", work="due"), wide=True)  # fmt: skip


def _merchants_table(look: Look, found: list[dict[str, Any]]) -> Table:
    rows = []
    for row in found:
        currency = row["currency"]
        query: dict[str, Any] = {"merchant": row["merchant__merchant_no"], "currency": currency}
        paid, refunded = look.paid(**query), look.refunded(**query)
        rows.append([
            Cell(row["merchant__name"]), number(row["paid_count"], paid), amount(row["paid_amount"], currency, paid),
            number(row["refund_count"], refunded), amount(row["refund_amount"], currency, refunded),
        ])  # fmt: skip
    heads = [_("Merchant"), _("Payments"), _("Paid"), _("Refunds"), _("Refunded")]
    empty = _("Nothing was paid on these days. Choose more days above.")
    return Table("merchants", _("Busiest merchants"), heads, rows, empty, wide=True)


def _refunds_table(look: Look, refunds: list[Refund]) -> Table:
    local = timezone.localtime
    rows = [
        [refund_cell(look, r.pk, r.refund_no), Cell(f"{local(r.requested_at):%m-%d %H:%M}"),
         Cell(str(r.get_state_display())), amount(r.amount, r.currency)]
        for r in refunds
    ]  # fmt: skip
    heads = [_("Refund"), _("Asked for"), _("State"), _("Amount")]
    empty = _("No refund is under way. Refunds begin on a trade's page or in your application.")
    return Table("refunds", _("Refunds under way"), heads, rows, empty, look.link("refunds.refund", state="under_way"))
