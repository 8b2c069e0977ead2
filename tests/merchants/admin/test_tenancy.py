"""Staff of tenant B get nothing of tenant A, on any address of the admin, whatever page is added later.

The walk takes every URL pattern of the admin site, fills its arguments with A's objects, and opens it
with GET and POST. Nothing is listed by hand, so a new page is walked by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from cashier.models import PrintedCode
from merchants import services
from merchants.changes import account_change_request
from merchants.models import App, CashierMethod, ChangeRequest, Merchant, PaymentAccount, User
from notifications.models import Alert, AlertRoute, AlertRule, BacklogLimit, Delivery, Notification
from onboarding.models import Application, ApplicationDocument
from paycenter.models import AuditVerification, Event, Exchange, ListExport, RetrySchedule, SavedView
from paycenter.staff.tenancy import TenantAdmin
from reconciliation.models import (
    BankProfile,
    Bill,
    Case,
    FeeRate,
    ReconciliationDay,
    SettlementBatch,
    SettlementCalendar,
    SettlementTerms,
)
from refunds.admin.acts import ACTS
from refunds.models import Approval, Payout, Refund, RefundPolicy
from tests import factories
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.admin_pages import addresses, model_of
from tests.fakes.staff import make_staff, signed_in
from trades.contracts.models import Contract
from trades.models import AbnormalPayment, Attempt, ChannelHealth, Trade

# Words that only A's records contain; any of them in an answer to B is a leak.
MARK = "ALPHA-SECRETIVE"
OWN_PAGES = {"logout", "jsi18n", "set_language", "password_change", "password_change_done", "security_recovery",
             "security_remove"}  # fmt: skip


@dataclass
class Tenants:
    """A's records by model, and the staff of B."""

    records: dict[type[Model], Model]
    merchant_b: User
    app_b: User


def make_reconciled(world: World, attempt: Attempt) -> list[Model]:
    """A's bills, differences and settlements, and what is set for them."""
    account, now = world.account, timezone.now()
    day = now.date()
    bill = Bill.objects.create(account=account, day=day, file_name=MARK)
    case = Case.objects.create(
        account=account, app=world.app, day=day, subject="payment", kind="amount", key=MARK, bill=bill, currency="CNY",
        difference=1, trade_no=attempt.trade.trade_no, opened_at=now, evidence={"ours": {"state": MARK}},
    )  # fmt: skip
    batch = SettlementBatch.objects.create(
        batch_no=f"S{MARK}", account=account, date=day, currency="CNY", first_day=day, last_day=day, reason=MARK
    )
    return [
        bill, case, batch, ReconciliationDay.objects.create(account=account, day=day),
        SettlementTerms.objects.create(account=account), SettlementCalendar.objects.create(name=MARK),
        FeeRate.objects.create(account=account, method=MARK, from_day=day),
        BankProfile.objects.create(name=MARK, date_column="a", amount_column="b", reference_column="c"),
    ]  # fmt: skip


