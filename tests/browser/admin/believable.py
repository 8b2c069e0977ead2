"""A property company's days as its staff meet them: something on every page, in the states that need somebody."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone

from cashier.models import PrintedCode
from channels.base.bills import BillKind
from dashboards.keeping import fold_events
from merchants.changes import account_change_request
from merchants.models import App, Merchant, PaymentAccount, User
from notifications.models import Alert, AlertRoute, AlertRule, BacklogLimit, Delivery, Notification
from onboarding.models import Application, ApplicationDocument, ApplicationVersion
from onboarding.services import DOCUMENTS
from onboarding.versions import snapshot_of
from paycenter.models import AuditVerification, RetrySchedule
from paycenter.sequencer import sequence_events
from reconciliation import cases, files
from reconciliation.bills import bill_import, bill_upload
from reconciliation.models import BankProfile, Bill, Case, FeeRate, ReconciliationDay
from reconciliation.reconciling import day_match
from reconciliation.settlement.batches import batches_refresh_live
from reconciliation.settlement.models import SettlementCalendar, SettlementTerms
from reconciliation.settlement.receipts import receipts_import
from refunds import approvals
from refunds.models import Refund, RefundPolicy
from refunds.services import RefundRequest, refund_request_by_app
from tests import factories
from tests.conftest import World
from tests.fakes import bills
from tests.fakes.staff import make_staff
from tests.onboarding.company import FACTS, PNG
from tests.refunds.paying import paid_twice
from tests.refunds.test_abnormal import late_money
from trades.contracts.models import Contract
from trades.models import Attempt, ChannelHealth, Trade
from trades.querying import attempt_query

HOUSES = (("阳光花园 3-1-802 物业费", 128_850), ("阳光花园 7-2-301 物业费", 264_000), ("车位 B2-117 年费", 360_000),
          ("9月水费 5-1-1203", 8_640), ("装修押金 12-3-501", 200_000), ("电费 2-2-604", 15_275))  # fmt: skip


def furnish(world: World) -> User:
    """Fill every page; answers the finance clerk who asked for what waits for a second person."""
    ann, bob = (make_staff("finance", username=name, first_name=first)
                for name, first in (("wang.li", "王丽"), ("chen.jing", "陈静")))  # fmt: skip
    _name(world)
    _configuration(world, ann)
    _applications(world)
    for days in (4, 3, 2):
        _day(world, timezone.localdate() - timedelta(days=days), planted=days == 3)
    _other_bills(world)
    _cases(ann, bob)
    _bank(world)
    _refunds(world, ann)
    late_money(world)
    paid_twice(world, 58_800)
    _messages(world)
    sequence_events()
    fold_events()
    return ann


def _name(world: World) -> None:
    Merchant.objects.filter(pk=world.merchant.pk).update(
        name="阳光物业服务有限公司", short_name="阳光物业", contact_name="李主任", contact_phone="010-88886666"
    )
    App.objects.filter(pk=world.app.pk).update(name="业主之家 App")
    PaymentAccount.objects.filter(pk=world.account.pk).update(name="阳光物业 · 基本户")


def _configuration(world: World, ann: User) -> None:
    account = world.account
    factories.make_cashier_methods(world.app, account)
    PrintedCode.objects.create(app=world.app, merchant=world.merchant, title="前台缴费码")
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, automatic_up_to=1000)
    FeeRate.objects.create(account=account, from_day=date(2026, 1, 1), ppm=6000)
    calendar = SettlementCalendar.objects.create(name="中国大陆 2026", holidays=["2026-10-01"], workdays=["2026-10-10"])
    SettlementTerms.objects.create(account=account, working_days=False, calendar=calendar)
    BankProfile.objects.create(name="招商银行", date_column="日期", amount_column="金额", reference_column="流水号",
                               purpose_column="摘要", senders={"支付渠道": account.payment_no})  # fmt: skip
    AlertRoute.objects.create(name="财务群", url="https://robot.example/", secret="SEC")
    ChannelHealth.objects.get_or_create(account=account)
    RetrySchedule.objects.get_or_create(name="query", defaults={"delays": [5, 15, 60]})
    account_change_request(account=account, config={"merchant": "fake-merchant", "secret": "another-secret"}, user=ann,
                           reason="channel asked for new keys")  # fmt: skip
    Contract.objects.create(contract_no="C202611260001", app=world.app, merchant=world.merchant, account=account,
                            channel="fakepay", method="fake_qr", app_contract_no="DK-3-1-802",
                            created_at=timezone.now())  # fmt: skip
    other = factories.make_merchant(name="万和物业管理有限公司", short_name="万和物业", state="review")
    factories.make_account(other, channel="alipay", config={}, state="draft", name="万和 · 支付宝")


def _applications(world: World) -> None:
    """One that was approved long ago, and one that waits."""
    reviewer = make_staff("operator", username="liu.yang")
    for merchant in (world.merchant, Merchant.objects.get(name="万和物业管理有限公司")):
        owner = make_staff("owner", merchant=merchant, username=f"owner.{merchant.pk}")
        application = Application(merchant=merchant)
        application.facts = {code: dict(values) for code, values in FACTS.items()}
        application.save()
        file = DOCUMENTS.store(name="营业执照.png", chunks=[PNG])
        ApplicationDocument.objects.create(
            application=application, kind="licence", path=file.path, name=file.name, sha256=file.sha256,
            size=file.size, uploaded_by=owner, uploaded_at=timezone.now(),
        )  # fmt: skip
        version = ApplicationVersion(
            application=application, number=1, submitted_by=owner, submitted_at=timezone.now()
        )
        version.snapshot = snapshot_of(application, merchant)
        if merchant == world.merchant:
            version.outcome, version.decided_by, version.decided_at = "approved", reviewer, timezone.now()
        version.save()


def _pay(world: World, subject: str, amount: int, at: datetime) -> Attempt:
    order = world.order(amount=amount, subject=subject, payer={"phone": "13800004321"})
    attempt = factories.trade_pay(app=world.app, order=order, method="fake_qr")
    world.book.pay(attempt.channel_order_no, at=at)
    attempt_query(attempt_id=attempt.pk, actor="schedule")
    return Attempt.objects.select_related("trade").get(pk=attempt.pk)


def _row(attempt: Attempt, **changed: Any) -> dict[str, Any]:
    amount = attempt.paid_amount or 0
    values = {"order_no": attempt.channel_order_no, "channel_trade_no": attempt.channel_trade_no, "amount": amount,
              "at": attempt.paid_at.isoformat(), "fee": (amount * 6 + 500) // 1000}  # fmt: skip
    return bills.line(**{**values, **changed})


def _day(world: World, day: date, *, planted: bool) -> None:
    """A day's payments and its bill; `planted`: with one difference of each kind."""
    noon = timezone.make_aware(datetime(day.year, day.month, day.day, 12))
    paid = [_pay(world, subject, amount, noon + timedelta(minutes=7 * n)) for n, (subject, amount) in enumerate(HOUSES)]
    rows = [_row(attempt) for attempt in paid]
    if planted:
        rows[0] |= {"amount": rows[0]["amount"] - 2_000}
        rows[3] |= {"fee": rows[3]["fee"] + 30}
        rows[1] |= {"state": "failed"}
        del rows[2]
        rows.append(bills.line(order_no="20261124999001", channel_trade_no="CH20261124999001", amount=8_800, fee=53,
                               at=noon.isoformat()))  # fmt: skip
    take_in(world.account, day, bills.make(rows))
    day_match(day_id=ReconciliationDay.objects.get(account=world.account, day=day).pk)


