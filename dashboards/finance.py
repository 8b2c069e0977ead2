"""Finance's dashboard: what waits for a decision, what does not add up, and what came in and went back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboards.backlog import spell
from dashboards.bounded import HowMany, ask, at_most
from dashboards.look import Look, amounts, labels, notice, paid_figures, refund_cell, refunded_figures
from dashboards.open_work import abnormal_figure, abnormal_payments, bad_if, differences, differences_figure
from dashboards.parts import Cell, Chart, Dashboard, Figure, Series, Table, amount, change, number
from dashboards.reading import Sums, Totals, center_sums
from paycenter.staff.display import TONES, money
from reconciliation.models import CaseKind, SettlementBatch
from reconciliation.settlement.states import DOUBTFUL_BATCH_STATES
from refunds.models import Refund, RefundRoute
from refunds.states import RefundState
from trades.models import AbnormalKind

_BY_HAND = Q(route__in=(RefundRoute.MANUAL, RefundRoute.BALANCE))
_SHOWN = 10
_READ = 2000  # open rows that are added up; who has more has other troubles


def finance(look: Look) -> Dashboard:
    """Approvals waiting, money that settles nothing, differences to the channels and to the bank."""
    now = timezone.now()
    sums = center_sums(look.period)
    currency = look.currency_of(sums)
    answers = ask(**_open_work())
    approvals = list(_pending().select_related("merchant").defer("memo").order_by("requested_at")[:_SHOWN])
    abnormal = list(_abnormal()[:_READ])
    cases = list(_cases()[:_READ])
    batches = list(_batches(look).select_related("account").defer("account__config").order_by("date", "id")[:_SHOWN])
    panels: list[Chart | Table] = [
        _flow_chart(look, sums, currency), _fees_chart(look, sums, currency), _approvals_table(look, approvals, now),
        _abnormal_table(look, abnormal, now), _cases_table(look, cases, now), _batches_table(look, batches),
        _totals_table(look, sums),
    ]  # fmt: skip
    return Dashboard(
        _("Finance"), [*paid_figures(look, sums), *refunded_figures(look, sums), *_fee_figures(sums)], panels,
        _now_figures(look, answers, approvals, now), sums.currencies, currency, notice(look, sums),
    )  # fmt: skip


def _pending() -> Any:
    return Refund.objects.filter(state=RefundState.PENDING_APPROVAL)


def _open_work() -> dict[str, HowMany]:
    by_hand = Refund.objects.filter(_BY_HAND, state__in=(RefundState.APPROVED, RefundState.PROCESSING))
    return {
        "pending": HowMany(_pending()), "held": HowMany(Refund.objects.filter(state=RefundState.ON_HOLD)),
        "failed": HowMany(Refund.objects.filter(state=RefundState.FAILED)), "by_hand": HowMany(by_hand),
        "abnormal": HowMany(abnormal_payments()), "cases": HowMany(differences()),
        "unsettled": HowMany(SettlementBatch.objects.filter(state__in=DOUBTFUL_BATCH_STATES)),
    }  # fmt: skip


def _abnormal() -> Any:
    return abnormal_payments().order_by("state", "-id").values_list("kind", "currency", "amount", "created_at")


def _cases() -> Any:
    return differences().order_by("state", "-id").values_list("kind", "currency", "difference", "opened_at")


def _batches(look: Look) -> Any:
    return SettlementBatch.objects.filter(state__in=DOUBTFUL_BATCH_STATES)


def _now_figures(look: Look, answers: dict[str, Any], approvals: list[Refund], now: datetime) -> list[Figure]:
    oldest = _("the oldest waits %(time)s") % {"time": spell(now - approvals[0].requested_at)} if approvals else ""
    work: tuple[tuple[str, str, str, dict[str, Any], str, str], ...] = (
        (_("Refunds to approve"), "pending", "refunds.refund", {"state": "pending_approval"}, "fact_check", oldest),
        (_("Refunds on hold"), "held", "refunds.refund", {"state": "on_hold"}, "pause_circle", ""),
        (_("Failed refunds"), "failed", "refunds.refund", {"state": "failed"}, "error", ""),
        (_("Payouts by hand"), "by_hand", "refunds.refund", {"state": "by_hand"}, "receipt", ""),
    )  # fmt: skip
    found = []
    for title, name, model, query, icon, note in work:
        count = answers[name]
        tone = "calm" if not count else "bad" if name == "failed" else "warn"
        found.append(Figure(title, at_most(count), note, look.link(model, **query), tone, icon))
    unsettled = answers["unsettled"]
    link = look.link("reconciliation.settlementbatch", work="differs")
    return [
        *found, abnormal_figure(look, answers["abnormal"]), differences_figure(look, answers["cases"]),
        Figure(_("Settlements that differ"), at_most(unsettled), "", link, bad_if(unsettled), "account_balance"),
    ]  # fmt: skip


def _fee_figures(sums: Sums) -> list[Figure]:
    """What the channels charged by the bills of the period, for each currency with a fee then or before."""
    found = []
    for currency in sums.currencies:
        now, before = sums.total(currency)["fee"], sums.total_before(currency)["fee"]
        if now or before:
            found.append(Figure(_("Channels' fees"), money(now, currency), icon="percent", change=change(now, before)))
    return found


def _flow_chart(look: Look, sums: Sums, currency: str) -> Chart:
    daily, before, total = sums.daily(currency), sums.daily_before(currency), sums.total(currency)
    paid = [look.paid(day, currency=currency) for day in look.period.days]
    refunded = [look.refunded(day, currency=currency) for day in look.period.days]
    earlier = [look.paid(day, currency=currency) for day in look.period.previous.days]
    return Chart(
        "flow", _("Paid and refunded per day, %(currency)s") % {"currency": currency}, "bar", labels(look.period),
        [
            Series(_("Paid"), amounts(daily, "paid_amount", currency, paid)),
            Series(_("Refunded"), amounts(daily, "refund_amount", currency, refunded)),
            Series(_("Paid on the days before"), amounts(before, "paid_amount", currency, earlier), dashed=True),
        ],
        _("%(paid)s came in, %(refunded)s went back.")
        % {"paid": money(total["paid_amount"], currency), "refunded": money(total["refund_amount"], currency)},
        _("No money moved on these days. Choose more days above."), wide=True,
    )  # fmt: skip


def _fees_chart(look: Look, sums: Sums, currency: str) -> Chart:
    daily, before, total = sums.daily(currency), sums.daily_before(currency), sums.total(currency)
    return Chart(
        "fees", _("Channels' fees per bill day, %(currency)s") % {"currency": currency}, "bar", labels(look.period),
        [
            Series(_("Fee"), [amount(day["fee"], currency) for day in daily]),
            Series(_("Days before"), [amount(day["fee"], currency) for day in before], dashed=True),
        ],
        _("%(fee)s of fees in the bills of these days.") % {"fee": money(total["fee"], currency)},
        _("No bill of these days names a fee yet. Bills are read under Reconciliation."),
    )  # fmt: skip


def _approvals_table(look: Look, approvals: list[Refund], now: datetime) -> Table:
    rows = [
        [refund_cell(look, r.pk, r.refund_no),
         Cell(r.merchant.short_name or r.merchant.name), Cell(r.reason),
         Cell(spell(now - r.requested_at), r.requested_at.isoformat(), numeric=True), amount(r.amount, r.currency)]
        for r in approvals
    ]  # fmt: skip
    heads = [_("Refund"), _("Merchant"), _("Reason"), _("Waits"), _("Amount")]
    more = look.link("refunds.refund", state="pending_approval")
    return Table("approvals", _("Approvals waiting longest"), heads, rows, _("No refund waits for approval."), more)


def _grouped(rows: Iterable[tuple[str, str, int, datetime]]) -> dict[tuple[str, str], tuple[Counter[str], datetime]]:
    """By kind and currency: number, sum and the oldest."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    oldest: dict[tuple[str, str], datetime] = {}
    for kind, currency, minor, at in rows:
        key = kind, currency
        found[key].update(count=1, amount=minor)
        oldest[key] = min(at, oldest.get(key, at))
    return {key: (sums, oldest[key]) for key, sums in sorted(found.items())}