@pytest.fixture
def tenants(world: World) -> Tenants:
    Merchant.objects.filter(pk=world.merchant.pk).update(name=f"{MARK} merchant", short_name=MARK, note=MARK)
    App.objects.filter(pk=world.app.pk).update(name=f"{MARK} app", notify_url=f"https://{MARK}.example/n")
    PaymentAccount.objects.filter(pk=world.account.pk).update(name=f"{MARK} account")
    attempt = factories.trade_pay(app=world.app, order=world.order(app_order_no=MARK, subject=MARK), method="fake_qr")
    now = timezone.now()
    factories.make_cashier_methods(world.app, world.account, "fake_qr")
    abnormal = AbnormalPayment.objects.create(
        trade=attempt.trade, attempt=attempt, account=world.account, kind="late", state="open", amount=100,
        currency="CNY", channel_trade_no=MARK, created_at=now,
    )  # fmt: skip
    notification = Notification.objects.create(
        webhook_id="msg_a", app=world.app, type="trade.paid", url=f"https://{MARK}.example/", body=MARK,
        trade_no=attempt.trade.trade_no, created_at=now,
    )  # fmt: skip
    delivery = Delivery.objects.create(notification=notification, number=1, started_at=now, response=MARK)
    alert = Alert.objects.create(kind="x", key="x", title=MARK, created_at=now, last_at=now)
    exchange = Exchange.objects.create(
        created_at=now, direction="in", peer=f"app:{world.app.app_id}", operation=MARK, method="POST", url="/",
        request=MARK, trade_no=attempt.trade.trade_no,
    )  # fmt: skip
    boss = make_staff("operator", first_name=MARK)
    change = account_change_request(
        account=world.account, config={"merchant": "fake-merchant", "secret": "n"}, user=boss, reason=MARK
    )
    code = PrintedCode.objects.create(app=world.app, merchant=world.merchant, title=MARK)
    other = factories.make_merchant()
    other_app = factories.make_app(other)
    factories.make_account(other)
    route = AlertRoute.objects.create(name=MARK, url="https://robot.example/", secret="SEC")
    contract = Contract.objects.create(
        contract_no=f"C{MARK}", app=world.app, merchant=world.merchant, account=world.account, channel="fakepay",
        method="fake_qr", app_contract_no=MARK, created_at=now,
    )  # fmt: skip
    health, _made = ChannelHealth.objects.get_or_create(account=world.account)
    refund = make_refund(attempt, world)
    policy = RefundPolicy.objects.create(app=world.app, merchant=world.merchant)
    found = [
        *make_reconciled(world, attempt), make_application(world), route, health, contract, refund, policy,
        world.merchant, world.app, world.account, attempt, attempt.trade, abnormal, notification, delivery,
        alert, exchange, boss, change, code, CashierMethod.objects.get(), Event.objects.first(),
        RetrySchedule.objects.get_or_create(name="query", defaults={"delays": [5]})[0],
        ListExport.objects.create(owner=boss, page="trades.trade", query=MARK, kind="csv", language="en",
                                  created_at=now),
        AuditVerification.objects.create(started_at=now, finished_at=now, by=MARK),
        AlertRule.objects.get_or_create(kind="security")[0],
        BacklogLimit.objects.get_or_create(name="query", defaults={"seconds": 60})[0],
        ListExport.objects.create(
            owner=boss, page="trades.trade", query=f"q={MARK}", kind="csv", language="en", reader="boss", created_at=now
        ),
    ]  # fmt: skip
    return Tenants(
        {type(r): r for r in found if r is not None},
        make_staff("merchant", merchant=other), make_staff("app", app=other_app),
    )  # fmt: skip


def make_application(world: World) -> Application:
    """A's application, with a document that lies there to be fetched."""
    application = Application.objects.create(merchant=world.merchant, saves={"company": {"by": MARK, "at": ""}})
    application.facts = {"company": {"registered_address": MARK}}
    application.save()
    ApplicationDocument.objects.create(
        application=application, kind="licence", path="aa/none.png", name=MARK, sha256=MARK, size=1,
        uploaded_by=make_staff("operator", username="uploader"), uploaded_at=timezone.now(),
    )  # fmt: skip
    return application


def make_refund(attempt: Attempt, world: World) -> Refund:
    """A refund of A's money, with a payout whose voucher lies there to be fetched."""
    refund = Refund.objects.create(
        refund_no=f"R{MARK}", channel_request_no=f"R{MARK}", app=world.app, merchant=world.merchant,
        trade=attempt.trade, attempt=attempt, account=world.account, channel="fakepay", app_refund_no=MARK, amount=1,
        requested_amount=1, currency="CNY", reason=MARK, type="partial", kind="business", route="manual",
        source="api", requested_at=timezone.now(), approvals_needed=1,
    )  # fmt: skip
    Payout.objects.create(
        refund=refund, reference=MARK, paid_on=timezone.localdate(), voucher="aa/none.png", voucher_name=MARK,
        entered_by=make_staff("finance", first_name=MARK), entered_at=timezone.now(), payee={"name": MARK},
    )  # fmt: skip
    return refund


POLICY = {"automatic_up_to": "1.00", "one_approval_up_to": "2.00", "daily_ceiling": "", "approver_roles": "finance",
          "approval_hours": "1", "window_days": "1", "spacing_seconds": "0", "late_payment": "ask",
          "duplicate_payment": "ask", "wrong_payment": "ask", "abnormal_automatic_up_to": "0"}  # fmt: skip