def take_in(account: PaymentAccount, day: date, content: bytes) -> Bill:
    """Upload a bill and read it."""
    with files.scratch_file() as place:
        place.write_bytes(content)
        bill = bill_upload(account=account, day=day, kind=BillKind.TRADE, path=place, name=f"bill-{day}.jsonl",
                           actor="staff:wang.li")  # fmt: skip
    return bill_import(bill_id=bill.pk, actor="schedule")


def _other_bills(world: World) -> None:
    """Yesterday's was cut off on its way, today's is awaited."""
    today = timezone.localdate()
    take_in(world.account, today - timedelta(days=1), bills.make([bills.line(order_no="1")], end=9))
    Bill.objects.create(account=world.account, day=today, next_fetch_at=timezone.now() + timedelta(hours=18))


def _cases(ann: User, bob: User) -> None:
    """One of each state: at work, waiting for the second person, closed, reopened."""
    found = list(Case.objects.exclude(state="carried").order_by("-difference"))
    cases.case_take(case=found[0], user=ann)
    cases.case_close(case=found[0], user=ann, outcome="corrected", reason="the channel credits it tomorrow")
    cases.case_close(case=found[-1], user=bob, outcome="accepted", reason="fee rounded up by the channel")


def _bank(world: World) -> None:
    """The oldest day's money came as expected, the next day's is short."""
    batches_refresh_live()
    oldest = timezone.localdate() - timedelta(days=3)
    total = sum(amount for _subject, amount in HOUSES)
    net = total - sum((amount * 6 + 500) // 1000 for _subject, amount in HOUSES)
    lines = ["日期,流水号,金额,摘要", f"{oldest},TT20261123001,{net / 100:.2f},支付渠道 结算",
             f"{oldest + timedelta(days=2)},TT20261125001,{net / 100 - 12:.2f},支付渠道 结算"]  # fmt: skip
    with files.scratch_file() as place:
        place.write_text("\n".join(lines) + "\n")
        receipts_import(profile=BankProfile.objects.get(), path=place, actor="staff:wang.li")
    batches_refresh_live()


def _refunds(world: World, ann: User) -> None:
    trades = list(Trade.objects.filter(state="paid").order_by("pk")[:4])
    asked = [_refund(world, trade, share) for trade, share in zip(trades, (2, 1, 4, 3), strict=True)]
    approvals.refund_hold(refund=asked[1], user=ann, comment="waiting for the owner's signature")
    approvals.refund_reject(refund=asked[2], user=ann, comment="paid for the right house after all")
    approvals.refund_approve(refund=asked[3], user=ann, comment="contract seen")


def _refund(world: World, trade: Trade, share: int) -> Refund:
    request = RefundRequest(merchant_no=world.merchant.merchant_no, trade_no=trade.trade_no,
                            amount=trade.amount // share, reason="tenant moved out in October",
                            app_refund_no=f"RF-{trade.trade_no[-8:]}")  # fmt: skip
    return refund_request_by_app(app=world.app, request=request)


def _messages(world: World) -> None:
    """What was told to apps and people, and what did not arrive."""
    now = timezone.now()
    for notification in Notification.objects.order_by("pk")[:3]:
        Delivery.objects.create(notification=notification, number=1, started_at=now, elapsed_ms=84, status=502,
                                response="Bad Gateway", error="HTTP 502")  # fmt: skip
    AlertRule.objects.get_or_create(kind="give_up")
    BacklogLimit.objects.get_or_create(name="query", defaults={"seconds": 60})
    AuditVerification.objects.create(started_at=now, finished_at=now, by="staff:wang.li", ok=True, events=120)
    Alert.objects.get_or_create(kind="give_up", key="give_up:1", defaults={
        "title": "An app does not acknowledge", "text": "Twelve tries to https://app.example/notify.",
        "merchant_no": world.merchant.merchant_no, "created_at": now, "last_at": now})  # fmt: skip
