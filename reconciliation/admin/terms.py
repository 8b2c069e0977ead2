"""What finance sets: fee rates and settlement terms through two people; calendars and formats of bank statements."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.forms import Form, ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.admin.changes import waiting
from merchants.forms import ReasonForm
from merchants.models import ChangeRequest, PaymentAccount
from merchants.states import ChangeState
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from paycenter.staff.display import chip, money, state_chip
from paycenter.staff.tenancy import TenantAdmin, actor_of, registered
from paycenter.transitions import record_event
from reconciliation.admin.line_fields import DaysField, SendersField
from reconciliation.admin.terms_forms import RateForm, TermsForm
from reconciliation.admin.terms_words import (
    SHOWN_CURRENCY,
    days_word,
    method_word,
    percent,
    rate_rows,
    terms_rows,
)
from reconciliation.settlement import changing
from reconciliation.settlement.models import BankProfile, FeeRate, SettlementCalendar, SettlementTerms
from trades.timeline import event_entries

_HISTORY = 20


class _Settings(TenantAdmin):
    """Saved with an event that names the values, so that it is known who set what when."""

    can_add = can_change = True

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        values = {name: str(value) for name, value in form.cleaned_data.items()}
        record_event(obj, f"{obj._meta.model_name}.saved", actor=actor_of(request.user), detail=values)


class _ByTwoPeople(TenantAdmin):
    """Asked for here, in effect once somebody else confirms. `kind` names the change, `asked` its form, and
    `asking` is that form's title."""

    can_add = True
    search_fields = ["account__payment_no", "account__name", "account__merchant__name"]
    search_help_text = _("Payment number or name of the account or merchant")
    kind: str
    asked: type[RateForm] | type[TermsForm]
    asking: Any

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("account__merchant").defer("account__config")

    def rows_of(self, obj: Any) -> list[tuple[str, str]]:
        """(field, value) of the record as it is."""
        raise NotImplementedError

    def about(self, obj: Any) -> str:
        """Which of the account's records it is."""
        raise NotImplementedError

    def asks(self, request: HttpRequest, form: Any, reason: str) -> ChangeRequest:
        """Make the request. Raises TransitionRefused."""
        raise NotImplementedError

    def initial(self, obj: Any) -> dict[str, Any]:
        """What the form shows first when a record is to be replaced."""
        raise NotImplementedError

    def changes(self, **about: Any) -> QuerySet[ChangeRequest]:
        return ChangeRequest.objects.filter(kind=self.kind, **about).select_related("requested_by", "account", "app")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """The list, with what waits to be confirmed above it."""
        more = {"pending": waiting(request, self.changes())[:_HISTORY]}
        return super().changelist_view(request, {**(extra_context or {}), **more})

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The record as it is, what waits, and how it came about."""
        obj = self.fetch(request, object_id)
        events = Event.objects.of(obj).order_by("-id")[:_HISTORY]
        decided = self.changes(account=obj.account).exclude(state=ChangeState.PENDING)[:_HISTORY]
        context = self.page_context(
            request, obj, title=str(obj.account), record=obj, rows=self.rows_of(obj), about=self.about(obj),
            pending=waiting(request, self.changes(account=obj.account)), sees_changes=_sees_changes(request),
            decided=[(change, state_chip(change)) for change in decided], timeline=event_entries(events, True),
            may_ask=self.has_add_permission(request), ask_url=f"{self._list_url()}add/?replaces={obj.pk}",
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/reconciliation/terms.html", context)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for a new one, or for another instead of the one that `replaces` names. Nothing is stored yet."""
        self.require(request, f"reconciliation.add_{self.opts.model_name}")
        replaced = self._replaced(request)
        page = registered(PaymentAccount)
        accounts = page.get_queryset(request) if page else PaymentAccount.objects.none()
        form = self.asked(request.POST or None, accounts=accounts, initial=self.initial(replaced) if replaced else {})
        reason = ReasonForm(request.POST or None)
        if request.method == "POST" and all([form.is_valid(), reason.is_valid()]):
            change = self._ask(request, form, reason.cleaned_data["reason"])
            if change is not None:
                return HttpResponseRedirect(self._list_url())
        context = self.page_context(
            request, title=str(self.asking), forms=[form], reason=reason,
            submit=gettext("Ask for confirmation"), cancel=self._list_url(), moves_money=True,
            pending=waiting(request, self.changes(account=replaced.account)) if replaced else (),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/form.html", context)

    def _replaced(self, request: HttpRequest) -> Any:
        number = request.GET.get("replaces", "")
        return self.fetch(request, number) if number.isdecimal() else None

    def _ask(self, request: HttpRequest, form: Form, reason: str) -> ChangeRequest | None:
        try:
            change = self.asks(request, form, reason)
        except TransitionRefused as exc:
            form.add_error(None, str(exc))
            return None
        messages.success(request, gettext("Asked for. It takes effect once somebody else confirms it."))
        return change

    def _list_url(self) -> str:
        return reverse(f"admin:{self.view_name('changelist')}")


def _sees_changes(request: HttpRequest) -> bool:
    return request.user.has_perm("merchants.view_changerequest")


@admin.register(FeeRate)
class FeeRateAdmin(_ByTwoPeople):
    kind, asked, asking = changing.FEE_RATE.code, RateForm, _("Ask for a fee rate")
    empty_text = _("Without a rate no fee in a bill can be checked.")
    empty_next = _("Set what each channel charges.")
    list_display = ["account_label", "method_label", "from_day", "standing", "ratio", "rounding", "fixed_label",
                    "limits"]  # fmt: skip
    change_list_template = "admin/pc/reconciliation/terms_list.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        same = FeeRate.objects.filter(account=OuterRef("account"), method=OuterRef("method"))
        newest = same.filter(from_day__lte=timezone.localdate()).order_by("-from_day").values("pk")[:1]
        return super().get_queryset(request).annotate(in_effect=Subquery(newest))

    @display(description=_("payment account"), ordering="account")
    def account_label(self, obj: FeeRate) -> str:
        return str(obj.account)

    @display(description=_("pay method"), ordering="method")
    def method_label(self, obj: FeeRate) -> str:
        return method_word(obj.method)

    @display(description=_("in effect"))
    def standing(self, obj: Any) -> str:
        if obj.pk == obj.in_effect:
            return chip(_("today"), "good")
        return chip(_("later"), "info") if obj.from_day > timezone.localdate() else chip(_("earlier"))

    @display(description=_("ratio"), ordering="ppm")
    def ratio(self, obj: FeeRate) -> str:
        return percent(obj.ppm)

    @display(description=_("fixed part"))
    def fixed_label(self, obj: FeeRate) -> str:
        return money(obj.fixed, SHOWN_CURRENCY) if obj.fixed else "–"

    @display(description=_("limits"))
    def limits(self, obj: FeeRate) -> str:
        if not obj.least and obj.most is None:
            return "–"
        most = "∞" if obj.most is None else money(obj.most, SHOWN_CURRENCY)
        return f"{money(obj.least, SHOWN_CURRENCY)} – {most}"

    def name_of(self, obj: FeeRate) -> str:
        return f"{obj.account} · {method_word(obj.method)} · {percent(obj.ppm)}"

    def rows_of(self, obj: FeeRate) -> list[tuple[str, str]]:
        return rate_rows(obj)

    def about(self, obj: FeeRate) -> str:
        from_day = gettext("from %(day)s on") % {"day": obj.from_day.isoformat()}
        return f"{method_word(obj.method)} · {from_day}"

    def initial(self, obj: FeeRate) -> dict[str, Any]:
        values = changing.rate_values(obj)
        return {**values, "ratio": percent(obj.ppm).removesuffix(" %"), "account": obj.account_id, "method": obj.method}

    def asks(self, request: HttpRequest, form: RateForm, reason: str) -> ChangeRequest:
        given = form.cleaned_data
        return changing.rate_change_request(
            account=given["account"], method=given["method"], from_day=given["from_day"], values=form.values(),
            user=request.user, reason=reason,  # type: ignore[arg-type]
        )  # fmt: skip


@admin.register(SettlementTerms)
class SettlementTermsAdmin(_ByTwoPeople):
    kind, asked, asking = changing.SETTLEMENT_TERMS.code, TermsForm, _("Ask for settlement terms")
    empty_text = _("Without terms no settlement batch is made.")
    empty_next = _("Say when each account's money arrives.")
    list_display = ["account_label", "days_label", "calendar"]
    change_list_template = "admin/pc/reconciliation/terms_list.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("calendar")

    @display(description=_("payment account"), ordering="account")
    def account_label(self, obj: SettlementTerms) -> str:
        return str(obj.account)

    @display(description=_("money arrives"), ordering="days_after")
    def days_label(self, obj: SettlementTerms) -> str:
        return f"T+{obj.days_after} · {days_word(obj)}"

    def rows_of(self, obj: SettlementTerms) -> list[tuple[str, str]]:
        return terms_rows(obj)

    def about(self, obj: SettlementTerms) -> str:
        return days_word(obj)

    def initial(self, obj: SettlementTerms) -> dict[str, Any]:
        return {"account": obj.account_id, "days_after": obj.days_after, "working_days": str(int(obj.working_days)),
                "calendar": obj.calendar_id}  # fmt: skip

    def asks(self, request: HttpRequest, form: TermsForm, reason: str) -> ChangeRequest:
        return changing.terms_change_request(
            account=form.cleaned_data["account"], values=form.values(), user=request.user, reason=reason,  # type: ignore[arg-type]
        )  # fmt: skip


class CalendarForm(ModelForm):  # type: ignore[type-arg]
    holidays = DaysField(label=_("Holidays"), help_text=_("One day a line, such as 2027-02-17."))
    workdays = DaysField(
        label=_("Weekends that are worked"), help_text=_("Saturdays and Sundays on which banks settle all the same.")
    )

    class Meta:
        model = SettlementCalendar
        fields = ("name", "holidays", "workdays")


class _Lined(_Settings):
    """Lists are typed one thing a line, and read so by who may not change them."""

    def _as_lines(self, obj: Any, name: str) -> str:
        text = self.form.base_fields[name].prepare_value(getattr(obj, name))
        return format_html('<span class="pc-lines">{}</span>', text) if text else "–"


@admin.register(SettlementCalendar)
class SettlementCalendarAdmin(_Lined):
    form = CalendarForm
    read_as = {"holidays": "holidays_lines", "workdays": "workdays_lines"}
    list_display = ["name", "holidays_label"]
    empty_text = _("A calendar lists the days on which banks do not settle, so that settlement terms can count in"
                   " working days.")  # fmt: skip
    empty_next = _("Add the first one.")

    @display(description=_("holidays"))
    def holidays_lines(self, obj: SettlementCalendar) -> str:
        return self._as_lines(obj, "holidays")

    @display(description=_("weekends that are worked"))
    def workdays_lines(self, obj: SettlementCalendar) -> str:
        return self._as_lines(obj, "workdays")

    @display(description=_("holidays"))
    def holidays_label(self, obj: SettlementCalendar) -> str:
        return ", ".join(obj.holidays[:8]) + (" …" if len(obj.holidays) > 8 else "") if obj.holidays else "–"


class ProfileForm(ModelForm):  # type: ignore[type-arg]
    senders = SendersField(
        label=_("Senders"),
        help_text=_("Whose money a line is, by a word in its purpose. One a line: Tenpay = Z0000000001."),
    )

    class Meta:
        model = BankProfile
        fields = ("name", "encoding", "delimiter", "date_column", "date_format", "amount_column", "reference_column",
                  "purpose_column", "currency", "senders")  # fmt: skip
        help_texts = {
            "encoding": _("utf-8-sig, or gbk for most Chinese banks."),
            "date_column": _("Columns are called as in the statement's first line."),
            "date_format": _("%Y is the year, %m the month, %d the day: %Y-%m-%d, %Y/%m/%d or %Y%m%d."),
        }


@admin.register(BankProfile)
class BankProfileAdmin(_Lined):
    form = ProfileForm
    read_as = {"senders": "senders_lines"}
    empty_text = _("A format says which column of a bank's statement is what; then statements can be imported.")
    empty_next = _("Add one for each bank.")
    list_display = ["name", "currency", "date_column", "amount_column", "reference_column"]

    @display(description=_("senders"))
    def senders_lines(self, obj: BankProfile) -> str:
        return self._as_lines(obj, "senders")
