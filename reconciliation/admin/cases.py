"""Cases (差错): the work list, and a page with both sides next to each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

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
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timezone import localtime
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from merchants.forms import method_label
from merchants.roles import only_looks
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from paycenter.staff.acts import written_reason
from paycenter.staff.display import chip, copyable, money, state_chip
from paycenter.staff.exports import Column, columns, major, moment
from paycenter.staff.landing import Card, contributes
from paycenter.staff.lists import BoundedPaginator
from paycenter.staff.reasons import reason_word
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import ReadOnlyAdmin, registered, tenant_of
from paycenter.staff.words import state_word
from reconciliation import cases
from reconciliation.admin.bills import BillDayFilter
from reconciliation.advice import advice
from reconciliation.models import Case, CaseOutcome
from reconciliation.states import UNRESOLVED_CASE_STATES, CaseState
from trades.models import Trade
from trades.timeline import event_entries

# By hand: what may be done from which state, and whether a reason is needed.
_ACTS = {"take": cases.case_take, "ask": cases.case_ask_now, "close": cases.case_close, "confirm": cases.case_confirm,
         "refuse": cases.case_refuse, "reopen": cases.case_reopen}  # fmt: skip
_WITH_REASON = ("close", "refuse", "reopen")
BY_HAND = [choice for choice in CaseOutcome.choices if choice[0] not in (CaseOutcome.MATCHED, CaseOutcome.ASKED)]


class UnresolvedFilter(admin.SimpleListFilter):
    """What needs a person, unless something else is asked for."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [*CaseState.choices, ("all", _("All"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": _("Unresolved")}, *others]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "all" or (request.GET.get("q") and not self.value()):
            return queryset
        return queryset.filter(state__in=[self.value()] if self.value() else UNRESOLVED_CASE_STATES)


