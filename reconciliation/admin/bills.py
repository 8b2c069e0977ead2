"""Bills (对账单): which are there, how far they are read, why one was refused; upload and download."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from channels.base.bills import BillKind
from merchants.models import PaymentAccount
from paycenter import trail
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from paycenter.staff.display import state_chip
from paycenter.staff.lists import BoundedPaginator, DayFilter
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import ReadOnlyAdmin, actor_of, registered
from paycenter.staff.words import names_states, party
from paycenter.transitions import record_event
from reconciliation import files
from reconciliation.bills import BillConflict, bill_for, bill_refetch, bill_upload
from reconciliation.days import provider_rule
from reconciliation.models import BILL_KINDS, Bill, ReconciliationDay
from reconciliation.states import BillState, CaseState
from trades.timeline import event_entries

# Words of one state serve every record that has it: those that others registered are left alone.
names_states(BillState.choices)
names_states(choice for choice in CaseState.choices if choice[0] not in (CaseState.OPEN, CaseState.CLOSED))


class AskForm(forms.Form):
    """Which bill a channel is asked for."""

    account = forms.ModelChoiceField(
        label=_("payment account"), queryset=PaymentAccount.objects.none(), empty_label=_("Choose …")
    )
    day = forms.DateField(label=_("day"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))
    kind = forms.ChoiceField(label=_("kind"), choices=BILL_KINDS)

    def __init__(self, *args: Any, accounts: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].queryset = accounts  # type: ignore[attr-defined]

    def clean_day(self) -> date:
        day: date = self.cleaned_data["day"]
        if day > timezone.localdate():
            raise ValidationError(_("This day has not begun."))
        return day


class UploadForm(AskForm):
    """A bill that somebody downloaded from the channel's own pages."""

    file = forms.FileField(label=_("file"), help_text=_("As the channel gave it: do not unpack or open it before."))
    replace = forms.BooleanField(label=_("instead of another file of that day"), required=False)


class BillDayFilter(DayFilter):
    column = "day"
    default_days = None
    in_order = True

    def bounded(self, rows: Any, start: Any, end: Any) -> Any:
        rows = rows.filter(day__gte=start.date()) if start is not None else rows
        return rows.filter(day__lt=end.date()) if end is not None else rows


