"""Settlement batches (结算批次): expected, fee, received; statements of the bank in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.admin.choosing import MerchantFilter
from merchants.models import PaymentAccount
from paycenter.errors import BillRefused, TransitionRefused
from paycenter.models import Event
from paycenter.staff.acts import written_reason
from paycenter.staff.display import chip, money, state_chip
from paycenter.staff.exports import columns, major
from paycenter.staff.lists import BoundedPaginator, DayFilter
from paycenter.staff.reasons import reason_word
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import ReadOnlyAdmin, actor_of, registered, tenant_of
from paycenter.staff.words import names_states
from reconciliation import files
from reconciliation.models import BankProfile, SettlementBatch
from reconciliation.settlement.batches import batch_accept, batch_override
from reconciliation.settlement.lines import lines_compare
from reconciliation.settlement.receipts import receipts_import
from reconciliation.settlement.states import DOUBTFUL_BATCH_STATES, UNSETTLED_BATCH_STATES, BatchState
from trades.timeline import event_entries

names_states(choice for choice in BatchState.choices if choice[0] not in (BatchState.SETTLED, BatchState.ACCEPTED))
STATEMENT_LIMIT = 64 * 1024**2
_ACTS = {"override": batch_override, "accept": batch_accept}


class StatementForm(forms.Form):
    """A bank's statement, in one of the formats that were set up."""

    profile = forms.ModelChoiceField(label=_("bank"), queryset=BankProfile.objects.all(), empty_label=_("Choose …"))
    account = forms.ModelChoiceField(
        label=_("payment account"), queryset=PaymentAccount.objects.none(), required=False, empty_label=_("none"),
        help_text=_("For lines whose sender the format does not name. Empty: such lines are left out."),
    )  # fmt: skip
    file = forms.FileField(label=_("file"), help_text="CSV")


class BatchDayFilter(DayFilter):
    column = "date"
    default_days = None

    def bounded(self, rows: Any, start: Any, end: Any) -> Any:
        rows = rows.filter(date__gte=start.date()) if start is not None else rows
        return rows.filter(date__lt=end.date()) if end is not None else rows


