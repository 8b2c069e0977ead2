"""The list of alerts: what it is about, what to do, the way to the record, taking note of it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.roles import only_looks
from notifications.acknowledging import alert_acknowledge, alerts_acknowledge_kind
from notifications.kinds import KINDS, advice_of, kind_label
from notifications.models import Alert, AlertRoute
from notifications.telling import words_of
from paycenter.admin.records import trade_numbers
from paycenter.staff.acts import written_reason
from paycenter.staff.display import TONES, chip, copyable
from paycenter.staff.lists import BoundedPaginator
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import ReadOnlyAdmin, actor_of, registered
from paycenter.staff.words import actor_word


def trade_url(request: HttpRequest, trade_no: str) -> str:
    """Where the trade is found by its number; empty for those who may not see trades."""
    if not trade_no or not request.user.has_perm("trades.view_trade"):
        return ""
    return f"{reverse('admin:trades_trade_changelist')}?q={trade_no}"


class KindFilter(admin.SimpleListFilter):
    """What alerts are about, in words."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(kind, kind_label(kind)) for kind in KINDS]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class AcknowledgedFilter(admin.SimpleListFilter):
    """Open ones unless all are asked for."""

    title = _("acknowledged")
    parameter_name = "done"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Acknowledged")), ("all", _("All"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": _("Open")}, *others]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "all" or request.GET.get("q"):
            return queryset
        return queryset.filter(acknowledged_at__isnull=self.value() != "yes")


def record_url(request: HttpRequest, alert: Alert) -> str:
    """The page of the record an alert is about; empty where there is none that this person may see."""
    try:
        model = apps.get_model(alert.record_type) if alert.record_type and alert.record_id else None
    except (LookupError, ValueError):
        model = None
    page = registered(model) if model is not None else None
    if model is None or page is None or not page.has_view_permission(request):
        return ""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[alert.record_id])


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    empty_text = _("Nothing needs a person just now. What does appears here and is told to the alert receivers.")
    list_display = ["last_at", "severity_label", "headline", "kind_name", "count", "trade_label", "acknowledged_label"]
    list_filter = [AcknowledgedFilter, "severity", KindFilter]
    ordering = ["-id"]
    paginator = BoundedPaginator
    search_fields = ["trade_no"]
    search_help_text = _("Any number of a payment")

    @display(description=_("severity"))
    def severity_label(self, obj: Alert) -> str:
        return chip(obj.get_severity_display(), TONES[obj.severity])

    @display(description=_("title"))
    def headline(self, obj: Alert) -> str:
        return words_of(obj)[0]

    @display(description=_("kind"))
    def kind_name(self, obj: Alert) -> str:
        return kind_label(obj.kind)

    @display(description=_("trade number"))
    def trade_label(self, obj: Alert) -> str:
        return copyable(obj.trade_no)

    @display(description=_("acknowledged by"))
    def acknowledged_label(self, obj: Alert) -> str:
        return actor_word(obj.acknowledged_by, with_staff=True) or "–"

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(trade_no__in=trade_numbers(term)) if term else queryset), False

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<path:object_id>/acknowledge/", wrap(self.acknowledge_view), name=self.view_name("acknowledge")),
            path("<path:object_id>/acknowledge-kind/", wrap(self.kind_view), name=self.view_name("acknowledge_kind")),
            *super().get_urls(),
        ]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        alert = self.fetch(request, object_id)
        title, text = words_of(alert)
        may = alert.acknowledged_at is None and request.user.has_perm("notifications.acknowledge_alert")
        older = Alert.objects.filter(kind=alert.kind, pk__lte=alert.pk, acknowledged_at__isnull=True) if may else None
        context = self.page_context(
            request, alert, title=title, alert=alert, headline=title, body=text, severity=self.severity_label(alert),
            kind=kind_label(alert.kind), advice=advice_of(alert.kind, alert.key), error=reason_word(alert.error),
            told=list(AlertRoute.objects.filter(pk__in=alert.routes_done).values_list("name", flat=True)),
            record_url=record_url(request, alert), trade_url=trade_url(request, alert.trade_no), may_acknowledge=may,
            looks=only_looks(request.user),
            acknowledged_by=self.acknowledged_label(alert), same=older[:1000].count() if older is not None else 0,
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/alert.html", context)

    def acknowledge_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take note of it. POST only."""
        alert = self._to_acknowledge(request, object_id)
        if isinstance(alert, HttpResponse):
            return alert
        alert_acknowledge(alert=alert, actor=actor_of(request.user), note=written_reason(request))
        messages.success(request, gettext("Acknowledged."))
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('changelist')}"))

    def kind_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take note of it and of all older ones of its kind. POST only."""
        alert = self._to_acknowledge(request, object_id)
        if isinstance(alert, HttpResponse):
            return alert
        note = written_reason(request)
        count = alerts_acknowledge_kind(alert=alert, actor=actor_of(request.user), note=note)
        messages.success(request, gettext("%(count)d acknowledged.") % {"count": count})
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('changelist')}"))

    def _to_acknowledge(self, request: HttpRequest, object_id: str) -> Alert | HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        alert: Alert = self.fetch(request, object_id)
        self.require(request, "notifications.acknowledge_alert")
        return alert
