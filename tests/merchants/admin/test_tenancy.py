"""What staff of tenants see of their own, and of others nothing, where `test_strangers` does not walk by itself."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django.utils import timezone

from merchants import services
from merchants.models import CashierMethod
from paycenter.models import Event, Exchange
from paycenter.staff.tenancy import TenantAdmin
from refunds.admin.acts import ACTS
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from tests.merchants.admin.tenants import Tenants, make_refund
from tests.merchants.admin.tenants import tenants as tenants
from tests.merchants.admin.walk import OURS, snapshot


def test_every_registered_page_is_scoped_and_has_a_record_here(tenants: Tenants) -> None:
    """The walk is worth something only if each page derives from TenantAdmin and is met with a row of A."""
    for model, page in admin.site._registry.items():
        assert isinstance(page, TenantAdmin), f"{model.__name__}'s page must derive from TenantAdmin"
        assert model in tenants.records, f"give the walk a record of A for {model.__name__}"


def test_a_page_that_names_no_tenant_shows_tenants_nothing(tenants: Tenants) -> None:
    for model, page in admin.site._registry.items():
        for user in (tenants.merchant_b, tenants.app_b):
            rows = page.scope(user, model._default_manager.all())  # type: ignore[attr-defined]
            assert not rows.filter(pk=tenants.records[model].pk).exists(), model.__name__


def test_a_lookup_in_the_address_cannot_probe_another_tenant(tenants: Tenants) -> None:
    client = signed_in(tenants.merchant_b)
    probes = ("merchant__name__startswith=A", "app__webhook_secret__startswith=g", "merchant__user__password__gte=a")
    for query in probes:
        answer = client.get(f"/admin/trades/trade/?{query}")
        assert answer.status_code in (302, 400)


@pytest.mark.parametrize("role", ["operator", "auditor", "owner"])
def test_no_filter_tells_a_password_hash(role: str, world: World) -> None:
    client = signed_in(make_staff(role, **({"merchant": world.merchant} if role == "owner" else {})))
    for query in ("password__startswith=pbkdf2", "password__gt=p", "password__regex=^p", "password_history__isnull=1"):
        assert client.get(f"/admin/merchants/user/?{query}").status_code == 400, query


def own(world: World, role: str) -> Client:
    tenant = {"merchant": world.merchant} if role == "merchant" else {"app": world.app}
    return signed_in(make_staff(role, **tenant))  # type: ignore[arg-type]


def test_merchant_staff_see_their_own(world: World) -> None:
    trade = factories.trade_pay(app=world.app, order=world.order(), method="fake_qr").trade
    client = own(world, "merchant")
    for url in (
        "/admin/", "/admin/trades/trade/", f"/admin/trades/trade/{trade.pk}/change/",
        f"/admin/merchants/merchant/{world.merchant.pk}/change/",
        f"/admin/merchants/paymentaccount/{world.account.pk}/change/",
    ):  # fmt: skip
        assert client.get(url).status_code == 200, url
    assert trade.trade_no in client.get("/admin/trades/trade/").content.decode()


def test_merchant_staff_see_neither_exchanges_nor_names_of_staff(world: World) -> None:
    trade = factories.trade_pay(app=world.app, order=world.order(), method="fake_qr").trade
    Event.objects.create(
        type="trade.noted", created_at=timezone.now(), object_type="trade", object_id=trade.pk,
        trade_no=trade.trade_no, actor="staff:wang.li",
    )  # fmt: skip
    Exchange.objects.create(
        created_at=timezone.now(), direction="out", peer="channel:fakepay", operation="pay", method="POST",
        url="https://channel.example/", request="private-payload", trade_no=trade.trade_no,
    )  # fmt: skip
    page = own(world, "merchant").get(f"/admin/trades/trade/{trade.pk}/change/").content.decode()
    assert "private-payload" not in page
    assert "wang.li" not in page
    page = signed_in(make_staff("service")).get(f"/admin/trades/trade/{trade.pk}/change/").content.decode()
    assert "private-payload" in page
    assert "wang.li" in page


def test_app_staff_configure_their_own_cashier_only(world: World) -> None:
    client = own(world, "app")
    url = f"/admin/merchants/cashiermethod/configure/{world.app.pk}/{world.merchant.pk}/"
    key = f"{world.account.pk}-fake_page"
    assert client.get(url).status_code == 200
    factories.make_cashier_methods(world.app, world.account, "fake_qr", "fake_page")
    assert client.post(url, {"shown": key, f"position-{key}": "1"}).status_code == 302
    assert CashierMethod.objects.get(app=world.app).method == "fake_page"
    assert client.post(f"/admin/merchants/app/{world.app.pk}/details/", {"name": "x"}).status_code == 403
    assert client.get(f"/admin/merchants/paymentaccount/{world.account.pk}/change/").status_code in (403, 404)


def test_history_tells_tenants_what_was_done_but_not_by_whom_of_our_staff(world: World) -> None:
    services.merchant_update(merchant=world.merchant, values={"contact_name": "Li"}, actor="staff:wang.fang")
    url = f"/admin/merchants/merchant/{world.merchant.pk}/change/"
    theirs = signed_in(make_staff("merchant", merchant=world.merchant)).get(url).content.decode()
    assert "Details changed" in theirs
    assert "wang.fang" not in theirs
    assert "Staff wang.fang" in signed_in(make_staff("auditor")).get(url).content.decode()


@pytest.mark.parametrize("role", ["merchant", "app"])
def test_tenants_see_their_own_refunds_and_do_nothing_with_them(world: World, role: str) -> None:
    attempt = factories.trade_pay(app=world.app, order=world.order(), method="fake_qr")
    refund, client = make_refund(attempt, world), own(world, role)
    assert refund.refund_no in client.get("/admin/refunds/refund/").content.decode()
    page = client.get(f"/admin/refunds/refund/{refund.pk}/change/").content.decode()
    assert refund.refund_no in page
    assert "finance" not in page
    assert "<dialog" not in page
    before = snapshot(OURS)
    data = {"reason": "because", "amount": "1", "decision": "approve", "refund": f"{refund.pk}:1"}
    for view in ("bulk", *(f"{refund.pk}/{v}" for v in ("ask", "amount", "payout", *(f"act/{a}" for a in ACTS)))):
        assert client.post(f"/admin/refunds/refund/{view}/", data).status_code in (200, 302), view
    assert snapshot(OURS) == before
