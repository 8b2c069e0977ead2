"""Records for tests, made directly in the state a test needs."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

from django.utils import timezone

from merchants.models import AccountMethod, App, AppKey, AppMerchant, CashierMethod, Merchant, PaymentAccount
from merchants.states import MerchantState
from trades.models import Trade
from trades.orders import OrderRequest
from trades.services import trade_open, trade_pay

HMAC_SECRET = "test-hmac-secret-0123456789abcdef"
WEBHOOK_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
FAKE_METHODS = ("fake_qr", "fake_page", "fake_jsapi")
_count = itertools.count(1)


def make_merchant(**values: Any) -> Merchant:
    number = next(_count)
    defaults = {"merchant_no": f"M{number:010d}", "name": f"Property {number}", "short_name": f"P{number}"}
    return Merchant.objects.create(**{**defaults, "state": MerchantState.ACTIVE, **values})


def make_app(*merchants: Merchant, **values: Any) -> App:
    number = next(_count)
    defaults = {"app_id": f"APP{number:08d}", "name": f"App {number}", "webhook_secret": WEBHOOK_SECRET}
    app = App.objects.create(**{**defaults, **values})
    AppKey.objects.create(app=app, kind=AppKey.Kind.HMAC, value=HMAC_SECRET)
    for merchant in merchants:
        AppMerchant.objects.create(app=app, merchant=merchant)
    return app


def make_account(merchant: Merchant, *, methods: tuple[str, ...] = FAKE_METHODS, **values: Any) -> PaymentAccount:
    number = next(_count)
    defaults = {
        "payment_no": f"Z{number:010d}", "name": f"Account {number}", "channel": "fakepay",
        "config": {"merchant": "fake-merchant", "secret": "fake-channel-secret"}, "state": MerchantState.ACTIVE,
    }  # fmt: skip
    account = PaymentAccount.objects.create(merchant=merchant, **{**defaults, **values})
    for method in methods:
        AccountMethod.objects.create(account=account, method=method)
    return account


def make_cashier_methods(app: App, account: PaymentAccount, *methods: str) -> None:
    for position, method in enumerate(methods or FAKE_METHODS):
        CashierMethod.objects.create(
            app=app, merchant=account.merchant, account=account, method=method, position=position
        )


def make_order(merchant: Merchant, **values: Any) -> OrderRequest:
    defaults = {"app_order_no": f"ORDER{next(_count)}", "amount": 1234, "subject": "Property fee"}
    return OrderRequest(**{"merchant_no": merchant.merchant_no, **defaults, **values})


def expire(trade: Trade, *, seconds_ago: float = 2) -> None:
    """Let a trade and its attempts have expired already."""
    at = timezone.now() - timedelta(seconds=seconds_ago)
    Trade.objects.filter(pk=trade.pk).update(expire_at=at, next_close_at=at)
    trade.attempts.update(expire_at=at)


def fresh(record: Any) -> Any:
    """The record read again; django-fsm's protected states refuse `refresh_from_db`."""
    return type(record).objects.get(pk=record.pk)


__all__ = [
    "HMAC_SECRET", "WEBHOOK_SECRET", "expire", "fresh", "make_account", "make_app", "make_cashier_methods",
    "make_merchant", "make_order", "trade_open", "trade_pay",
]  # fmt: skip
