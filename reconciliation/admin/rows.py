"""Rows of bills (对账单明细): what a channel's bills say line by line, found by number, day, account and kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Max, Min
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from channels.base.bills import BillRowKind, BillRowState
from merchants.admin.choosing import AccountFilter
from merchants.models import PaymentAccount
from paycenter.staff.display import chip, money
from paycenter.staff.exports import columns, major, moment
from paycenter.staff.list_tools import list_urls
from paycenter.staff.lists import BoundedPaginator
from paycenter.staff.tenancy import ReadOnlyAdmin
from reconciliation.admin.bills import BillDayFilter
from reconciliation.models import Bill, BillRow

KINDS = {BillRowKind.PAYMENT: _("payment"), BillRowKind.REFUND: _("refund"), BillRowKind.FEE: _("fee"),
         BillRowKind.OTHER: _("other movement")}  # fmt: skip
STATES = {BillRowState.SUCCEEDED: _("succeeded"), BillRowState.PROCESSING: _("processing"),
          BillRowState.FAILED: _("failed")}  # fmt: skip
_TONES = {BillRowState.SUCCEEDED: "good", BillRowState.PROCESSING: "info", BillRowState.FAILED: "bad"}
_MOST = 5000  # bills that are named one by one


def of_bills(rows: Any, bills: Any) -> Any:
    """The rows of these bills, named by their keys, which the rows' own key begins with. Of more than can be named
    the span of keys is looked through."""
    keys = list(bills.order_by().values_list("pk", flat=True)[: _MOST + 1])
    if len(keys) <= _MOST:
        return rows.filter(bill_id__in=sorted(keys)) if keys else rows.none()
    ends = bills.aggregate(first=Min("pk"), last=Max("pk"))
    return rows.filter(bill_id__gte=ends["first"], bill_id__lte=ends["last"], bill__in=bills)


class _Choices(admin.SimpleListFilter):
    """By a column with few values; `words` says each."""

    words: Any
    parameter_name: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(code.value, word) for code, word in self.words.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.filter(**{self.parameter_name: value}) if value in self.words else queryset


class RowKindFilter(_Choices):
    title, parameter_name, words = _("kind"), "kind", KINDS


class RowStateFilter(_Choices):
    title, parameter_name, words = _("state"), "state", STATES


class RowAccountFilter(AccountFilter):
    def narrowed(self, rows: Any, account_id: int) -> Any:
        return of_bills(rows, Bill.objects.filter(account=account_id))


class OneBillFilter(admin.SimpleListFilter):
    """Where a bill's page leads."""

    title = _("bill")
    parameter_name = "bill"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = request.GET.get(self.parameter_name, "")
        bill = Bill.objects.select_related("account").filter(pk=chosen).first() if chosen.isdecimal() else None
        return [(chosen, str(bill))] if bill else []

    def has_output(self) -> bool:
        return bool(self.lookup_choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value() or ""
        return queryset.filter(bill_id=int(value)) if value.isdecimal() and len(value) < 19 else queryset


class RowDayFilter(BillDayFilter):
    """By the bills' days. A bill is opened on the morning after its day, so that later days have larger keys."""

    def bounded(self, rows: Any, start: Any, end: Any) -> Any:
        bills = super().bounded(Bill.objects.all(), start, end)
        if start is None and end is None:
            return rows
        if start is not None:
            return of_bills(rows, bills)
        last = bills.order_by("-day", "-id").values_list("pk", flat=True).first()
        return rows.filter(bill_id__lte=last) if last is not None else rows.none()


class BillRowAdmin(ReadOnlyAdmin):
    tenant_keys = {"merchant": "account__merchant_id"}
    list_display = ["place", "what", "amount_label", "fee_label", "numbers", "occurred_at"]
    list_display_links = None
    list_filter = [RowKindFilter, RowStateFilter, RowAccountFilter, OneBillFilter, RowDayFilter]
    list_filter_sheet = True
    ordering = ["-pk"]
    paginator = BoundedPaginator
    search_fields = ["key"]
    search_help_text = _("Channel order number, or the refund's number that was sent")
    empty_text = _("Lines appear here when a bill is read.")
    export_columns = columns(
        (_("day"), lambda r: r.bill.day.isoformat()), (_("payment account"), lambda r: r.account.payment_no),
        (_("line"), lambda r: r.line), (_("kind"), lambda r: str(KINDS[BillRowKind(r.kind)])),
        (_("state"), lambda r: str(STATES[BillRowState(r.state)])), (_("currency"), lambda r: r.currency),
        (_("amount"), lambda r: major(r.amount, r.currency)), (_("fee"), lambda r: major(r.fee, r.currency)),
        (_("time"), lambda r: moment(r.occurred_at)), (_("channel order number"), lambda r: r.order_no),
        (_("channel's number"), lambda r: r.channel_trade_no), (_("refund number"), lambda r: r.refund_no),
        (_("channel's refund number"), lambda r: r.channel_refund_no),
        (_("channel's word"), lambda r: r.channel_state),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("bill", "account").defer("account__config")

    def get_urls(self) -> list[URLPattern]:
        """The list and its tools: a row has no page of its own."""
        wrap = self.admin_site.admin_view
        return [*list_urls(self), path("", wrap(self.changelist_view), name=self.view_name("changelist"))]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        accounts = list(PaymentAccount.objects.values_list("pk", flat=True))
        found = BillRow.objects.filter(account__in=accounts, kind__in=list(KINDS), key=term)
        return queryset.filter(pk__in=[row.pk for row in found.only("bill_id", "line")[:500]]), False

    @display(description=_("bill and line"))
    def place(self, obj: BillRow) -> str:
        url = reverse("admin:reconciliation_bill_change", args=[obj.bill_id])
        return format_html(
            '<div><a class="pc-link" href="{}">{} · {}</a><br><span class="pc-sub">{}</span></div>', url,
            obj.bill.day.isoformat(), _("line %(n)s") % {"n": obj.line}, obj.account,
        )  # fmt: skip

    @display(description=_("what"))
    def what(self, obj: BillRow) -> str:
        state = BillRowState(obj.state)
        return format_html(
            '<div>{} {}<br><span class="pc-sub">{}</span></div>',
            KINDS[BillRowKind(obj.kind)], chip(STATES[state], _TONES[state]), obj.channel_state,
        )  # fmt: skip

    @display(description=_("amount"))
    def amount_label(self, obj: BillRow) -> str:
        return format_html('<b class="pc-num">{}</b>', money(obj.amount, obj.currency))

    @display(description=_("fee"))
    def fee_label(self, obj: BillRow) -> str:
        return format_html('<span class="pc-num">{}</span>', money(obj.fee, obj.currency))

    @display(description=_("numbers"))
    def numbers(self, obj: BillRow) -> str:
        shown = list(_numbers_of(obj))
        return format_html(
            '<div class="pc-wrap"><span class="pc-mono">{}</span><br><span class="pc-sub pc-mono">{}</span></div>',
            shown[0] if shown else "–", " · ".join(shown[1:]),
        )  # fmt: skip


def _numbers_of(row: BillRow) -> Iterator[str]:
    """The most telling one first."""
    yield from filter(None, dict.fromkeys((row.refund_no, row.order_no, row.channel_refund_no, row.channel_trade_no)))


admin.site.register_list(BillRow, BillRowAdmin)  # type: ignore[attr-defined]
