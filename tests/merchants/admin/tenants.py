"""Tenant A with a record on every page of the admin, and the staff of tenant B."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.db.models import Model
from django.utils import timezone

from cashier.models import PrintedCode
from merchants.changes import account_change_request
from merchants.models import App, CashierMethod, Merchant, PaymentAccount, User
from merchants.offer_changes import cashier_methods_change
from merchants.people.services import factor_reset_request
from notifications.models import Alert, AlertRoute, AlertRule, BacklogLimit, Delivery, Notification
from onboarding.models import Application, ApplicationDocument
from paycenter.models import AuditVerification, Event, Exchange, ListExport, RetrySchedule, SavedView
from reconciliation.models import (
    BankProfile,
    Bill,
    BillRow,
    Case,
    FeeRate,
    ReconciliationDay,
    SettlementBatch,
    SettlementCalendar,
    SettlementTerms,
)
from refunds.models import Payout, Refund, RefundPolicy
from tests import factories
from tests.conftest import World
from tests.fakes.admin_pages import addresses
from tests.fakes.staff import make_staff
from trades.contracts.models import Contract
from trades.models import AbnormalPayment, Attempt, ChannelHealth

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
    row = BillRow.objects.create(
        bill=bill, line=2, account=account, kind="payment", state="succeeded", key=MARK, amount=1, currency="CNY",
        occurred_at=now, order_no=MARK,
    )  # fmt: skip
    return [
        bill, row, case, batch, ReconciliationDay.objects.create(account=account, day=day),
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
    drafts = make_drafts(world)
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
        *make_reconciled(world, attempt), make_application(world), ApplicationDocument.objects.get(), route, health,
        contract, refund, Payout.objects.get(), policy,
        world.merchant, world.app, world.account, attempt, attempt.trade, abnormal, notification, delivery,
        alert, exchange, boss, change, *drafts, code, CashierMethod.objects.get(), Event.objects.first(),
        RetrySchedule.objects.get_or_create(name="query", defaults={"delays": [5]})[0],
        ListExport.objects.create(owner=boss, page="trades.trade", query=MARK, kind="csv", language="en",
                                  created_at=now),
        SavedView.objects.create(owner=boss, page="trades.trade", name=MARK, created_at=now),
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


def make_drafts(world: World) -> list[Model]:
    """What A's own people asked for: the owner a reset for a clerk, the business line a further method."""
    owner = make_staff("owner", merchant=world.merchant, username=f"{MARK}-owner")
    clerk = make_staff("merchant", merchant=world.merchant, username=f"{MARK}-clerk")
    line = make_staff("app", app=world.app, username=f"{MARK}-line")
    chosen = [(world.account, "fake_qr"), (world.account, "fake_page")]
    draft = cashier_methods_change(app=world.app, merchant=world.merchant, methods=chosen, user=line, reason=MARK)
    return [factor_reset_request(person=clerk, by=owner, reason=MARK), *([draft] if draft else [])]


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


def urls_of(tenants: Tenants) -> list[str]:
    """Every address of the admin with A's objects in it."""
    words = {"app_pk": tenants.records[App].pk, "merchant_pk": tenants.records[Merchant].pk,
             "payout_id": tenants.records[Payout].pk, "view_id": tenants.records[SavedView].pk,
             "document_id": tenants.records[ApplicationDocument].pk, "step": "company",
             "place": "account-1", "number": 1}  # fmt: skip
    records = {model: [record] for model, record in tenants.records.items()}
    return sorted(set(addresses(records, words, without=OWN_PAGES)))
