"""Contracts for deduction without password (免密代扣): found by number, each with its timeline. Read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.forms import method_label
from paycenter.staff.display import state_chip
from paycenter.staff.exports import columns, moment
from paycenter.staff.lists import BoundedPaginator, SerialDayFilter
from paycenter.staff.tenancy import ReadOnlyAdmin, tenant_of
from paycenter.staff.words import names_states
from trades.contracts.models import Contract
from trades.contracts.states import ContractState
from trades.contracts.timeline import contract_timeline

names_states(ContractState.choices)


@admin.register(Contract)
class ContractAdmin(ReadOnlyAdmin):
    empty_text = _("Contracts appear here once a payer agrees to be charged without confirming each payment.")
    tenant_keys = {"merchant": "merchant_id", "app": "app_id"}
    list_display = ["numbers", "state_label", "method_shown", "merchant_label", "created_time", "signed_at"]
    list_filter = ["state", SerialDayFilter]
    ordering = ["-id"]
    sortable_by = ["numbers"]
    paginator = BoundedPaginator
    search_fields = ["contract_no"]
    search_help_text = _("Contract number: ours, the app's or the channel's")
    export_columns = columns(
        (_("contract number"), lambda c: c.contract_no), (_("app contract number"), lambda c: c.app_contract_no),
        (_("channel's number"), lambda c: c.channel_contract_no), (_("merchant"), lambda c: c.merchant.name),
        (_("app"), lambda c: c.app.name), (_("state"), lambda c: str(c.get_state_display())),
        (_("pay method"), lambda c: method_label(c.method)), (_("created"), lambda c: moment(c.created_at)),
        (_("signed at"), lambda c: moment(c.signed_at)), (_("ended at"), lambda c: moment(c.ended_at)),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("merchant", "app", "account")
        return rows.defer("payer", "payer_id", "pay", "account__config")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        ways = ({"contract_no": term}, {"app_contract_no": term}, {"channel_contract_no": term})
        ids = {pk for way in ways for pk in Contract.objects.filter(**way).values_list("pk", flat=True)[:500]}
        return queryset.filter(pk__in=ids), False

    @display(description=_("contract number"), ordering="contract_no")
    def numbers(self, obj: Contract) -> str:
        return format_html(
            '<span class="pc-mono">{}</span><br><span class="pc-sub pc-mono">{}</span>',
            obj.contract_no, obj.app_contract_no,
        )  # fmt: skip

    @display(description=_("state"))
    def state_label(self, obj: Contract) -> str:
        return state_chip(obj)

    @display(description=_("pay method"))
    def method_shown(self, obj: Contract) -> str:
        return method_label(obj.method)

    @display(description=_("merchant"))
    def merchant_label(self, obj: Contract) -> str:
        return format_html(
            '{}<br><span class="pc-sub">{}</span>', obj.merchant.short_name or obj.merchant.name, obj.app.name
        )

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The contract's page: what it is, and everything that happened to it."""
        contract = self.fetch(request, object_id)
        center = tenant_of(request.user) is None
        sees_exchanges = center and request.user.has_perm("paycenter.view_exchange")
        rows = contract_timeline(contract, with_exchanges=sees_exchanges, with_staff=center)
        context = self.page_context(
            request, contract, title=contract.contract_no, contract=contract, state_chip=state_chip(contract),
            method=method_label(contract.method), timeline=rows,
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/contract.html", context)
