"""The work list: what waits, the reader's own first, with what they need to decide without opening each."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from channels.base.discovery import methods
from merchants.admin.choosing import AppFilter, MerchantFilter
from merchants.admin.days import MerchantDays
from merchants.forms import method_label
from paycenter.staff.display import chip, money, state_chip
from paycenter.staff.exports import columns, major, moment
from paycenter.staff.keyset import KeysetChangeList, keys_of
from paycenter.staff.lists import BoundedPaginator, CurrencyFilter, SerialDayFilter, parse_day
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import ReadOnlyAdmin, tenant_of
from refunds.admin.acts import ACTS, BULK, reader
from refunds.admin.mine import OLDEST, ids_between, mine, mine_first
from refunds.approvals import APPROVE_PERMISSION
from refunds.finding import refund_ids
from refunds.models import WAITING, Refund, RefundRoute
from refunds.states import RESERVING_STATES, RefundState
from refunds.worklist import facts_of

_RELATED = ("app", "merchant", "trade", "trade__settled_attempt", "abnormal__attempt", "requested_by")
_HEAVY = (
    "memo", "trade__payer", "trade__detail", "trade__settled_attempt__memo", "trade__settled_attempt__pay",
    "abnormal__attempt__memo", "abnormal__attempt__pay",
)  # fmt: skip
OLD_HOURS = 24


def opens_on_work(request: HttpRequest) -> bool:
    """Whether the list shows what waits: people of the center who neither searched nor chose anything else: a state, or
    days of ending."""
    chosen = any(request.GET.get(name) for name in ("state", "q")) or by_end(request)
    return tenant_of(request.user) is None and not chosen


class StateFilter(admin.SimpleListFilter):
    """What waits for somebody, unless something else is asked for. Tenants, who decide nothing, see all first."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        under_way = ("under_way", _("under way"))
        if tenant_of(request.user) is not None:
            return [*RefundState.choices, under_way]
        payouts = [("by_hand", _("payouts under way by hand")), ("to_pay", _("to be paid out by hand")),
                   ("to_check", _("payouts to check")), ("stuck", _("stuck"))]  # fmt: skip
        return [*RefundState.choices, under_way, *payouts, ("all", _("All"))]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        waits = "all" in dict(self.lookup_choices)
        return [{**first, "display": _("Waiting for somebody") if waits else _("All")}, *others]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        by_hand = Q(route__in=(RefundRoute.MANUAL, RefundRoute.BALANCE))
        chosen = {
            "to_pay": by_hand & Q(state=RefundState.APPROVED), "to_check": by_hand & Q(state=RefundState.PROCESSING),
            "by_hand": by_hand & Q(state__in=(RefundState.APPROVED, RefundState.PROCESSING)),
            "stuck": Q(needs_attention=True), "under_way": Q(state__in=RESERVING_STATES), "all": Q(),
        }  # fmt: skip
        if self.value() in RefundState:
            return queryset.filter(state=self.value())
        wanted = chosen.get(self.value() or "", WAITING if opens_on_work(request) else Q())
        return queryset.filter(wanted)


def by_end(request: HttpRequest) -> bool:
    """Whether days of ending are asked for, so that the list comes in the order of the refunds' ends."""
    return any(parse_day(request.GET.get(f"done_{end}")) for end in ("from", "to"))


class RefundMethodFilter(admin.SimpleListFilter):
    """How the money had been paid; of days of ending, as others have no index in their order."""

    title = _("pay method")
    parameter_name = "method"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, method_label(code)) for code in sorted(methods())] if by_end(request) else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(attempt__method=self.value()) if self.value() else queryset


class RefundDayFilter(SerialDayFilter):
    title = _("day asked for")
    column = "requested_at"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Refund], model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        if by_end(request):
            self.in_order = False


class DoneDayFilter(MerchantDays):
    """The day it ended: what figures of money that went back count by."""

    title = _("day it ended")
    prefix = "done"
    column = exact = "finished_at"
    default_days = None


