"""Staff of another merchant or app get nothing of A through anything the admin answers to, and change nothing.

Pages that leak on purpose, planted into the site, show that the walk would notice.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from unfold.admin import TabularInline

from merchants.admin.merchant import MerchantAdmin
from merchants.models import CashierMethod, Merchant, PaymentAccount
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from tests.merchants.admin.tenants import MARK, Tenants
from tests.merchants.admin.tenants import tenants as tenants
from tests.merchants.admin.walk import OURS, Records, Visit, Walk, snapshot
from trades.admin.abnormal import AbnormalPaymentAdmin
from trades.admin.trade import TradeAdmin
from trades.models import AbnormalPayment, Trade

NUMBERS = ("merchant_no", "payment_no", "app_id", "trade_no", "attempt_no", "refund_no", "contract_no", "webhook_id")


class Ground:
    """Tenant A's records, tenant B with some of its own, and everybody who may look."""

    def __init__(self, tenants: Tenants) -> None:
        self.theirs: Records = dict(tenants.records)
        clerk, app_staff = tenants.merchant_b, tenants.app_b
        merchant, app = clerk.merchant, app_staff.app
        assert merchant is not None
        assert app is not None
        owner = make_staff("owner", merchant=merchant)
        order = factories.make_order(merchant, app_order_no="OF-B")
        attempt = factories.trade_pay(app=app, order=order, method="fake_qr")
        account = PaymentAccount.objects.get(merchant=merchant)
        self.strangers = [owner, clerk, app_staff]
        self.own: Records = {type(r): r for r in (merchant, account, attempt.trade, attempt, app, clerk)}
        self.own_rows = {(r._meta.label, r.pk) for r in (*self.own.values(), *self.strangers)}
        self.root = make_staff("auditor", username="root", is_superuser=True)
        self.marks = [MARK, *self._numbers(), *self._places()]

    def _numbers(self) -> set[str]:
        found = (getattr(r, n, None) for r in self.theirs.values() for n in NUMBERS)
        return {number for number in found if isinstance(number, str) and len(number) > 3}

    def _places(self) -> list[str]:
        return [f"/{m._meta.app_label}/{m._meta.model_name}/{r.pk}/" for m, r in self.theirs.items()]

    def walk(self, own: Records, only: set[type[Model]] | None = None) -> tuple[Walk, list[Visit]]:
        walk = Walk(self.theirs, own, only)
        return walk, walk.visits(self.root, signed_in(self.root))


@pytest.fixture
def ground(tenants: Tenants) -> Ground:
    return Ground(tenants)


@pytest.mark.timeout(3600)  # some two thousand requests, three times
def test_strangers_get_nothing_and_change_nothing(ground: Ground, record_property: Any) -> None:
    walk, visits = ground.walk(ground.own)
    before, found = snapshot(OURS), []
    for user in ground.strangers:
        walk.counts.clear()
        found += [f"{user.role}: {leak}" for leak in walk.leaks(signed_in(user), visits, ground.marks)]
        record_property("summary", f"as {user.role} of B: {walk.counts.total()} requests, {dict(walk.counts)}")
        assert not found, "\n".join(found[:40])
    after = snapshot(OURS)
    assert not [key for key, row in before.items() if after.get(key) != row and key not in ground.own_rows]
    added = [(key, row) for key, row in after.items() if key not in before]
    assert not [key for key, row in added if _touches(row, ground.theirs)], "rows about A"
    assert walk.counts["address"] > 100
    assert walk.counts["form"] > 30
    assert walk.counts["link"] > 100


def _touches(row: dict[str, Any], theirs: Records) -> bool:
    own = {f"{m._meta.model_name}_id": r.pk for m, r in theirs.items()}
    return any(row.get(name) == pk for name, pk in own.items())


