"""The fake channel with the scenes only the cashier cares about, and pages in the states tests need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
from django.test import Client

from cashier.models import CashierOrder
from cashier.services import cashier_order_create
from channels.base import Device, Form, Initiated, Label, Method, PayerKey, PayOrder, PayResult, SdkParams
from tests import factories
from tests.conftest import World
from tests.fakes import fakepay

PC = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"
WECHAT = PHONE + " MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN"
MINI = WECHAT + " miniProgram/wx0123456789abcdef"
ALIPAY = PHONE + " AlipayClient/10.6.0 Language/zh-Hans"


class FakeForm(Method):
    """A PC page reached by a form, as Alipay's is."""

    code = "fake_form"
    name = Label("测试表单", "Fake form")
    instruction = "form"
    devices = frozenset({Device.PC})

    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        fields = {"biz_content": '{"a":"<b>\\"&"}', "out_trade_no": order.order_no}
        form = Form("https://gateway.fake.example/do", fields)
        return fakepay._start(order, seen=False, result=Initiated(instruction=form))


class FakeAlipayJsapi(Method):
    """The twin of `fake_jsapi` inside Alipay."""

    code = "fake_ajsapi"
    name = Label("测试生活号", "Fake Alipay JSAPI")
    instruction = "sdk"
    devices = frozenset({Device.ALIPAY})
    payer_key = PayerKey.BUYER_ID

    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        params = {"trade_no": f"CH{order.order_no}"}
        return fakepay._start(order, seen=True, result=Initiated(instruction=SdkParams(params)))


class FakeMini(Method):
    """A scene of a mini program, whose openid only the app can name."""

    code = "fake_mini"
    name = Label("测试小程序", "Fake mini program")
    instruction = "sdk"
    devices = frozenset({Device.MINI})
    payer_key = PayerKey.OPENID

    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        params = {"package": f"prepay_id={order.order_no}", "openid": order.payer["openid"]}
        return fakepay._start(order, seen=True, result=Initiated(instruction=SdkParams(params)))


EXTRA_METHODS = (FakeForm, FakeAlipayJsapi, FakeMini)
ALL_METHODS = (*factories.FAKE_METHODS, *(m.code for m in EXTRA_METHODS))


@dataclass
class Cashier:
    """A merchant whose cashier offers what a test configures, and the payer's browser."""

    world: World
    client: Client

    def offer(self, *methods: str) -> None:
        factories.make_cashier_methods(self.world.app, self.world.account, *methods)

    def open(self, display: list[dict[str, str]] | None = None, **order: Any) -> CashierOrder:
        return cashier_order_create(app=self.world.app, order=self.world.order(**order), display=display or [])

    def get(self, page: CashierOrder, path: str = "", *, ua: str = PC, **headers: str) -> Any:
        return self.client.get(f"/c/{page.token}{path}", headers={"user-agent": ua, "accept-language": "en", **headers})

    def pay(self, page: CashierOrder, method: str, *, ua: str = PC, **fields: str) -> Any:
        body: Mapping[str, str] = {"method": method, **fields}
        return self.client.post(
            f"/c/{page.token}/pay", body, headers={"user-agent": ua, "accept-language": "en"}
        )


def install_extra_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    from channels.base import discovery

    providers, methods, owners = discovery._registry()
    registry = (
        providers,
        MappingProxyType({**methods, **{m.code: m() for m in EXTRA_METHODS}}),
        MappingProxyType({**owners, **{m.code: "fakepay" for m in EXTRA_METHODS}}),
    )
    monkeypatch.setattr(discovery, "_registry", lambda: registry)


def cover_extra_scenes(world: World) -> None:
    from merchants.models import AccountMethod

    for method in EXTRA_METHODS:
        AccountMethod.objects.create(account=world.account, method=method.code)


@pytest.fixture
def cashier(world: World, monkeypatch: pytest.MonkeyPatch) -> Cashier:
    install_extra_scenes(monkeypatch)
    cover_extra_scenes(world)
    return Cashier(world, Client())


@pytest.fixture
def paid(world: World) -> Callable[[CashierOrder], None]:
    """The payer pays the current attempt, and the channel's notification arrives."""
    import json

    def pay(page: CashierOrder) -> None:
        attempt = factories.fresh(page.trade).current_attempt
        world.book.pay(attempt.channel_order_no)
        body = json.dumps(world.book.notification(attempt.channel_order_no))
        answer = Client().post(
            f"/notify/{attempt.method}/{attempt.attempt_no}", body, content_type="application/json"
        )
        assert answer.content == b"fake-ok"

    return pay
