"""Notifications to apps with their deliveries; what of them and of alerts stands on the landing page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from notifications import alert_admin, delivery_admin, receiver_admin, rule_admin  # noqa: F401  # their pages register themselves
from notifications.alert_admin import trade_url
from notifications.models import Alert, AlertSeverity, Notification, NotificationState
from notifications.services import notification_resend
from notifications.telling import words_of
from paycenter.admin.records import trade_numbers
from paycenter.partitions.catalogue import SLACK
from paycenter.staff.display import copyable, state_chip
from paycenter.staff.exports import columns, moment
from paycenter.staff.landing import Card, Panel, contributes
from paycenter.staff.lists import BoundedPaginator, SerialDayFilter
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import ReadOnlyAdmin, actor_of, registered, tenant_of
from paycenter.staff.words import actor_word, event_word, names_states

names_states(NotificationState.choices)


class StateFilter(admin.SimpleListFilter):
    """What is not acknowledged is found through the index of its state, or of what is due."""

    title = _("state")
    parameter_name = "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(NotificationState.choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == NotificationState.PENDING:
            return queryset.filter(state=NotificationState.PENDING, next_delivery_at__isnull=False)
        return queryset.filter(state=self.value()) if self.value() in NotificationState else queryset


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    empty_text = _("What is told to apps appears here, once something happens to one of their orders.")
    tenant_keys = {"app": "app_id"}
    list_display = ["created_time", "what", "trade_label", "app", "state_label", "tries", "next_delivery_at"]
    list_filter = [StateFilter, SerialDayFilter]
    list_select_related = ["app"]
    ordering = ["-id"]
    paginator = BoundedPaginator
    search_fields = ["trade_no"]
    search_help_text = _("Any number of a payment, or a webhook id")
    export_columns = columns(
        (_("webhook id"), lambda n: n.webhook_id), (_("type"), lambda n: n.type), (_("app"), lambda n: n.app.name),
        (_("trade number"), lambda n: n.trade_no), (_("refund number"), lambda n: n.refund_no),
        (_("address"), lambda n: n.url), (_("state"), lambda n: str(n.get_state_display())),
        (_("tries"), lambda n: n.tries), (_("created"), lambda n: moment(n.created_at)),
        (_("acknowledged at"), lambda n: moment(n.delivered_at)),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("app")

    def name_of(self, obj: Notification) -> str:
        return event_word(obj.type)

    @display(description=_("what happened"))
    def what(self, obj: Notification) -> str:
        return self.name_of(obj)

    @display(description=_("trade number"))
    def trade_label(self, obj: Notification) -> str:
        return copyable(obj.trade_no)

    @display(description=_("state"))
    def state_label(self, obj: Notification) -> str:
        return state_chip(obj)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith("msg_"):
            return queryset.filter(webhook_id=term), False
        return queryset.filter(trade_no__in=trade_numbers(term)).exclude(trade_no=""), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.resend_view)
        return [path("<path:object_id>/resend/", view, name=self.view_name("resend")), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        notification = self.fetch(request, object_id)
        context = self.page_context(
            request, notification, title=event_word(notification.type), notification=notification,
            deliveries=_deliveries(notification, center=tenant_of(request.user) is None),
            state_chip=state_chip(notification), trade_url=trade_url(request, notification.trade_no),
            may_resend=request.user.has_perm("notifications.resend_notification"),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/notification.html", context)

    def resend_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send it once more now. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        notification = self.fetch(request, object_id)
        self.require(request, "notifications.resend_notification")
        notification_resend(notification=notification, actor=actor_of(request.user))
        messages.success(request, gettext("It is on its way again; the outcome appears below."))
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[notification.pk]))


def _deliveries(notification: Notification, *, center: bool) -> list[dict[str, Any]]:
    """Every try in words; tenants are not told which of our staff sent one by hand."""
    return [
        {"row": row, "answer": row.response or reason_word(row.error),
         "by": actor_word(row.by, with_staff=center)}
        for row in notification.deliveries.filter(started_at__gte=notification.created_at - SLACK).order_by("-id")[:100]
    ]  # fmt: skip


@contributes
def notice_figures(request: HttpRequest) -> list[Card | Panel]:
    """Give-ups and open alerts."""
    found: list[Card | Panel] = []
    page = registered(Notification)
    if page and page.has_view_permission(request):
        count = page.scope(request.user, Notification.objects.filter(state=NotificationState.GIVEN_UP))[:1000].count()
        link = reverse("admin:notifications_notification_changelist") + "?state__exact=given_up&day_all=1"
        tone = "bad" if count else "calm"
        found.append(Card(gettext("Notifications given up"), str(count), link, tone=tone, icon="outbox", order=30))
    if request.user.has_perm("notifications.view_alert") and tenant_of(request.user) is None:
        found += _alert_figures()
    return found


def _alert_figures() -> list[Card | Panel]:
    rows = Alert.objects.filter(acknowledged_at__isnull=True).order_by("-id")
    link, recent = reverse("admin:notifications_alert_changelist"), list(rows[:200])
    critical = any(a.severity == AlertSeverity.CRITICAL for a in recent)
    tone = "bad" if critical else "warn" if recent else "calm"
    lines = [
        (
            a.last_at,
            words_of(a)[0],
            f"×{a.count}" if a.count > 1 else "",
            reverse("admin:notifications_alert_change", args=[a.pk]),
        )
        for a in recent[:6]
    ]
    text = f"{len(recent)}{'+' if len(recent) == 200 else ''}"
    return [
        Card(gettext("Open alerts"), text, link, tone=tone, icon="notifications_active", order=40),
        Panel(gettext("Open alerts"), lines, gettext("All quiet."), link, order=20),
    ]