class CaseDayFilter(BillDayFilter):
    in_order = False


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    tenant_keys = {"merchant": "account__merchant_id", "app": "app_id"}
    list_display = ["day", "kind_label", "amount_label", "state_label", "account_label", "number", "age", "owner"]
    list_filter = [UnresolvedFilter, "kind", "subject", CaseDayFilter]
    ordering = ["-id"]
    paginator = BoundedPaginator
    search_fields = ["trade_no"]
    search_help_text = _("Trade, attempt, refund or channel order number")
    export_columns = columns(
        (_("day"), lambda c: c.day.isoformat()), (_("payment account"), lambda c: c.account.payment_no),
        (_("kind"), lambda c: c.get_subject_display()), (_("difference"), lambda c: c.get_kind_display()),
        (_("state"), lambda c: c.get_state_display()), (_("amount"), lambda c: major(c.difference, c.currency)),
        (_("currency"), lambda c: c.currency), (_("here"), lambda c: major(c.our_amount, c.currency)),
        (_("in the bill"), lambda c: major(c.channel_amount, c.currency)), (_("trade number"), lambda c: c.trade_no),
        (_("attempt number"), lambda c: c.attempt_no), (_("refund number"), lambda c: c.refund_no),
        (_("channel's number"), lambda c: _channels_number(c)), (_("outcome"), lambda c: c.get_outcome_display()),
        (_("reason"), lambda c: reason_word(c.reason)), (_("found"), lambda c: moment(c.opened_at)),
        (_("finished"), lambda c: moment(c.finished_at)),
    )  # fmt: skip
    empty_text = _("No difference waits for anybody: every compared payment and refund is explained.")

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).select_related("account__merchant", "app", "owner", "bill", "proposed_by")
        return rows.defer("account__config")

    def get_list_display(self, request: HttpRequest) -> Sequence[str]:
        """Tenants are not told which of the center's staff works on a case."""
        center = tenant_of(request.user) is None
        return [name for name in self.list_display if center or name != "owner"]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        ways = ({"trade_no": term}, {"attempt_no": term}, {"refund_no": term}, {"key": term})
        ids = {pk for way in ways for pk in Case.objects.filter(**way).values_list("pk", flat=True)[:500]}
        return queryset.filter(pk__in=ids), False

    @display(description=_("difference"))
    def kind_label(self, obj: Case) -> str:
        return format_html("{}<br><span class='pc-sub'>{}</span>", obj.get_kind_display(), obj.get_subject_display())

    @display(description=_("amount"), ordering="difference")
    def amount_label(self, obj: Case) -> str:
        return format_html("<b>{}</b>", money(obj.difference, obj.currency))

    @display(description=_("state"))
    def state_label(self, obj: Case) -> str:
        return state_chip(obj)

    @display(description=_("payment account"))
    def account_label(self, obj: Case) -> str:
        return str(obj.account)

    @display(description=_("number"))
    def number(self, obj: Case) -> str:
        return copyable(obj.refund_no or obj.trade_no or obj.key)

    @display(description=_("age"), ordering="opened_at")
    def age(self, obj: Case) -> str:
        days = max((timezone.now() - obj.opened_at) // timedelta(days=1), 0)
        word = ngettext("%(n)s day", "%(n)s days", days) % {"n": days}
        return chip(word, "bad" if days >= 3 else "warn" if days >= 1 else "")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<path:object_id>/act/<slug:act>/", wrap(self.act_view), name=self.view_name("act")),
        ]
        return [*own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """Both sides, what the channel says now, what to do, and what was done."""
        case = self.fetch(request, object_id)
        center = tenant_of(request.user) is None
        works = center and not only_looks(request.user) and case.state not in (CaseState.SETTLED, CaseState.CLOSED)
        events = Event.objects.of(case).order_by("-id")[:100]
        context = self.page_context(
            request, case, title=str(case), case=case, state_chip=state_chip(case), rows=_side_by_side(case),
            amount=money(case.difference, case.currency), advice=advice(case) if works else "",
            timeline=event_entries(events, center), acts=self._acts(request, case), outcomes=BY_HAND,
            trade=_trade(request, case), center=center,
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/reconciliation/case.html", context)

    def _acts(self, request: HttpRequest, case: Case) -> set[str]:
        """What this person may do now."""
        if not request.user.has_perm("reconciliation.settle_case"):
            return set()
        possible = {
            CaseState.CARRIED: {"take", "ask"}, CaseState.OPEN: {"take", "ask", "close"},
            CaseState.CLOSING: {"refuse"}, CaseState.SETTLED: {"reopen"}, CaseState.CLOSED: {"reopen"},
        }[CaseState(str(case.state))]  # fmt: skip
        if case.state == CaseState.CLOSING and case.proposed_by_id != request.user.pk:
            possible = possible | {"confirm"}
        return possible if cases.askable(case) else possible - {"ask"}

    @sensitive(when=lambda _page, _request, act, **_more: act == "confirm")
    def act_view(self, request: HttpRequest, object_id: str, act: str) -> HttpResponse:
        """One of the buttons. POST only; the service checks who and from which state."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        case = self.fetch(request, object_id)
        self.require(request, "reconciliation.settle_case")
        if act not in _ACTS:
            raise Http404
        reason = written_reason(request)
        given: dict[str, Any] = {"reason": reason} if act in (*_WITH_REASON, "confirm") else {}
        if act == "close":
            given["outcome"] = request.POST.get("outcome", "")
        if act in _WITH_REASON and not reason:
            messages.error(request, gettext("Please give a reason."))
        else:
            self._run(request, case, act, given)
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[case.pk]))

    def _run(self, request: HttpRequest, case: Case, act: str, given: dict[str, Any]) -> None:
        try:
            _ACTS[act](case=case, user=request.user, **given)  # type: ignore[operator]
        except (TransitionRefused, ValueError) as exc:
            messages.error(request, gettext(str(exc)))
        else:
            messages.success(request, gettext("Done."))

    def get_export_columns(self, request: HttpRequest) -> Sequence[Column]:
        """Tenants are not told which of the center's staff works on a case."""
        return self.export_columns if tenant_of(request.user) is not None else (*self.export_columns, _OWNER)


_OWNER = Column(_("owner"), lambda c: str(c.owner or ""))


def _channels_number(case: Case) -> str:
    sides = (case.evidence.get("theirs") or case.evidence.get("ours")) or {}
    return str(sides.get("channel_trade_no", ""))


_FIELDS = {
    "amount": _("amount"), "fee": _("fee"), "state": _("state"), "channel_state": _("channel's word"),
    "refunded": _("refunded"), "external_refunded": _("refunded outside"),
    "at": _("time"), "method": _("pay method"), "order_no": _("channel order number"),
    "channel_trade_no": _("channel's number"), "refund_no": _("refund number"),
    "channel_refund_no": _("channel's refund number"), "line": _("line"),
}  # fmt: skip


def _side_by_side(case: Case) -> list[tuple[str, str, str, str, bool]]:
    """(what, here, in the bill, the channel's live word, whether here and bill differ)."""
    sides = [case.evidence.get(name) or {} for name in ("ours", "theirs", "asked")]
    rows = []
    for name, word in _FIELDS.items():
        shown = [_shown(side, name, _RECORDS[case.subject]) for side in sides]
        if any(shown):
            comparable = name in ("amount", "fee", "state", "order_no", "channel_trade_no")
            rows.append((str(word), *shown, comparable and "" not in shown[:2] and shown[0] != shown[1]))
    return rows  # type: ignore[return-value]


# Whose states the subjects' are, and what only a channel's live answer says.
_RECORDS = {"payment": "attempt", "refund": "refund"}
_LIVE = {"no_answer": _("no answer"), "not_found": _("unknown there"), "unpaid": _("not paid")}


def _shown(side: dict[str, Any], name: str, record: str) -> str:
    value = side.get(name)
    if value in (None, ""):
        return ""
    if name in ("amount", "fee", "refunded", "external_refunded") and side.get("currency"):
        return money(int(value), str(side["currency"]))
    if name == "state":
        return str(_LIVE.get(value) or state_word(str(value), record))
    if name == "at":
        return date_format(localtime(datetime.fromisoformat(value)), "Y-m-d H:i:s")
    return method_label(str(value)) if name == "method" else str(value)


def _trade(request: HttpRequest, case: Case) -> Trade | None:
    """The trade, where this person may see it."""
    page = registered(Trade)
    if not case.trade_no or page is None or not request.user.has_perm("trades.view_trade"):
        return None
    found: Trade | None = page.get_queryset(request).filter(trade_no=case.trade_no).first()
    return found


@contributes
def open_cases(request: HttpRequest) -> list[Card]:
    """How many differences wait for somebody."""
    page = registered(Case)
    if page is None or not request.user.has_perm("reconciliation.view_case"):
        return []
    count = page.get_queryset(request).filter(state__in=UNRESOLVED_CASE_STATES).order_by()[:1000].count()
    link = reverse("admin:reconciliation_case_changelist")
    return [Card(gettext("Open differences"), str(count), link, tone="bad" if count else "calm", icon="balance")]