class RefundChangeList(KeysetChangeList):
    """Reads what stands beside the page's refunds once for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = self._rows(request)
        facts = facts_of(rows, reader(request))
        for row in rows:
            row.facts = facts[row.pk]
        self.result_list = rows
        self.may_decide = request.user.has_perm(APPROVE_PERMISSION) and tenant_of(request.user) is None
        self.bulk_acts = [ACTS[slug] for slug in BULK]

    def _rows(self, request: HttpRequest) -> list[Any]:
        """The page's refunds; of the work list by their keys, so that only these are joined with what they need."""
        own = mine(request.user) if opens_on_work(request) and keys_of(self.queryset) is None else None
        if own is None:
            return list(self.result_list)
        place: Any = self.result_list.query  # type: ignore[attr-defined]
        ids = ids_between(self.queryset, own, place.low_mark, place.high_mark or self.result_count)
        found = self.queryset.order_by().in_bulk(ids)
        return [found[pk] for pk in ids if pk in found]


class RefundListing(ReadOnlyAdmin):
    """Columns, filters and search of the list."""

    empty_text = _("No refund waits. Refunds begin on a trade's page, or in the app that took the payment.")
    tenant_keys = {"merchant": "merchant_id", "app": "app_id"}
    list_filter = [
        StateFilter, MerchantFilter, AppFilter, RefundDayFilter, DoneDayFilter, CurrencyFilter, "kind", "route",
        RefundMethodFilter,
    ]  # fmt: skip
    list_filter_sheet = True
    list_display_links = None
    paginator = BoundedPaginator
    search_fields = ["refund_no"]
    search_help_text = _("Any number of the refund or its trade, or phone tail")
    export_columns = columns(
        (_("refund number"), lambda r: r.refund_no), (_("app's refund number"), lambda r: r.app_refund_no),
        (_("trade number"), lambda r: r.trade.trade_no), (_("app order number"), lambda r: r.trade.app_order_no),
        (_("merchant"), lambda r: r.merchant.name), (_("app"), lambda r: r.app.name),
        (_("currency"), lambda r: r.currency), (_("amount"), lambda r: major(r.amount, r.currency)),
        (_("reason"), lambda r: reason_word(r.reason)), (_("kind"), lambda r: str(r.get_kind_display())),
        (_("route"), lambda r: str(r.get_route_display())), (_("asked for by"), lambda r: str(r.get_source_display())),
        (_("state"), lambda r: str(r.get_state_display())),
        (_("channel's refund number"), lambda r: r.channel_refund_no),
        (_("asked for at"), lambda r: moment(r.requested_at)), (_("approved at"), lambda r: moment(r.approved_at)),
        (_("finished at"), lambda r: moment(r.finished_at)),
    )  # fmt: skip
    list_after_template = "admin/pc/refund_bulk.html"

    class Media:
        js = ("admin-brand/worklist.js",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return RefundChangeList

    def get_list_display(self, request: HttpRequest) -> list[str]:
        columns = ["amount_label", "age", "state_label", "reason_label", "trade_label", "payer"]
        if tenant_of(request.user) is not None:
            return columns
        pick = ["pick"] if request.user.has_perm(APPROVE_PERMISSION) else []
        return [*pick, *columns, "approvals_label", "hints_label"]

    def get_ordering(self, request: HttpRequest) -> Any:
        if by_end(request):
            return ["-finished_at", "-id"]
        return [*mine_first(request.user), *OLDEST] if opens_on_work(request) else ["-id"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related(*_RELATED).defer(*_HEAVY)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return (queryset.filter(pk__in=refund_ids(search_term)) if search_term.strip() else queryset), False

    @display(description=_("select"))
    def pick(self, obj: Refund) -> str:
        return format_html(
            '<input type="checkbox" class="pc-pick" data-pick value="{}:{}" data-amount="{}" data-state="{}" '
            'aria-label="{}">',
            obj.pk, obj.amount, money(obj.amount, obj.currency), obj.state,
            gettext("Select refund %(number)s") % {"number": obj.refund_no},
        )  # fmt: skip

    @display(description=_("amount"))
    def amount_label(self, obj: Refund) -> str:
        return format_html(
            '<a class="pc-row-link" href="{}"><b class="nw">{}</b><br>{}</a>',
            reverse("admin:refunds_refund_change", args=[obj.pk]), money(obj.amount, obj.currency),
            _short(obj.refund_no, "pc-sub"),
        )  # fmt: skip

    @display(description=_("age"))
    def age(self, obj: Refund) -> str:
        hours = (timezone.now() - obj.requested_at).total_seconds() / 3600
        old = hours >= OLD_HOURS and obj.state in (RefundState.PENDING_APPROVAL, RefundState.ON_HOLD)
        return format_html(
            '<time datetime="{}" title="{}" class="nw {}">{}</time>', obj.requested_at.isoformat(),
            timezone.localtime(obj.requested_at).strftime("%Y-%m-%d %H:%M:%S"), "pc-old" if old else "",
            timesince(obj.requested_at, depth=1),
        )  # fmt: skip

    @display(description=_("state"))
    def state_label(self, obj: Refund) -> str:
        because = reason_word(obj.held_because or (obj.error_message if obj.state == RefundState.FAILED else ""))
        if obj.needs_attention:
            because = gettext("stuck at the channel")
        return format_html("<div>{}{}</div>", refund_chip(obj), _under(because[:80]))

    @display(description=_("reason"))
    def reason_label(self, obj: Refund) -> str:
        words = [obj.get_source_display(), *([obj.get_kind_display()] if obj.abnormal_id else [])]
        said = _under(" · ".join(map(str, words)))
        return format_html('<div class="pc-roomy">{}{}</div>', reason_word(obj.reason), said)

    @display(description=_("trade"))
    def trade_label(self, obj: Refund) -> str:
        return format_html(
            '<div><a class="text-primary-700 dark:text-primary-400" href="{}">{}</a>{}</div>',
            reverse("admin:trades_trade_change", args=[obj.trade_id]), _short(obj.trade.trade_no),
            _under(obj.merchant.short_name or obj.merchant.name),
        )  # fmt: skip

    @display(description=_("payer, earlier refunds"))
    def payer(self, obj: Refund) -> str:
        facts = obj.facts  # type: ignore[attr-defined]
        values = {"n": facts.earlier_count, "money": money(facts.earlier_sum, obj.currency)}
        earlier = gettext("%(n)d earlier, %(money)s") % values if facts.earlier_count else ""
        return format_html('<div><span class="nw">{}</span>{}</div>', payer_mask(obj), _under(earlier))

    @display(description=_("approvals"))
    def approvals_label(self, obj: Refund) -> str:
        facts = obj.facts  # type: ignore[attr-defined]
        if not obj.approvals_needed:
            return "–"
        return format_html(
            '<div><span class="nw">{}</span>{}</div>', f"{facts.given}/{obj.approvals_needed}",
            format_html('<br>{}', chip(_("waits for you"), "info")) if facts.mine else "",
        )  # fmt: skip

    @display(description=_("look twice"))
    def hints_label(self, obj: Refund) -> str:
        hints = obj.facts.hints  # type: ignore[attr-defined]
        rows = ((hint.text, hint.short) for hint in hints)
        chips = format_html_join(" ", '<span class="pc-chip warn" title="{}">{}</span>', rows)
        return format_html('<div class="pc-hints">{}</div>', chips) if chips else "–"


def payer_mask(refund: Refund) -> str:
    """`•••• 4321`; a dash where nobody knows the payer's phone."""
    tail = refund.trade.phone_tail
    return f"•••• {tail}" if tail else "–"


def refund_chip(refund: Refund) -> str:
    """The state in words, coloured; a payout by hand says what it waits for."""
    if refund.route != RefundRoute.ORIGINAL and refund.state == RefundState.PROCESSING:
        return chip(gettext("payout to check"), "warn")
    if refund.route != RefundRoute.ORIGINAL and refund.state == RefundState.APPROVED:
        return chip(gettext("to be paid out"), "warn")
    return state_chip(refund)


def _short(number: str, css: str = "") -> str:
    """A long number by its beginning and end; whole in its title."""
    text = f"{number[0]}…{number[-6:]}" if len(number) > 18 else number
    return format_html('<span class="pc-mono nw {}" title="{}">{}</span>', css, number, text)


def _under(text: Any) -> Any:
    return format_html('<div class="pc-sub">{}</div>', text) if text else ""