class WorkFilter(admin.SimpleListFilter):
    """What is still to come, or to be looked at."""

    title = _("work")
    parameter_name = "work"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("due", _("not settled yet")), ("differs", _("differs or is blocked"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        states = {"due": UNSETTLED_BATCH_STATES, "differs": DOUBTFUL_BATCH_STATES}.get(self.value() or "")
        return queryset.filter(state__in=states) if states else queryset


class BatchMerchantFilter(MerchantFilter):
    column = "account__merchant_id"


@admin.register(SettlementBatch)
class SettlementBatchAdmin(ReadOnlyAdmin):
    tenant_keys = {"merchant": "account__merchant_id"}
    list_display = ["date", "account_label", "state_label", "expected_label", "fee_label", "received_label", "differs"]
    list_filter = ["state", WorkFilter, BatchMerchantFilter, BatchDayFilter]
    ordering = ["-date", "-id"]
    paginator = BoundedPaginator
    change_list_template = "admin/pc/reconciliation/batch_list.html"
    export_columns = columns(
        (_("batch number"), lambda b: b.batch_no), (_("day"), lambda b: b.date.isoformat()),
        (_("payment account"), lambda b: b.account.payment_no), (_("currency"), lambda b: b.currency),
        (_("first day"), lambda b: b.first_day.isoformat()), (_("last day"), lambda b: b.last_day.isoformat()),
        (_("Paid"), lambda b: major(b.paid, b.currency)), (_("Refunded"), lambda b: major(b.refunded, b.currency)),
        (_("Expected"), lambda b: major(b.expected, b.currency)), (_("Fee"), lambda b: major(b.fee, b.currency)),
        (_("Received"), lambda b: major(b.received, b.currency)),
        (_("Difference"), lambda b: major(b.difference, b.currency)),
        (_("state"), lambda b: b.get_state_display()), (_("reason"), lambda b: reason_word(b.reason)),
    )  # fmt: skip
    empty_text = _("A batch is made for every day on which money is due, once the account has settlement terms and the"
                   " day's bill is there.")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("account__merchant").defer("account__config")

    @display(description=_("payment account"))
    def account_label(self, obj: SettlementBatch) -> str:
        return str(obj.account)

    @display(description=_("state"))
    def state_label(self, obj: SettlementBatch) -> str:
        return state_chip(obj)

    @display(description=_("Expected"))
    def expected_label(self, obj: SettlementBatch) -> str:
        return money(obj.expected, obj.currency)

    @display(description=_("fee"))
    def fee_label(self, obj: SettlementBatch) -> str:
        return money(obj.fee, obj.currency)

    @display(description=_("Received"))
    def received_label(self, obj: SettlementBatch) -> str:
        return money(obj.received, obj.currency)

    @display(description=_("Difference"))
    def differs(self, obj: SettlementBatch) -> str:
        shown = money(obj.difference, obj.currency)
        return chip(shown, "bad") if obj.difference else shown

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("statement/", wrap(self.statement_view), name=self.view_name("statement")),
            path("<path:object_id>/act/<slug:act>/", wrap(self.act_view), name=self.view_name("act")),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        may = request.user.has_perm("reconciliation.settle_settlementbatch")
        return super().changelist_view(request, {**(extra_context or {}), "may_import": may})

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """What should have come, what came, and which lines explain the difference."""
        batch = self.fetch(request, object_id)
        center = tenant_of(request.user) is None
        may_act = request.user.has_perm("reconciliation.settle_settlementbatch")
        events = Event.objects.of(batch).order_by("-id")[:100]
        context = self.page_context(
            request, batch, title=batch.batch_no, batch=batch, state_chip=state_chip(batch),
            sums=_sums(batch), cases_url=_cases_of(batch),
            receipts=[(r, money(r.amount, r.currency)) for r in batch.receipts.order_by("received_on", "pk")[:200]],
            lines=[(d, money(d.bill_amount, batch.currency), money(d.moved_amount, batch.currency))
                   for d in batch.differences.order_by("pk")[:500]],
            timeline=event_entries(events, center), may_act=may_act,
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/reconciliation/batch.html", context)

    @sensitive(when=lambda _page, _request, act, **_more: act in _ACTS)
    def act_view(self, request: HttpRequest, object_id: str, act: str) -> HttpResponse:
        """Go on with a reason, accept, or compare line by line. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        batch = self.fetch(request, object_id)
        self.require(request, "reconciliation.settle_settlementbatch")
        if act == "lines":
            found = lines_compare(batch)
            if found is None:
                messages.error(request, gettext("The bills of money movements of these days are not there."))
            else:
                messages.success(request, gettext("%(n)s lines differ.") % {"n": found})
        elif act in _ACTS:
            self._run(request, batch, act)
        else:
            raise Http404
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[batch.pk]))

    def _run(self, request: HttpRequest, batch: SettlementBatch, act: str) -> None:
        try:
            _ACTS[act](batch=batch, user=request.user, reason=written_reason(request))  # type: ignore[arg-type]
        except ValueError:
            messages.error(request, gettext("Please give a reason."))
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        else:
            messages.success(request, gettext("Done."))

    def statement_view(self, request: HttpRequest) -> HttpResponse:
        """Take a bank's statement in."""
        self.require(request, "reconciliation.settle_settlementbatch")
        if not BankProfile.objects.exists():
            messages.info(request, gettext("First say how your bank writes its statements; then import one."))
            return HttpResponseRedirect(reverse("admin:reconciliation_bankprofile_add"))
        form = StatementForm(request.POST or None, request.FILES or None)
        page = registered(PaymentAccount)
        form.fields["account"].queryset = page.get_queryset(request) if page else PaymentAccount.objects.none()  # type: ignore[attr-defined]
        if request.method == "POST" and form.is_valid() and self._take(request, form):
            return HttpResponseRedirect(reverse(f"admin:{self.view_name('changelist')}"))
        context = self.page_context(
            request, title=gettext("Import a bank statement"), forms=[form], multipart=True, submit=gettext("Import"),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/form.html", context)

    def _take(self, request: HttpRequest, form: StatementForm) -> bool:
        given = form.cleaned_data
        try:
            with files.scratch_file() as place:
                files.write_blocks(given["file"].chunks(), place, limit=STATEMENT_LIMIT)
                done = receipts_import(
                    profile=given["profile"], path=place, actor=actor_of(request.user), account=given["account"]
                )
        except BillRefused as exc:
            form.add_error("file", str(exc))
            return False
        except ValueError:
            form.add_error("file", _("The file is too large."))
            return False
        words = {"new": done.new, "known": done.known, "foreign": done.foreign}
        told = gettext("%(new)s new lines, %(known)s already known, %(foreign)s of no account here.") % words
        messages.success(request, told)
        return True


def _sums(batch: SettlementBatch) -> list[tuple[Any, str, str]]:
    """(what, amount, tone), in the order in which they are added up."""
    sums = [
        (_("Paid"), batch.paid), (_("Refunded"), batch.refunded), (_("Expected"), batch.expected),
        (_("Fee"), batch.fee), (_("Received"), batch.received),
    ]  # fmt: skip
    tone = "" if batch.difference is None else "bad" if batch.difference else "good"
    rows = [(label, money(value, batch.currency), "") for label, value in sums]
    return [*rows, (_("Difference"), money(batch.difference, batch.currency), tone)]


def _cases_of(batch: SettlementBatch) -> str:
    """The open cases of its days."""
    query = {"account__id__exact": batch.account_id, "day_from": batch.first_day, "day_to": batch.last_day}
    return f"{reverse('admin:reconciliation_case_changelist')}?{urlencode(query)}"
