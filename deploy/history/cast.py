"""Who takes part: merchants with accounts, the apps that collect for them, staff who decide. Through the services."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time
from random import Random
from typing import Any

from django.db import transaction
from django.utils import timezone

from channels.base.discovery import methods_of, provider_for
from deploy.history.clock import EAST, HOUR
from deploy.history.keys import CONFIGS
from merchants import services
from merchants.models import App, Merchant, PaymentAccount, Role, User
from reconciliation.models import FeeRate, SettlementTerms
from refunds.models import RefundPolicy

ACTOR = "system"
# Company, short name, share of all payments, channels.
MERCHANTS: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    ("万源物业服务集团", "万源物业", 30, ("wechat", "alipay", "unionpay", "mpgs")),
    ("锦绣家园物业管理有限公司", "锦绣家园", 22, ("wechat", "alipay", "unionpay")),
    ("绿城里物业服务有限公司", "绿城里", 17, ("wechat", "alipay")),
    ("滨江花园物业有限公司", "滨江花园", 13, ("wechat", "alipay", "mpgs")),
    ("云栖物业管理有限公司", "云栖物业", 10, ("wechat", "alipay")),
    ("安和社区服务有限公司", "安和社区", 8, ("wechat",)),
)
# Name, what is paid for, whose (by position above), share.
APPS: tuple[tuple[str, str, tuple[int, ...], int], ...] = (
    ("业主缴费小程序", "fee", (0, 1, 2, 3, 4, 5), 45), ("智慧停车", "parking", (0, 1, 3), 35),
    ("水电代收", "utility", (0, 2, 4), 15), ("海外业主门户", "overseas", (0, 3), 5),
)  # fmt: skip
STAFF: tuple[tuple[str, Role], ...] = (
    ("demo-finance-1", Role.FINANCE), ("demo-finance-2", Role.FINANCE), ("demo-operator", Role.OPERATOR),
)
PPM = {"wechat": 6000, "alipay": 5500, "unionpay": 6000, "mpgs": 25000}
# Where a channel's day begins, as microseconds before midnight in the merchants' zone.
EARLY = {"unionpay": HOUR}
_SHARES = {"wechat": 55, "alipay": 33, "unionpay": 8, "mpgs": 4}
_METHOD_SHARES = {
    "wechat_mini": 40, "wechat_jsapi": 25, "wechat_native": 15, "wechat_h5": 12, "alipay_wap": 40, "alipay_qr": 30,
    "alipay_page": 15, "unionpay_qr": 60, "unionpay_wap": 25, "mpgs_checkout": 100,
}  # fmt: skip
_NEVER = ("wechat_deduct", "alipay_deduct")  # they need a contract each


@dataclass(frozen=True, slots=True)
class Way:
    """How a payer pays: an account and one of its methods."""

    account_id: int
    channel: str
    method: str


@dataclass(frozen=True, slots=True)
class Line:
    """One app collecting for one merchant. `ways` holds each as often as it is chosen."""

    app_pk: int
    app_id: str
    merchant_pk: int
    merchant_no: str
    notify_url: str
    host: str
    kind: str
    share: int
    ways: tuple[Way, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """What bills and settlements need of an account."""

    pk: int
    payment_no: str
    channel: str
    merchant_no: str


@dataclass(frozen=True, slots=True)
class Cast:
    lines: tuple[Line, ...]
    accounts: dict[int, Account]
    staff: tuple[tuple[int, str], ...]  # id and how events name them; the first two work in finance


@transaction.atomic
def cast(random: Random, first_day: date) -> Cast:
    """The same people and companies at every call, made where they are missing, with new accounts."""
    merchants = [_merchant(name, short) for name, short, _share, _channels in MERCHANTS]
    accounts = {
        merchant.pk: [_account(merchant, channel, random, first_day) for channel in channels]
        for merchant, (_name, _short, _share, channels) in zip(merchants, MERCHANTS, strict=True)
    }
    lines = [line for spec in APPS for line in _lines(spec, merchants, accounts)]
    staff = tuple((user.pk, f"staff:{user.get_username()}") for user in map(_user, STAFF))
    known = {
        a.pk: Account(a.pk, a.payment_no, a.channel, merchant.merchant_no)
        for merchant in merchants for a in accounts[merchant.pk]
    }  # fmt: skip
    return Cast(tuple(lines), known, staff)


def _merchant(name: str, short: str) -> Merchant:
    found = Merchant.objects.filter(name=name).order_by("id").first()
    if found is not None:
        return found
    merchant = services.merchant_create(name=name, short_name=short, actor=ACTOR)
    for step in ("submit", "activate"):
        merchant = services.merchant_advance(
            merchant=merchant, transition=step, actor=ACTOR, reason="demo data", confirmed=True
        )
    return merchant


def _account(merchant: Merchant, channel: str, random: Random, first_day: date) -> PaymentAccount:
    """A new one each time, so that its days have no bills yet."""
    before = PaymentAccount.objects.filter(merchant=merchant, channel=channel).count()
    name = f"{provider_for(channel).name.zh}（{merchant.short_name}{before + 1 if before else ''}）"
    account = services.account_create(
        merchant=merchant, channel=channel, name=name, config=CONFIGS[channel](random), actor=ACTOR
    )
    # Nobody can be asked whether it works.
    begun = timezone.make_aware(datetime.combine(first_day, time.min))
    PaymentAccount.objects.filter(pk=account.pk).update(check_ok=True, checked_at=begun, created_at=begun)
    for step in ("submit", "activate"):
        account = services.account_advance(
            account=account, transition=step, actor=ACTOR, reason="demo data", confirmed=True
        )
    FeeRate.objects.create(account=account, method="", from_day=first_day, ppm=PPM[channel])
    SettlementTerms.objects.create(account=account, days_after=1, working_days=False)
    return account


def _lines(spec: Any, merchants: list[Merchant], accounts: dict[int, list[PaymentAccount]]) -> list[Line]:
    name, kind, whose, share = spec
    mine = [merchants[place] for place in whose]
    app = App.objects.filter(name=name).order_by("id").first()
    if app is None:
        url = f"https://{kind}.shop.invalid/pay/notify"
        app = services.app_create(name=name, actor=ACTOR, merchants=mine, notify_url=url).app
    for merchant in mine:
        RefundPolicy.objects.get_or_create(
            app=app, merchant=merchant, currency="", defaults={"automatic_up_to": 5000, "one_approval_up_to": 200_000}
        )
    return [
        Line(app.pk, app.app_id, merchant.pk, merchant.merchant_no, app.notify_url, f"{kind}.shop.invalid:443", kind,
             share * MERCHANTS[place][2], _ways(kind, accounts[merchant.pk]))
        for place, merchant in zip(whose, mine, strict=True)
    ]  # fmt: skip


def _ways(kind: str, accounts: list[PaymentAccount]) -> tuple[Way, ...]:
    """Weighted by repetition, about a thousand in all."""
    found: list[Way] = []
    for account in accounts:
        if (account.channel == "mpgs") != (kind == "overseas"):
            continue
        codes = [m.code for m in methods_of(account.channel) if m.code not in _NEVER]
        total = sum(_METHOD_SHARES.get(code, 5) for code in codes)
        for code in codes:
            times = max(1, 10 * _SHARES[account.channel] * _METHOD_SHARES.get(code, 5) // total)
            found += [Way(account.pk, account.channel, code)] * times
    return tuple(found)


def _user(spec: tuple[str, Role]) -> User:
    """They decided on refunds long ago; nobody can sign in as them."""
    name, role = spec
    found = User.objects.filter(username=name).first()
    if found is None:
        found = User(username=name, role=role, is_staff=True)
        found.set_unusable_password()
        found.save()
    return found


def bill_day(channel: str, moment: int) -> int:
    """Which of the channel's days a moment belongs to, counted from 1970."""
    return (moment + EAST + EARLY.get(channel, 0)) // (24 * HOUR)


def fee_of(channel: str, amount: int) -> int:
    """What the channel takes, half a unit rounded up, as the rate set for the account says."""
    return (amount * PPM[channel] + 500_000) // 1_000_000
