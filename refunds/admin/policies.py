"""Refund policies (退款政策): per app, merchant and currency; asked for here, in effect once somebody else confirms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Page, Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from channels.base.discovery import methods
from merchants.admin.changes import waiting
from merchants.forms import ReasonForm
from merchants.models import AppMerchant, ChangeRequest
from merchants.states import ChangeState
from paycenter.errors import TransitionRefused
from paycenter.money import is_currency
from paycenter.staff.display import state_chip
from paycenter.staff.tenancy import TenantAdmin
from refunds.admin.policy_form import PolicyForm
from refunds.admin.policy_words import currency_word, differences, policy_rows, shown_currency
from refunds.models import RefundPolicy
from refunds.policies import (
    CHANGE_PERMISSION,
    POLICY_FIELDS,
    REFUND_POLICY,
    policy_change_request,
    policy_for,
    policy_values,
    scope_of,
)

_HISTORY = 20
_PER_PAGE = 30


@admin.register(RefundPolicy)
class RefundPolicyAdmin(TenantAdmin):
    tenant_keys = {"merchant": "merchant_id", "app": "app_id"}

    def get_urls(self) -> list[URLPattern]:
        wrap, pair = self.admin_site.admin_view, "pair/<int:app_pk>/<int:merchant_pk>/"
        own = [
            path(pair, wrap(self.pair_view), name=self.view_name("pair")),
            path(f"{pair}ask/", wrap(self.ask_view), name=self.view_name("ask")),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Every pair of app and merchant, with its policies or the default that applies."""
        self.require(request, "refunds.view_refundpolicy")
        search = request.GET.get("q", "").strip()
        page = Paginator(_links(search), _PER_PAGE).get_page(request.GET.get("p"))
        context = self.page_context(
            request, title=gettext("Refund policies"), rows=_list_rows(page), page_obj=page, search=search
        )
        return TemplateResponse(request, "admin/pc/policies.html", context)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """A policy is shown with the others of its pair."""
        policy = self.fetch(request, object_id)
        return HttpResponseRedirect(self._pair_url(policy))

    def pair_view(self, request: HttpRequest, app_pk: int, merchant_pk: int) -> HttpResponse:
        """What applies to one app and merchant, what waits to be confirmed, and what was before."""
        self.require(request, "refunds.view_refundpolicy")
        link = _link(app_pk, merchant_pk)
        own = list(RefundPolicy.objects.filter(app=link.app, merchant=link.merchant).order_by("currency"))
        general = policy_for(link.app, link.merchant, "")
        may_change = request.user.has_perm(CHANGE_PERMISSION)
        context = self.page_context(
            request, title=f"{link.app.name} · {link.merchant.name}", link=link, may_change=may_change,
            policies=[_card(p) for p in ([] if own and own[0].currency == "" else [general]) + own],
            pending=waiting(request, _changes(link)),
            decided=[(c, state_chip(c)) for c in _changes(link).exclude(state=ChangeState.PENDING)[:_HISTORY]],
            currencies=_other_currencies(own) if may_change else [],
            sees_changes=request.user.has_perm("merchants.view_changerequest"),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/policy_pair.html", context)

    def ask_view(self, request: HttpRequest, app_pk: int, merchant_pk: int) -> HttpResponse:
        """Ask for another policy, or for the first one of a currency. Nothing is stored before it is confirmed."""
        self.require(request, CHANGE_PERMISSION)
        link, currency = _link(app_pk, merchant_pk), request.GET.get("currency", "").upper()
        if currency and not is_currency(currency):
            raise Http404
        initial = policy_values(policy_for(link.app, link.merchant, currency))
        form = PolicyForm(request.POST or None, currency=currency, initial=initial)
        reason = ReasonForm(request.POST or None)
        if request.method == "POST" and all([form.is_valid(), reason.is_valid()]):
            change = self._ask(request, link, currency, form, reason)
            if change is not None:
                return HttpResponseRedirect(self._pair_url(link))
        context = self.page_context(
            request, title=gettext("Refund policy"), form=form, reason=reason, link=link, currency=currency,
            currency_word=currency_word(currency), shown_currency=shown_currency(currency),
            pending=waiting(request, _changes(link).filter(scope=scope_of(link.merchant, currency))),
            cancel=self._pair_url(link),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/policy_form.html", context)

    def _ask(
        self, request: HttpRequest, link: AppMerchant, currency: str, form: PolicyForm, reason: ReasonForm
    ) -> ChangeRequest | None:
        try:
            change = policy_change_request(
                app=link.app, merchant=link.merchant, currency=currency, values=form.cleaned_data,
                user=request.user, reason=reason.cleaned_data["reason"],  # type: ignore[arg-type]
            )  # fmt: skip
        except TransitionRefused as exc:
            form.add_error(None, str(exc))
            return None
        messages.success(request, gettext("Asked for. It takes effect once somebody else confirms it."))
        return change

    def _pair_url(self, record: RefundPolicy | AppMerchant) -> str:
        return reverse(f"admin:{self.view_name('pair')}", args=[record.app_id, record.merchant_id])


def _link(app_pk: int, merchant_pk: int) -> AppMerchant:
    return get_object_or_404(AppMerchant.objects.select_related("app", "merchant"), app=app_pk, merchant=merchant_pk)


def _links(search: str) -> Any:
    rows = AppMerchant.objects.select_related("app", "merchant").order_by("app__name", "merchant__name", "pk")
    if not search:
        return rows
    names = ("app__name__icontains", "app__app_id", "merchant__name__icontains", "merchant__merchant_no")
    found = Q()
    for name in names:
        found |= Q(**{name: search})
    return rows.filter(found)


def _list_rows(page: Page[AppMerchant]) -> list[dict[str, Any]]:
    """The pairs on this page with their policies; one without its own general policy has the default."""
    apps, merchants = [link.app_id for link in page], [link.merchant_id for link in page]
    kept: dict[tuple[int, int], list[RefundPolicy]] = {}
    for policy in RefundPolicy.objects.filter(app__in=apps, merchant__in=merchants).order_by("currency"):
        kept.setdefault((policy.app_id, policy.merchant_id), []).append(policy)
    pending = ChangeRequest.objects.filter(kind=REFUND_POLICY.code, state=ChangeState.PENDING, app__in=apps)
    waiting = {(app, scope.partition(" ")[0]) for app, scope in pending.values_list("app_id", "scope")}
    rows = []
    for link in page:
        own = kept.get((link.app_id, link.merchant_id), [])
        if not own or own[0].currency:
            own = [RefundPolicy(app=link.app, merchant=link.merchant), *own]
        waits = (link.app_id, link.merchant.merchant_no) in waiting
        rows.append({"link": link, "pending": waits, "policies": [_summary(policy) for policy in own]})
    return rows


def _summary(policy: RefundPolicy) -> dict[str, Any]:
    texts = dict(zip(POLICY_FIELDS, (text for _name, text in policy_rows(policy)), strict=True))
    return {"stored": policy.pk is not None, "currency": currency_word(policy.currency), **texts}


def _card(policy: RefundPolicy) -> dict[str, Any]:
    return {
        "policy": policy, "stored": policy.pk is not None, "currency": currency_word(policy.currency),
        "rows": policy_rows(policy), "versions": _versions(policy) if policy.pk else [],
    }  # fmt: skip


def _versions(policy: RefundPolicy) -> list[dict[str, Any]]:
    """Newest first: who put it into effect, why it was asked for, and what it replaced."""
    found = list(policy.history.select_related("history_user").order_by("-history_date", "-history_id")[: _HISTORY + 1])
    versions = []
    for index, version in enumerate(found[:_HISTORY]):
        earlier = found[index + 1] if index + 1 < len(found) else None
        before = _values(earlier) if earlier else {}
        after = {name: value for name, value in _values(version).items() if before.get(name, ...) != value}
        versions.append({"version": version, "rows": differences(before, after, policy.currency)})
    return versions


def _values(version: Any) -> dict[str, Any]:
    return {name: getattr(version, name) for name in POLICY_FIELDS}


def _changes(link: AppMerchant) -> Any:
    number = link.merchant.merchant_no
    rows = ChangeRequest.objects.filter(Q(scope=number) | Q(scope__startswith=f"{number} "))
    return rows.filter(app=link.app, kind=REFUND_POLICY.code).select_related("requested_by", "decided_by", "app")


def _other_currencies(own: Iterable[RefundPolicy]) -> list[str]:
    """What some pay method can charge and has no policy of its own."""
    charged = {currency for method in methods().values() for currency in method.currencies}
    return sorted(charged - {policy.currency for policy in own})