def urls_of(tenants: Tenants) -> list[str]:
    """Every address of the admin with A's objects in it."""
    words = {"app_pk": tenants.records[App].pk, "merchant_pk": tenants.records[Merchant].pk,
             "payout_id": Payout.objects.values_list("pk", flat=True)[0],
             "view_id": SavedView.objects.create(
                 owner=tenants.records[User], page="trades.trade", name=MARK, created_at=timezone.now()
             ).pk,
             "document_id": ApplicationDocument.objects.values_list("pk", flat=True)[0], "step": "company",
             "place": "account-1", "number": 1}  # fmt: skip
    records = {model: [record] for model, record in tenants.records.items()}
    return sorted(set(addresses(records, words, without=OWN_PAGES)))


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


@pytest.mark.parametrize("who", ["merchant_b", "app_b"])
def test_no_address_answers_with_anything_of_another_tenant(tenants: Tenants, who: str) -> None:
    client = signed_in(getattr(tenants, who))
    number = tenants.records[Trade].trade_no  # type: ignore[attr-defined]
    urls = urls_of(tenants)
    assert len(urls) > 60
    for url in urls:
        record = model_of(url) and tenants.records.get(model_of(url))  # type: ignore[arg-type]
        answer = client.get(url, {"q": number, "merchant": str(tenants.records[Merchant].pk), "channel": "fakepay"})
        assert answer.status_code in (200, 302, 403, 404, 405), url
        assert MARK not in answer.content.decode(), url
        forwards = answer.status_code == 302 and answer["Location"] == f"{url}change/"  # decided there
        if record is not None and f"/{record.pk}/" in url and not forwards:
            assert answer.status_code in (403, 404, 405), f"{url} answered {answer.status_code}"


@pytest.mark.parametrize("who", ["merchant_b", "app_b"])
def test_no_post_changes_anything_of_another_tenant(tenants: Tenants, who: str) -> None:
    client = signed_in(getattr(tenants, who))
    before = snapshot()
    for url in urls_of(tenants):
        if model_of(url) is None and url not in ("/admin/search/", "/admin/autocomplete/"):
            continue
        data = {"reason": "because", "shown": f"{tenants.records[PaymentAccount].pk}-fake_qr",
                "action": "delete_selected", "_selected_action": "1", "methods": "", "title": "x",
                "merchant": tenants.records[Merchant].pk,
                "app": tenants.records[App].pk, "currency": "CNY", "name": "x", "amount": "1", "decision": "approve",
                "refund": f"{tenants.records[Refund].pk}:1", "route": "original",
                "version": fresh(tenants.records[AbnormalPayment]).version, **POLICY}  # fmt: skip
        assert client.post(url, data).status_code in (200, 302, 403, 404, 405), url
    assert snapshot() == before


def snapshot() -> dict[str, Any]:
    models = (Merchant, App, PaymentAccount, Trade, Attempt, AbnormalPayment, Notification, ChangeRequest,
              CashierMethod, PrintedCode, RetrySchedule, Alert, Refund, Approval, Payout, RefundPolicy, Bill,
              ReconciliationDay, Case, SettlementBatch, SettlementTerms, FeeRate, SettlementCalendar,
              BankProfile, Application, ApplicationDocument)  # fmt: skip
    return {m.__name__: list(m.objects.order_by("pk").values()) for m in models}


@pytest.mark.parametrize("who", ["merchant_b", "app_b"])
def test_autocomplete_gives_no_names_of_another_tenant(tenants: Tenants, who: str) -> None:
    client = signed_in(getattr(tenants, who))
    for model in admin.site._registry:
        for field in model._meta.fields:
            if not field.is_relation:
                continue
            query = {"term": "ALPHA", "app_label": model._meta.app_label, "model_name": model._meta.model_name,
                     "field_name": field.name}  # fmt: skip
            answer = client.get("/admin/autocomplete/", query)
            assert MARK not in answer.content.decode()


def test_filters_never_offer_another_tenants_names(tenants: Tenants) -> None:
    for user in (tenants.merchant_b, tenants.app_b):
        for place in ("trades/trade/", "trades/abnormalpayment/", "cashier/printedcode/", "cashier/printedcode/add/"):
            assert MARK not in signed_in(user).get(f"/admin/{place}").content.decode()


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
    before = snapshot()
    data = {"reason": "because", "amount": "1", "decision": "approve", "refund": f"{refund.pk}:1"}
    for view in ("bulk", *(f"{refund.pk}/{v}" for v in ("ask", "amount", "payout", *(f"act/{a}" for a in ACTS)))):
        assert client.post(f"/admin/refunds/refund/{view}/", data).status_code in (200, 302), view
    assert snapshot() == before