@admin.register(Bill)
class BillAdmin(ReadOnlyAdmin):
    tenant_keys = {"merchant": "account__merchant_id"}
    list_display = ["day", "account_label", "kind", "state_label", "rows_label", "trouble"]
    list_filter = ["state", "kind", BillDayFilter]
    ordering = ["-day", "-id"]
    paginator = BoundedPaginator
    change_list_template = "admin/pc/reconciliation/bill_list.html"
    empty_text = _("Bills are fetched by themselves the morning after an account took money.")
    empty_next = _("Have one already? Upload it.")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("account__merchant").defer("account__config")

    @display(description=_("payment account"))
    def account_label(self, obj: Bill) -> str:
        return str(obj.account)

    @display(description=_("state"))
    def state_label(self, obj: Bill) -> str:
        return state_chip(obj)

    @display(description=_("rows"))
    def rows_label(self, obj: Bill) -> str:
        return f"{obj.rows_read:,}" if obj.state in (BillState.IMPORTING, BillState.IMPORTED) else "–"

    @display(description=_("trouble"))
    def trouble(self, obj: Bill) -> str:
        if obj.state == BillState.REFUSED:
            place = gettext("line %(line)s: ") % {"line": obj.refusal_line} if obj.refusal_line else ""
            return place + reason_word(obj.refusal)
        return reason_word(obj.fetch_error) or "–"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("ask/", wrap(self.ask_view), name=self.view_name("ask")),
            path("upload/", wrap(self.upload_view), name=self.view_name("upload")),
            path("<path:object_id>/fetch/", wrap(self.fetch_view), name=self.view_name("fetch")),
            path("<path:object_id>/file/", wrap(self.file_view), name=self.view_name("file")),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {**(extra_context or {}), "may_upload": self.is_for(request)})

    def is_for(self, request: HttpRequest) -> bool:
        """Who may upload."""
        return request.user.has_perm("reconciliation.upload_bill")

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The bill's page: what is known of the file, how far it is read, its history."""
        bill = self.fetch(request, object_id)
        events = Event.objects.of(bill).order_by("-id")[:100]
        center = request.user.has_perm("reconciliation.upload_bill")
        day = ReconciliationDay.objects.filter(account=bill.account, day=bill.day).first()
        context = self.page_context(
            request, bill, title=str(bill), bill=bill, day=day, state_chip=state_chip(bill), trouble=self.trouble(bill),
            timeline=event_entries(events, center), may_act=center, sums=sorted(bill.totals.items()),
            uploader=party(bill.uploaded_by),
            wanted=bill.state in (BillState.AWAITED, BillState.REFUSED), last_trouble=reason_word(bill.fetch_error),
            reading=bill.state in (BillState.FETCHED, BillState.IMPORTING),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/reconciliation/bill.html", context)

    def ask_view(self, request: HttpRequest) -> HttpResponse:
        """Have a day's bill fetched that nobody planned, or that is wanted sooner."""
        self.require(request, "reconciliation.upload_bill")
        form = AskForm(request.POST or None, accounts=self._accounts(request), initial=request.GET.dict())
        if request.method == "POST" and form.is_valid() and (bill := self._fetched(request, form)) is not None:
            return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[bill.pk]))
        context = self.page_context(
            request, title=gettext("Fetch a bill"), forms=[form], submit=gettext("Ask the channel")
        )
        return TemplateResponse(request, "admin/pc/form.html", context)

    def _fetched(self, request: HttpRequest, form: AskForm) -> Bill | None:
        given = form.cleaned_data
        if provider_rule(given["account"]) is None:
            form.add_error("account", _("This channel publishes no bills: upload the file instead."))
            return None
        bill = bill_for(account=given["account"], day=given["day"], kind=BillKind(given["kind"]))
        try:
            bill_refetch(bill=bill, actor=actor_of(request.user))
        except TransitionRefused as exc:
            form.add_error(None, str(exc))
            return None
        messages.success(request, gettext("The channel is being asked."))
        return bill

    def _accounts(self, request: HttpRequest) -> Any:
        page = registered(PaymentAccount)
        return page.get_queryset(request) if page else PaymentAccount.objects.none()

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        """Hand over a file; it is read in the background."""
        self.require(request, "reconciliation.upload_bill")
        form = UploadForm(
            request.POST or None, request.FILES or None, accounts=self._accounts(request), initial=request.GET.dict()
        )
        if request.method == "POST" and form.is_valid():
            bill = self._take(request, form)
            if bill is not None:
                messages.success(request, gettext("The file is kept and is being read."))
                return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[bill.pk]))
        context = self.page_context(
            request, title=gettext("Upload a bill"), forms=[form], multipart=True, submit=gettext("Upload")
        )
        return TemplateResponse(request, "admin/pc/form.html", context)

    def _take(self, request: HttpRequest, form: UploadForm) -> Bill | None:
        given = form.cleaned_data
        try:
            with files.scratch_file() as place:
                files.write_blocks(given["file"].chunks(), place, limit=settings.BILL_UPLOAD_LIMIT)
                return bill_upload(
                    account=given["account"], day=given["day"], kind=BillKind(given["kind"]), path=place,
                    name=given["file"].name, actor=actor_of(request.user), replace=given["replace"],
                )  # fmt: skip
        except BillConflict:
            form.add_error("replace", _("Another file of that day was imported already."))
        except ValueError:
            form.add_error("file", _("The file is too large."))
        return None

    def fetch_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the channel once more. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        bill = self.fetch(request, object_id)
        self.require(request, "reconciliation.upload_bill")
        try:
            bill_refetch(bill=bill, actor=actor_of(request.user))
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        else:
            messages.success(request, gettext("The channel is being asked."))
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[bill.pk]))

    def file_view(self, request: HttpRequest, object_id: str) -> FileResponse:
        """The original file, as it came; who takes it is noted."""
        bill = self.fetch(request, object_id)
        self.require(request, "reconciliation.upload_bill")
        found = files.bill_path(bill.file_path) if bill.file_path else None
        if found is None or not found.is_file():
            raise Http404
        trail.remember(bill)  # taking a copy changes nothing
        record_event(bill, "bill.downloaded", actor=actor_of(request.user))
        return FileResponse(found.open("rb"), as_attachment=True, filename=bill.file_name or found.name)
