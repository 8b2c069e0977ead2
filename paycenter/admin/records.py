"""Events and exchanges: read-only, found by exact numbers only, because these tables grow without end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from paycenter.admin.event_page import event_page
from paycenter.models import Event, Exchange
from paycenter.staff.audit_words import record_name
from paycenter.staff.display import chip, copyable
from paycenter.staff.exports import columns, moment
from paycenter.staff.lists import BoundedPaginator, SerialDayFilter
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import ReadOnlyAdmin
from paycenter.staff.words import event_word, operation_word, party, states_words

Resolver = Callable[[str], set[str]]
_resolvers: list[Resolver] = []


def resolves_numbers(function: Resolver) -> Resolver:
    """Register a way from any number of a payment to the trade numbers it belongs to."""
    _resolvers.append(function)
    return function


def trade_numbers(term: str) -> set[str]:
    """The trades a number may mean; the number itself where nobody knows better."""
    return {term}.union(*(resolve(term) for resolve in _resolvers))


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "word", "number", "states", "actor_label", "reason_label"]
    list_filter = [SerialDayFilter]
    ordering = ["-id"]
    paginator = BoundedPaginator
    search_fields = ["trade_no"]
    search_help_text = _("Any number of a payment")
    export_columns = columns(
        (_("time"), lambda e: moment(e.created_at)), (_("what happened"), lambda e: event_word(e.type)),
        (_("type"), lambda e: e.type), (_("record"), lambda e: f"{e.object_type} {e.object_id or ''}"),
        (_("merchant"), lambda e: e.merchant_no), (_("app"), lambda e: e.app_id),
        (_("trade number"), lambda e: e.trade_no), (_("attempt number"), lambda e: e.attempt_no),
        (_("refund number"), lambda e: e.refund_no), (_("from"), lambda e: e.from_state),
        (_("to"), lambda e: e.to_state),
        (_("actor"), lambda e: party(e.actor)), (_("reason"), lambda e: reason_word(e.reason)),
        (_("sequence"), lambda e: e.seq), (_("hash"), lambda e: e.hash),
    )  # fmt: skip

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        return event_page(self, request, self.fetch(request, object_id))

    def name_of(self, obj: Event) -> str:
        return event_word(obj.type)

    @display(description=_("what happened"))
    def word(self, obj: Event) -> str:
        return self.name_of(obj)

    @display(description=_("number"))
    def number(self, obj: Event) -> str:
        return copyable(obj.attempt_no or obj.trade_no) if obj.trade_no else record_name(obj)

    @display(description=_("state"))
    def states(self, obj: Event) -> str:
        return states_words(obj.from_state, obj.to_state, obj.object_type) or "–"

    @display(description=_("actor"))
    def actor_label(self, obj: Event) -> str:
        return party(obj.actor)

    @display(description=_("reason"))
    def reason_label(self, obj: Event) -> str:
        return reason_word(obj.reason) or "–"

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        return (queryset.filter(trade_no__in=trade_numbers(term)) if term else queryset), False


@admin.register(Exchange)
class ExchangeAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "direction_label", "peer_label", "call", "number", "status_label", "elapsed"]
    list_filter = ["direction", SerialDayFilter]
    ordering = ["-id"]
    paginator = BoundedPaginator
    search_fields = ["trade_no"]
    search_help_text = _("Any number of a payment, or a request id")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("request", "response")

    def name_of(self, obj: Exchange) -> str:
        return f"{party(obj.peer)} · {operation_word(obj.operation)}"

    @display(description=_("direction"))
    def direction_label(self, obj: Exchange) -> str:
        return chip(obj.get_direction_display(), "info" if obj.direction == Exchange.Direction.IN else "")

    @display(description=_("peer"))
    def peer_label(self, obj: Exchange) -> str:
        return party(obj.peer)

    @display(description=_("operation"))
    def call(self, obj: Exchange) -> str:
        return operation_word(obj.operation)

    @display(description=_("number"))
    def number(self, obj: Exchange) -> str:
        return copyable(obj.trade_no or obj.app_order_no)

    @display(description=_("status"))
    def status_label(self, obj: Exchange) -> str:
        good = obj.status is not None and 200 <= obj.status < 300
        return chip(obj.status or _("no answer"), "good" if good else "bad")

    @display(description=_("time taken"))
    def elapsed(self, obj: Exchange) -> str:
        return f"{obj.elapsed_ms} ms"

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        by_trade = Q(trade_no__in=trade_numbers(term)) & ~Q(trade_no="")
        by_order = Q(app_order_no=term) & ~Q(app_order_no="")
        by_request = Q(request_id=term) & ~Q(request_id="")
        return queryset.filter(by_trade | by_order | by_request), False

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        exchange = self.fetch(request, object_id)
        context = self.page_context(
            request, exchange, title=self.name_of(exchange), exchange=exchange,
            direction=self.direction_label(exchange), status=self.status_label(exchange),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/exchange.html", context)
