"""The auditor's page: the chain of events with its head and its last verification, searched and exported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from paycenter.admin.records import trade_numbers
from paycenter.middleware import parse_network
from paycenter.models import OF_TRADES, AuditVerification, Event, EventHead
from paycenter.sequencer import HEAD_ID
from paycenter.staff import audit_search
from paycenter.staff.audit_search import Records, Search
from paycenter.staff.audit_words import changes_of, model_of, record_name, rest_of, trail_of
from paycenter.staff.exports import columns
from paycenter.staff.list_tools import export_url
from paycenter.staff.lists import parse_day
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import ReadOnlyAdmin
from paycenter.staff.words import EVENT_WORDS, event_word, party

# A number of a record → the records it names, as (type, id).
KeyResolver = Callable[[str], Iterable[tuple[str, int]]]
_key_resolvers: list[KeyResolver] = []
# What the address may ask for, as the page's form names it.
_ASKED = {
    "actor": gettext_noop("Who"), "q": gettext_noop("Number"), "kind": gettext_noop("What happened"),
    "address": gettext_noop("From address"), "from": gettext_noop("From"), "to": gettext_noop("To (included)"),
}  # fmt: skip


def resolves_keys(function: KeyResolver) -> KeyResolver:
    """Register a way from a number (or name) of a record that is no payment to its type and id."""
    _key_resolvers.append(function)
    return function


def records_of(term: str) -> Records | None:
    """What a typed number names; None where nothing was typed."""
    term = term.strip()[:64]
    if not term or not term.isprintable():
        return None
    keys = {key for resolve in (_typed_key, *_key_resolvers) for key in resolve(term)}
    numbers = trade_numbers(term).union(*(_trade_of(*key) for key in keys))
    return Records(frozenset(numbers), frozenset(keys))


def _trade_of(kind: str, key: int) -> Iterable[str]:
    """The number of the trade that a payment's record belongs to, by which its events are found."""
    model = model_of(kind) if kind in OF_TRADES else None
    record: Any = model._default_manager.filter(pk=key).first() if model is not None else None
    return [getattr(record, "trade", record).trade_no] if record is not None else []


def _typed_key(term: str) -> Iterable[tuple[str, int]]:
    """`alertrule 3`, as the page itself calls records without a number."""
    kind, _space, number = term.rpartition(" ")
    return [(kind.lower(), int(number))] if kind and number.isdecimal() and len(number) < 19 else []


def search_of(request: HttpRequest) -> Search:
    """The search an address asks for; what cannot be read does not count."""
    asked = {name: request.GET.get(name, "").strip() for name in (*_ASKED, "all")}
    actor = asked["actor"][:100]
    return Search(
        actor=actor if not actor or ":" in actor else f"staff:{actor}", records=records_of(asked["q"]),
        kind=asked["kind"][:48], address=asked["address"] if parse_network(asked["address"]) else "",
        first=parse_day(asked["from"]), last=parse_day(asked["to"]), everybody=asked["all"] == "1",
    )  # fmt: skip


@admin.register(AuditVerification)
class AuditAdmin(ReadOnlyAdmin):
    """One page instead of a list of verifications; everybody else's pages show the events of their own records."""

    fields = ["started_at", "finished_at", "who", "ok", "problem", "first_seq", "last_seq", "last_hash", "events",
              "heads", "unsequenced"]  # fmt: skip
    export_columns = columns(
        (_("sequence"), lambda e: e.seq),
        (_("time"), lambda e: timezone.localtime(e.created_at).isoformat(timespec="milliseconds")),
        (_("type"), lambda e: e.type), (_("what happened"), lambda e: event_word(e.type)),
        (_("record"), lambda e: record_name(e)), (_("trade number"), lambda e: e.trade_no),
        (_("refund number"), lambda e: e.refund_no), (_("merchant number"), lambda e: e.merchant_no),
        (_("app"), lambda e: e.app_id), (_("actor"), lambda e: e.actor),
        (_("From address"), lambda e: trail_of(e).get("address", "")), (_("from"), lambda e: e.from_state),
        (_("to"), lambda e: e.to_state), (_("reason"), lambda e: e.reason),
        (_("Before and after"), lambda e: _changes(e)), (_("detail"), lambda e: rest_of(e)),
        (_("hash"), lambda e: e.hash),
    )  # fmt: skip

    def name_of(self, obj: AuditVerification) -> str:
        return f"{timezone.localtime(obj.started_at):%Y-%m-%d %H:%M:%S}"

    @display(description=_("started by"))
    def who(self, obj: AuditVerification) -> str:
        return party(obj.by)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["who"]

    def get_urls(self) -> list[URLPattern]:
        return [export_url(self), *super().get_urls()]

    def export_source(self, request: HttpRequest) -> tuple[QuerySet[Any], list[list[str]]]:
        """All that the search finds, newest first."""
        search = search_of(request)
        words = [[gettext(_ASKED[name]), request.GET[name][:100]] for name in _ASKED if request.GET.get(name)]
        if search.everybody:
            words.append([gettext("Who"), gettext("Also what apps, channels and the center did")])
        return audit_search.everything(search), words

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        search, before = search_of(request), request.GET.get("before", "")
        found = audit_search.page(search, int(before) if before.isdecimal() and len(before) < 19 else None)
        older = _query(request, before=str(found.older)) if found.older else ""
        context = self.page_context(
            request, title=gettext("Audit"), rows=[_row(event) for event in found.events], page=found, older=older,
            newest=_query(request) if before else "", asked=request.GET,
            export=reverse(f"admin:{self.view_name('start_export')}") + _query(request),
            kinds=sorted(((code, str(word)) for code, word in EVENT_WORDS.items()), key=lambda kind: kind[0]),
            searched=any(request.GET.get(name) for name in _ASKED),
            **_chain(),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/audit.html", context)


def _chain() -> dict[str, Any]:
    """The head, the last verification and the last one of the whole chain."""
    rows = AuditVerification.objects.order_by("-id")
    last = rows.first()
    return {
        "head": EventHead.objects.filter(pk=HEAD_ID).first(), "last": last,
        "problem": reason_word(last.problem) if last is not None else "",
        "whole": rows.filter(first_seq=1, ok=True).first(),
    }  # fmt: skip


def _query(request: HttpRequest, **changed: str) -> str:
    asked = request.GET.copy()
    asked.pop("before", None)
    for name, value in changed.items():
        asked[name] = value
    return f"?{asked.urlencode()}"


def _row(event: Event) -> dict[str, Any]:
    return {
        "event": event, "word": event_word(event.type), "record": record_name(event), "actor": party(event.actor),
        "address": trail_of(event).get("address", ""), "changes": changes_of(event)[:4],
        "reason": reason_word(event.reason), "url": reverse("admin:paycenter_event_change", args=[event.pk]),
    }  # fmt: skip


def _changes(event: Event) -> str:
    return "; ".join(f"{change.label}: {change.before} → {change.after}" for change in changes_of(event))
