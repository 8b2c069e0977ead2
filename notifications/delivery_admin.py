"""Deliveries: every try at telling an app, for who looks at what does not arrive instead of at one message."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.admin.choosing import AppFilter
from notifications.models import Delivery, Notification
from paycenter.admin.records import trade_numbers
from paycenter.staff.display import chip, copyable
from paycenter.staff.exports import columns, moment
from paycenter.staff.lists import BoundedPaginator, SerialDayFilter, first_id
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import ReadOnlyAdmin, tenant_of
from paycenter.staff.words import event_word


def by_notification(request: HttpRequest) -> bool:
    """Whether the list comes in the order of its messages: those of one app have an index in that order."""
    return tenant_of(request.user) is not None or bool(request.GET.get(AppFilter.parameter_name))


class OutcomeFilter(admin.SimpleListFilter):
    """What was not acknowledged has an index; what was is met soon without one."""

    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("acknowledged", _("acknowledged")), ("not", _("not acknowledged"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in ("acknowledged", "not"):
            return queryset
        return queryset.filter(acknowledged=self.value() == "acknowledged")


class DeliveryAppFilter(AppFilter):
    column = "notification__app_id"


class DeliveryDayFilter(SerialDayFilter):
    """By the day of what the list is ordered by: the try's, or its message's."""

    column = "started_at"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.by_notification = by_notification(request)
        self.title = _("day of the message") if self.by_notification else _("day")

    def bounded(self, rows: Any, start: datetime | None, end: datetime | None) -> Any:
        if not self.by_notification:
            return super().bounded(rows, start, end)
        if start is not None:
            first = first_id(Notification, "created_at", start - self.SLACK)
            rows = rows.filter(notification_id__gte=first, notification__created_at__gte=start)
        if end is not None:
            last = first_id(Notification, "created_at", end + self.SLACK)
            rows = rows.filter(notification_id__lt=last, notification__created_at__lt=end)
        return rows


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    tenant_keys = {"app": "notification__app_id"}
    list_display = ["started", "what", "trade_label", "app_label", "outcome", "answer", "elapsed", "number"]
    list_filter = [OutcomeFilter, DeliveryAppFilter, DeliveryDayFilter]
    paginator = BoundedPaginator
    search_fields = ["id"]
    search_help_text = _("Any number of a payment, or a webhook id")
    empty_text = _("A try appears here as soon as something is told to an app.")
    export_columns = columns(
        (_("time"), lambda d: moment(d.started_at)), (_("webhook id"), lambda d: d.notification.webhook_id),
        (_("type"), lambda d: d.notification.type), (_("app"), lambda d: d.notification.app.name),
        (_("trade number"), lambda d: d.notification.trade_no),
        (_("refund number"), lambda d: d.notification.refund_no),
        (_("address"), lambda d: d.notification.url), (_("try"), lambda d: d.number),
        (_("HTTP status"), lambda d: d.status), (_("acknowledged"), lambda d: str(_yes(d.acknowledged))),
        (_("answer"), lambda d: d.response or reason_word(d.error)), (_("milliseconds"), lambda d: d.elapsed_ms),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("notification__app").defer("notification__body")

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-notification_id", "-id"] if by_notification(request) else ["-id"]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        rows = Notification.objects.filter(webhook_id=term)
        if not term.startswith("msg_"):
            rows = Notification.objects.filter(trade_no__in=trade_numbers(term)).exclude(trade_no="")
        return queryset.filter(notification_id__in=list(rows.order_by("-id").values_list("pk", flat=True)[:500])), False

    @display(description=_("time"))
    def started(self, obj: Delivery) -> Any:
        return obj.started_at

    @display(description=_("what happened"))
    def what(self, obj: Delivery) -> str:
        return event_word(obj.notification.type)

    @display(description=_("trade number"))
    def trade_label(self, obj: Delivery) -> str:
        return copyable(obj.notification.trade_no)

    @display(description=_("app"))
    def app_label(self, obj: Delivery) -> str:
        host = obj.notification.host or "–"
        return format_html('<div>{}<br><span class="pc-sub">{}</span></div>', obj.notification.app.name, host)

    @display(description=_("outcome"))
    def outcome(self, obj: Delivery) -> str:
        return chip(obj.status or _("no answer"), "good" if obj.acknowledged else "bad")

    @display(description=_("answer"))
    def answer(self, obj: Delivery) -> str:
        text = obj.response or reason_word(obj.error) or "–"
        return text if len(text) <= 60 else text[:59] + "…"

    @display(description=_("time taken"))
    def elapsed(self, obj: Delivery) -> str:
        return f"{obj.elapsed_ms} ms"

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """A try stands on the page of its message."""
        delivery = self.fetch(request, object_id)
        return HttpResponseRedirect(reverse("admin:notifications_notification_change", args=[delivery.notification_id]))


def _yes(value: bool) -> Any:
    return _("yes") if value else _("no")