@pytest.fixture
def plant(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a page in place of a model's own, with the addresses it brings."""

    def put(model: type[Model], page: type[Any]) -> None:
        monkeypatch.setitem(admin.site._registry, model, page(model, admin.site))
        urls = ModuleType("planted_urls")
        urls.urlpatterns = [path("admin/", admin.site.urls)]  # type: ignore[attr-defined]
        settings.ROOT_URLCONF = urls

    return put


class Whole(TradeAdmin):
    """No defect: what the walk finds below is the defect's."""


class LeakyView(TradeAdmin):
    def get_urls(self) -> Any:
        return [path("<path:object_id>/peek/", self.admin_site.admin_view(self.peek)), *super().get_urls()]

    def peek(self, request: Any, object_id: str) -> HttpResponse:
        return HttpResponse(Trade.objects.get(pk=object_id).subject)


class LeakyList(TradeAdmin):
    def get_queryset(self, request: Any) -> Any:
        return Trade.objects.select_related("merchant", "app", "current_attempt", "settled_attempt")


class LeakySearch(TradeAdmin):
    def get_search_results(self, request: Any, queryset: Any, search_term: str) -> Any:
        return (Trade.objects.filter(subject__startswith=search_term) if search_term else queryset), False


class _EveryMerchant(admin.SimpleListFilter):
    title, parameter_name = "merchant", "of"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        return [(m.pk, m.name) for m in Merchant.objects.all()]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset


class LeakyFilter(TradeAdmin):
    list_filter = ["state", _EveryMerchant]


class LeakyAction(TradeAdmin):
    def get_actions(self, request: Any) -> Any:
        return {"tell": (type(self).tell, "tell", "Tell")}

    def tell(self, request: Any, queryset: Any) -> HttpResponse:
        chosen = request.POST.getlist("_selected_action")
        return HttpResponse(" ".join(Trade.objects.filter(pk__in=chosen).values_list("subject", flat=True)))


class LeakyExport(TradeAdmin):
    def get_urls(self) -> Any:
        return [path("export/", self.admin_site.admin_view(self.export)), *super().get_urls()]

    def export(self, request: Any) -> StreamingHttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return StreamingHttpResponse(f"{t.subject}\n" for t in Trade.objects.all())


class LeakyChoices(AbnormalPaymentAdmin):
    """The choices that another page's autocompleted field asks for."""

    def get_queryset(self, request: Any) -> Any:
        return AbnormalPayment.objects.all()


class _EveryAccount(TabularInline):  # type: ignore[misc]
    model = CashierMethod
    extra = 1

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return True

    has_view_permission = has_change_permission = has_add_permission


class LeakyInline(MerchantAdmin):
    inlines = [_EveryAccount]


@pytest.mark.parametrize("page", [LeakyView, LeakyList, LeakySearch, LeakyFilter, LeakyAction, LeakyExport])
def test_a_planted_leak_is_found(ground: Ground, plant: Any, page: type[Any]) -> None:
    assert _found_with(ground, plant, Trade, page)


def test_a_planted_inline_with_everybodys_choices_is_found(ground: Ground, plant: Any) -> None:
    assert _found_with(ground, plant, Merchant, LeakyInline)


def test_a_planted_page_without_tenant_is_found(ground: Ground, plant: Any) -> None:
    assert _found_with(ground, plant, AbnormalPayment, LeakyChoices)


def test_the_same_page_without_the_defect_is_clean(ground: Ground, plant: Any) -> None:
    assert not _found_with(ground, plant, Trade, Whole)


def _found_with(ground: Ground, plant: Any, model: type[Model], page: type[Any]) -> list[str]:
    plant(model, page)
    walk, visits = ground.walk(ground.own, {model})
    return [leak for leak in walk.leaks(signed_in(ground.strangers[0]), visits, ground.marks) if " in Visit" in leak]


def test_what_a_stranger_changes_would_be_seen(world: World, ground: Ground) -> None:
    before = snapshot(OURS)
    Trade.objects.update(subject="changed")
    assert [key for key, row in snapshot(OURS).items() if before.get(key) != row]
