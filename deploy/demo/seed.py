"""The demo's merchants, apps, accounts and staff, made through the center's own services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from channels.base.discovery import method_for, methods_of, provider_for, providers
from deploy.demo import contracts, private, staff
from deploy.demo.layout import Layout, Trouble
from merchants import services
from merchants.checking import account_check
from merchants.models import AccountMethod, App, CashierMethod, Merchant, PaymentAccount
from merchants.offering import cashier_methods_set
from merchants.states import MerchantState
from paycenter.errors import ChannelConfigInvalid, ConfigError
from paycenter.models import RetrySchedule
from reconciliation.settlement.models import BankProfile, FeeRate, SettlementTerms
from refunds.models import RefundPolicy

ACTOR = "system"
# Short name, company, and the channels it has contracts with (None: every channel there is).
MERCHANTS: tuple[tuple[str, str, frozenset[str] | None], ...] = (
    ("安居物业", "安居物业服务有限公司", None),
    ("和谐家园", "和谐家园物业管理有限公司", frozenset({"alipay", "wechat"})),
)
# Name, and the merchants (by position above) it collects for.
APPS: tuple[tuple[str, tuple[int, ...]], ...] = (("物业缴费小程序", (0, 1)), ("停车收费系统", (1,)))
# Seconds. Staying below 15 leaves room for the schedule's jitter and the sweep's own second.
QUERY_DELAYS = [5, 10, 12]
FEE_PPM = 6000  # 0.6 %, as the sandbox's bills charge (`sandbox.bills.FEE_RATE`)


def seed(layout: Layout) -> None:
    """Idempotent. Raises Trouble."""
    try:
        merchants = [_merchant(name, short) for short, name, _channels in MERCHANTS]
        apps = [_app(name, [merchants[i] for i in wanted]) for name, wanted in APPS]
        accounts = _accounts(layout, merchants)
    except ConfigError as exc:
        raise Trouble(
            f"The database was filled with other keys than those in {layout.var / 'secrets.json'} ({exc})."
            " Use the data directory it was made with, or an empty database."
        ) from exc
    _cashiers(apps, accounts)
    _schedules()
    _refund_policies(apps)
    _settlement(accounts)
    users = staff.staff(layout, merchants[0])
    private.write_json(layout.seeded, _summary(layout, apps, merchants, accounts, users))


def _merchant(name: str, short: str) -> Merchant:
    found = Merchant.objects.filter(name=name).order_by("id").first()
    merchant = found or services.merchant_create(name=name, short_name=short, actor=ACTOR)
    for transition in _onboarding(merchant.state):
        merchant = services.merchant_advance(
            merchant=merchant, transition=transition, actor=ACTOR, reason="demo", confirmed=True
        )
    return merchant


def _onboarding(state: str) -> tuple[str, ...]:
    """What a person would press next; nothing for one who was suspended or closed on purpose."""
    return {MerchantState.DRAFT: ("submit", "activate"), MerchantState.REVIEW: ("activate",)}.get(
        MerchantState(state), ()
    )


def _app(name: str, merchants: Iterable[Merchant]) -> App:
    found = App.objects.filter(name=name).order_by("id").first()
    return found or services.app_create(name=name, actor=ACTOR, merchants=merchants).app


def _accounts(layout: Layout, merchants: list[Merchant]) -> list[PaymentAccount]:
    made = []
    for number, (merchant, (_short, _name, wanted)) in enumerate(zip(merchants, MERCHANTS, strict=True)):
        for channel in sorted(providers()):
            if wanted is None or channel in wanted:
                account = _account(layout, merchant, channel, second=number > 0)
                if account is not None:
                    made.append(account)
    return made


def _account(layout: Layout, merchant: Merchant, channel: str, *, second: bool) -> PaymentAccount | None:
    """None where the sandbox has no stand-in for the channel."""
    account = PaymentAccount.objects.filter(merchant=merchant, channel=channel).order_by("id").first()
    if account is None:
        account = _open(layout, merchant, channel, second=second)
        if account is None:
            return None
    account = _follow_sandbox(layout, account)
    if account.state in (MerchantState.DRAFT, MerchantState.REVIEW) or account.check_ok is None:
        contracts.wait_for_sandbox(layout)
        result = account_check(account=account, actor=ACTOR)
        if not result.ok:
            raise Trouble(f"The sandbox's {channel} refuses the connection check: {result.message.en}")
    for transition in _onboarding(account.state):
        account = services.account_advance(
            account=account, transition=transition, actor=ACTOR, reason="demo", confirmed=True
        )
    return account


def _open(layout: Layout, merchant: Merchant, channel: str, *, second: bool) -> PaymentAccount | None:
    contract = contracts.sign(layout, merchant.merchant_no, channel, second=second)
    if contract is None:
        print(f"The sandbox has no stand-in for {channel}; it is left out.")
        return None
    label = provider_for(channel).name.zh
    try:
        return services.account_create(
            merchant=merchant, channel=channel, name=f"{label}（{merchant.short_name}）", config=contract.config,
            actor=ACTOR, payment_no=contract.payment_no,
        )  # fmt: skip
    except ChannelConfigInvalid as exc:
        raise Trouble(f"The sandbox's contract does not fit {channel}'s account form: {exc}") from exc


def _follow_sandbox(layout: Layout, account: PaymentAccount) -> PaymentAccount:
    """Point the account at the sandbox's present port, if that was changed since the last start."""
    moved = contracts.moved(account.config, layout.sandbox_url)
    if not moved:
        return account
    return services.account_update_config(account=account, config=moved, actor=ACTOR, confirmed=True)


