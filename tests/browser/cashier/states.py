"""Every state a payer's page can be in, and how to get there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from cashier.models import CashierOrder, PrintedCode
from channels.base import Refused
from paycenter.errors import UnknownOutcome
from tests import factories
from tests.browser.cashier.conftest import Shop
from tests.cashier.conftest import PC, PHONE, WECHAT
from trades.closing import trade_close
from trades.models import Trade

ROWS = [
    {"label": "房号 Room", "value": "3 栋 2 单元 1201"},
    {"label": "账期 Period", "value": "2026-11-01 ~ 2026-11-30"},
    {"label": "物业费 Fee", "value": "¥1,180.00"},
    {"label": "公摊水电 Shared utilities", "value": "¥104.50"},
]
METHODS = ("fake_qr", "fake_page", "fake_jsapi", "fake_ajsapi")
State = Callable[[Shop], tuple[str, str]]


def _order(shop: Shop, **values: object) -> CashierOrder:
    shop.offer(*METHODS)
    order = {"amount": 128450, "subject": "2026 年 11 月物业服务费", **values}
    return shop.open(ROWS, **order)  # type: ignore[arg-type]


def choose(shop: Shop) -> tuple[str, str]:
    return shop.url(_order(shop)), PC


def choose_phone(shop: Shop) -> tuple[str, str]:
    return shop.url(_order(shop)), PHONE


def choose_wechat(shop: Shop) -> tuple[str, str]:
    return shop.url(_order(shop)), WECHAT


def largest_amount(shop: Shop) -> tuple[str, str]:
    return shop.url(_order(shop, amount=10**11, subject="很长的事由" * 25, app_order_no="N" * 64)), PHONE


def greyed_out(shop: Shop) -> tuple[str, str]:
    return shop.url(_order(shop), "?notice=busy&method=fake_qr"), PHONE


def refused(shop: Shop) -> tuple[str, str]:
    page = _order(shop)
    shop.world.book.fault("pay", Refused(code="NOTENOUGH", message="账户余额不足，请更换付款方式"))
    return shop.base + shop.pay(page, "fake_qr").headers["Location"], PHONE


def scan(shop: Shop) -> tuple[str, str]:
    page = _order(shop)
    shop.pay(page, "fake_qr")
    return shop.url(page, "/go"), PC


def leave(shop: Shop) -> tuple[str, str]:
    page = _order(shop)
    shop.pay(page, "fake_page", ua=PHONE)
    return shop.url(page, "/go"), PHONE


def launch(shop: Shop) -> tuple[str, str]:
    page = _order(shop, payer={"openid": "o-named-by-the-app"})
    shop.pay(page, "fake_jsapi")
    return shop.url(page, "/go"), WECHAT


def confirming(shop: Shop) -> tuple[str, str]:
    page = _order(shop)
    shop.world.book.fault("pay", UnknownOutcome("no answer"))
    shop.pay(page, "fake_qr")
    return shop.url(page), PHONE


def paid(shop: Shop) -> tuple[str, str]:
    page = _order(shop, return_url="https://shop.fake.example/orders?id=7")
    shop.pay(page, "fake_qr")
    shop.settle(page)
    return shop.url(page), PHONE


def expired(shop: Shop) -> tuple[str, str]:
    page = _order(shop)
    factories.expire(page.trade)
    return shop.url(page), PHONE


def closed(shop: Shop) -> tuple[str, str]:
    page = _order(shop, return_url="https://shop.fake.example/orders")
    trade_close(trade=page.trade, actor="test")
    return shop.url(page), PHONE


def last_minute(shop: Shop) -> tuple[str, str]:
    page = _order(shop)
    Trade.objects.filter(pk=page.trade.pk).update(expire_at=timezone.now() + timedelta(seconds=45))
    return shop.url(page), PHONE


def nothing_fits(shop: Shop) -> tuple[str, str]:
    shop.offer("fake_form")
    return shop.url(shop.open(ROWS)), WECHAT


def unknown_page(shop: Shop) -> tuple[str, str]:
    return f"{shop.base}/c/no-such-page", PHONE


def enter_amount(shop: Shop) -> tuple[str, str]:
    printed = PrintedCode.objects.create(app=shop.world.app, merchant=shop.world.merchant, title="停车费 Parking fee")
    return f"{shop.base}/q/{printed.code}", PHONE


def own_layout(shop: Shop) -> tuple[str, str]:
    shop.world.app.cashier_layout = {"title": {"zh": "阳光物业缴费", "en": "Sunshine Property"}, "accent": "#8a2be2"}
    shop.world.app.save()
    return choose_phone(shop)


STATES: dict[str, State] = {
    f.__name__: f
    for f in (
        choose, choose_phone, choose_wechat, largest_amount, greyed_out, refused, scan, leave, launch, confirming, paid,
        expired, closed, last_minute, nothing_fits, unknown_page, enter_amount, own_layout,
    )
}  # fmt: skip
__all__ = ["STATES"]