def _open_rows(
    look: Look, rows: Iterable[Any], model: str, kinds: Any, now: datetime, **query: Any
) -> list[list[Cell]]:
    return [
        [Cell(str(kinds(kind).label), link=look.link(model, kind__exact=kind, **query)), number(sums["count"]),
         Cell(spell(now - at), at.isoformat(), numeric=True), amount(sums["amount"], currency)]
        for (kind, currency), (sums, at) in _grouped(rows).items()
    ]  # fmt: skip


def _abnormal_table(look: Look, rows: list[Any], now: datetime) -> Table:
    heads = [_("Kind"), _("Payments"), _("Oldest"), _("Amount")]
    return Table(
        "abnormal", _("Money that settles no trade"), heads,
        _open_rows(look, rows, "trades.abnormalpayment", AbnormalKind, now, state="waiting"),
        _("No abnormal money is open."), look.link("trades.abnormalpayment", state="waiting"), _first_of(rows),
    )  # fmt: skip


def _cases_table(look: Look, rows: list[Any], now: datetime) -> Table:
    heads = [_("Kind"), _("Cases"), _("Oldest"), _("Amount")]
    return Table(
        "cases", _("Differences to the channels' bills"), heads,
        _open_rows(look, rows, "reconciliation.case", CaseKind, now),
        _("Every compared day adds up."), look.link("reconciliation.case"), _first_of(rows),
    )  # fmt: skip