def _methods(accounts: Iterable[PaymentAccount]) -> list[tuple[PaymentAccount, str]]:
    """What a cashier can offer, in the order of the accounts."""
    return [
        (account, code) for account in accounts
        for code in account.methods.filter(is_active=True).order_by("method").values_list("method", flat=True)
        if method_for(code).devices
    ]  # fmt: skip


@transaction.atomic
def _cashiers(apps: list[App], accounts: list[PaymentAccount]) -> None:
    """Configured once per app and merchant; what an operator changed since then stays."""
    for app in apps:
        for merchant in app.merchants.all():
            if not CashierMethod.objects.filter(app=app, merchant=merchant).exists():
                own = _methods(a for a in accounts if a.merchant_id == merchant.pk)
                cashier_methods_set(app=app, merchant=merchant, methods=own, actor=ACTOR, confirmed=True)


def _schedules() -> None:
    """A quick query schedule for payments whose notification does not come; an operator's change stays."""
    for name in ("query", *(f"query:{code}" for code in providers())):
        RetrySchedule.objects.get_or_create(
            name=name, defaults={"delays": QUERY_DELAYS, "repeat_last": True}
        )


def _refund_policies(apps: list[App]) -> None:
    """Up to 1000 minor units automatic, up to 1000000 one approval, above that two; an operator's change stays."""
    for app in apps:
        for merchant in app.merchants.all():
            RefundPolicy.objects.get_or_create(
                app=app, merchant=merchant, currency="",
                defaults={"automatic_up_to": 1000, "one_approval_up_to": 1_000_000},
            )  # fmt: skip


def _settlement(accounts: Iterable[PaymentAccount]) -> None:
    """What the sandbox charges, when the money of a day is due, and how a bank could write its statement; what
    finance changed since then stays."""
    for account in accounts:
        FeeRate.objects.get_or_create(
            account=account, method="", defaults={"from_day": account.created_at.date(), "ppm": FEE_PPM}
        )
        SettlementTerms.objects.get_or_create(account=account, defaults={"days_after": 1, "working_days": False})
    if not BankProfile.objects.exists():
        BankProfile.objects.create(
            name="招商银行", date_column="日期", amount_column="金额", reference_column="流水号",
            purpose_column="摘要",
        )  # fmt: skip


def _summary(
    layout: Layout, apps: list[App], merchants: list[Merchant], accounts: list[PaymentAccount],
    users: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:  # fmt: skip
    return {
        "users": users,
        "apps": [staff.app_secrets(layout, app) for app in apps],
        "merchants": [
            {
                "merchant_no": merchant.merchant_no,
                "accounts": [_account_entry(a) for a in accounts if a.merchant_id == merchant.pk],
            }
            for merchant in merchants
        ],
    }


def _account_entry(account: PaymentAccount) -> dict[str, Any]:
    active = AccountMethod.objects.filter(account=account, is_active=True)
    known = {m.code for m in methods_of(account.channel)}
    codes = sorted(set(active.values_list("method", flat=True)) & known)
    return {"payment_no": account.payment_no, "channel": account.channel, "methods": codes}