def _first_of(rows: list[Any]) -> str:
    return _("Only the newest %(count)s are added up.") % {"count": f"{_READ:,}"} if len(rows) == _READ else ""


def _batches_table(look: Look, batches: list[SettlementBatch]) -> Table:
    rows = []
    for batch in batches:
        difference, received = batch.difference, batch.received
        rows.append([
            Cell(batch.batch_no, link=look.page("reconciliation.settlementbatch", batch.pk)), Cell(str(batch.account)),
            Cell(f"{batch.date}"), Cell(batch.get_state_display(), tone=TONES.get(str(batch.state), "")),
            amount(batch.expected, batch.currency), amount(batch.fee, batch.currency),
            Cell("–", numeric=True) if received is None else amount(received, batch.currency),
            Cell("–", numeric=True) if difference is None else amount(difference, batch.currency, tone="bad"),
        ])  # fmt: skip
    heads = [_("Settlement"), _("Payment account"), _("Day"), _("State"), _("Expected"), _("Fee"), _("Received"),
             _("Difference")]  # fmt: skip
    more = look.link("reconciliation.settlementbatch", work="differs")
    return Table("settlements", _("Settlements that differ"), heads, rows, _("Every settlement that arrived is right."),
                 more, wide=True)  # fmt: skip


def _net(total: Totals) -> int:
    return total["paid_amount"] - total["refund_amount"] - total["fee"]


def _totals_table(look: Look, sums: Sums) -> Table:
    rows = []
    for currency in sums.currencies:
        total = sums.total(currency)
        paid, refunded = look.paid(currency=currency), look.refunded(currency=currency)
        net = _net(total)
        rows.append([
            Cell(currency), number(total["paid_count"], paid), amount(total["paid_amount"], currency, paid),
            number(total["refund_count"], refunded), amount(total["refund_amount"], currency, refunded),
            amount(total["fee"], currency), amount(net, currency),
            Cell(change(net, _net(sums.total_before(currency))) or "–", numeric=True),
        ])  # fmt: skip
    heads = [_("Currency"), _("Payments"), _("Paid"), _("Refunds"), _("Refunded"), _("Fee"), _("Net"),
             _("Against before")]  # fmt: skip
    empty = _("No money moved on these days. Choose more days above.")
    return Table("totals", _("By currency"), heads, rows, empty, wide=True)
