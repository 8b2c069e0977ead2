"""Each scene: what the payer's device gets is what Alipay would accept, and refusals stay refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

import channels.alipay
from channels.alipay.provider import AlipayProvider
from channels.base import (
    Device,
    Form,
    Initiated,
    NoAction,
    PayerKey,
    PayOrder,
    QrCode,
    Redirect,
    Refused,
    SdkParams,
)
from channels.base.discovery import methods_of, provider_for
from paycenter.errors import UnknownOutcome
from tests.channels.alipay.wire import APP_ID, GatewayServer, request_is_signed_by

Answering = Callable[..., None]
NUMBER, TRADE_NO = "A0000000000000001", "2026112022001400000000000001"
FOLDER = Path(channels.alipay.__file__).parent
BUYER = {"buyer_id": "2088123412341234"}


def carried(result: Any) -> dict[str, str]:
    """Parameters that a payer's device brings to Alipay."""
    instruction = result.instruction
    if isinstance(instruction, Form):
        return dict(instruction.fields)
    text = urlsplit(instruction.url).query if isinstance(instruction, Redirect) else instruction.params["order_string"]
    return dict(parse_qsl(text, strict_parsing=True))


@pytest.mark.parametrize(
    ("code", "method", "product", "kind"),
    [
        ("alipay_page", "alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY", Form),
        ("alipay_wap", "alipay.trade.wap.pay", "QUICK_WAP_WAY", Redirect),
        ("alipay_app", "alipay.trade.app.pay", "QUICK_MSECURITY_PAY", SdkParams),
    ],
)
def test_scenes_that_call_nobody(
    provider: AlipayProvider, order: PayOrder, gateway: GatewayServer, app_key: RSAPrivateKey,
    code: str, method: str, product: str, kind: type,
) -> None:  # fmt: skip
    result = provider.pay(code, order)
    assert isinstance(result, Initiated)
    assert isinstance(result.instruction, kind)
    sent = carried(result)
    assert request_is_signed_by(app_key.public_key(), sent)
    assert (sent["method"], sent["app_id"], sent["notify_url"]) == (method, APP_ID, order.notify_url)
    content = json.loads(sent["biz_content"])
    assert content["out_trade_no"] == NUMBER
    assert content["total_amount"] == "12.34"
    assert content["product_code"] == product
    assert content["time_expire"] == "2026-11-21 03:00:05"
    assert gateway.received == []


def test_browser_scenes_carry_the_way_back(provider: AlipayProvider, order: PayOrder) -> None:
    for code in ("alipay_page", "alipay_wap"):
        assert carried(provider.pay(code, order))["return_url"] == order.return_url
    assert json.loads(carried(provider.pay("alipay_wap", order))["biz_content"])["quit_url"] == order.return_url
    assert "return_url" not in carried(provider.pay("alipay_app", order))


def test_form_is_posted_to_an_address_that_names_the_charset(
    provider: AlipayProvider, order: PayOrder, gateway: GatewayServer
) -> None:
    form = provider.pay("alipay_page", order).instruction  # type: ignore[union-attr]
    assert form.action == gateway.url + "?charset=utf-8"


def test_difficult_text_reaches_alipay_unbroken(
    provider: AlipayProvider, order: PayOrder, app_key: RSAPrivateKey
) -> None:
    order = replace(order, subject="A&B=物业费 \"2026/11\" 'x' <b> 100%+1 🏠", body="第一行\r\n第二行 \\ }{")
    for code in ("alipay_page", "alipay_wap", "alipay_app"):
        sent = carried(provider.pay(code, order))
        assert request_is_signed_by(app_key.public_key(), sent)
        content = json.loads(sent["biz_content"])
        assert content["subject"] == "A＆B＝物业费 \"2026／11\" 'x' <b> 100%+1 🏠"
        assert content["body"] == "第一行 第二行 \\ }{"


@pytest.mark.parametrize(("minor", "yuan"), [(1, "0.01"), (100, "1.00"), (10**10, "100000000.00")])
def test_amounts_are_yuan_with_two_places(provider: AlipayProvider, order: PayOrder, minor: int, yuan: str) -> None:
    order = replace(order, amount=replace(order.amount, minor=minor))
    assert provider.content(order, "X")["total_amount"] == yuan


def test_long_or_empty_text_keeps_within_limits(provider: AlipayProvider, order: PayOrder) -> None:
    content = provider.content(replace(order, subject="物" * 300, body="业" * 300), "X")
    assert (len(content["subject"]), len(content["body"])) == (256, 128)
    assert provider.content(replace(order, subject="\x00\n"), "X")["subject"] == NUMBER
    assert "body" not in provider.content(order, "X")


@pytest.mark.parametrize(
    ("funding", "channels"),
    [
        (None, None),
        ("", None),
        ("credit", "credit_group"),
        ("huabei", "pcredit,pcreditpayInstallment"),
        ("balance",) * 2,
    ],
)
def test_funding_restricts_what_the_payer_may_use(
    provider: AlipayProvider, order: PayOrder, funding: str | None, channels: str | None
) -> None:
    assert provider.content(replace(order, funding=funding), "X").get("enable_pay_channels") == channels


def test_profit_sharing_freezes_the_money(provider: AlipayProvider, order: PayOrder) -> None:
    assert "extend_params" not in provider.content(order, "X")
    content = provider.content(replace(order, profit_sharing=True), "X")
    assert content["extend_params"] == {"royalty_freeze": "true"}


def test_qr(provider: AlipayProvider, order: PayOrder, answering: Answering, gateway: GatewayServer) -> None:
    answering(code="10000", out_trade_no=NUMBER, qr_code="https://qr.alipay.com/bax03431ljhokirwl38f00a7")
    result = provider.pay("alipay_qr", order)
    assert result == Initiated(instruction=QrCode("https://qr.alipay.com/bax03431ljhokirwl38f00a7"))
    assert gateway.received[0]["method"] == "alipay.trade.precreate"
    assert gateway.received[0]["notify_url"] == order.notify_url
    assert gateway.content()["product_code"] == "FACE_TO_FACE_PAYMENT"


@pytest.mark.parametrize(
    ("buyer", "field"), [("2088123412341234", "buyer_id"), ("074a1CcTG1LelxKe4xQC0zgNdId0", "buyer_open_id")]
)
def test_jsapi(
    provider: AlipayProvider, order: PayOrder, answering: Answering, gateway: GatewayServer,
    buyer: str, field: str,
) -> None:  # fmt: skip
    answering(code="10000", out_trade_no=NUMBER, trade_no=TRADE_NO)
    result = provider.pay("alipay_jsapi", replace(order, payer={"buyer_id": buyer, "openid": "ignored"}))
    assert result == Initiated(instruction=SdkParams({"trade_no": TRADE_NO}), channel_trade_no=TRADE_NO)
    assert gateway.received[0]["method"] == "alipay.trade.create"
    content = gateway.content()
    assert (content["product_code"], content["op_app_id"]) == ("JSAPI_PAY", APP_ID)
    assert {k: v for k, v in content.items() if k.startswith("buyer")} == {field: buyer}


class TestAnswersToCreating:
    @pytest.fixture(params=["alipay_qr", "alipay_jsapi"])
    def code(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.mark.parametrize(
        "values",
        [
            {"code": "40004", "sub_code": "ACQ.TOTAL_FEE_EXCEED", "sub_msg": "超过限额"},
            {"code": "40004", "sub_code": "ACQ.TRADE_HAS_CLOSE", "sub_msg": "交易已经关闭"},
            {"code": "40004", "sub_code": "ACQ.EXIST_FORBIDDEN_WORD", "sub_msg": "含有违禁词"},
            {"code": "40006", "sub_code": "isv.insufficient-isv-permissions", "sub_msg": "权限不足"},
            {"code": "40001", "sub_code": "isv.missing-signature", "sub_msg": "缺少签名"},
        ],
        ids=str,
    )
    def test_final_refusals(
        self, provider: AlipayProvider, order: PayOrder, answering: Answering, code: str, values: dict[str, str]
    ) -> None:
        answering(**values)
        result = provider.pay(code, replace(order, payer=BUYER))
        assert result == Refused(code=values["sub_code"], message=values["sub_msg"])

    @pytest.mark.parametrize(
        "values",
        [
            {"code": "20000", "sub_code": "isp.unknow-error"},
            {"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"},
            {"code": "40004", "sub_code": "ACQ.TRADE_HAS_SUCCESS"},  # it is paid: a query will tell
            {"code": "40004", "sub_code": "ACQ.CONTEXT_INCONSISTENT"},  # an earlier send is alive
            {"code": "40004", "sub_code": "ACQ.TOMORROW"},
            {"code": "40004"},
            {"code": "40002", "sub_code": "isv.app-call-limited"},
            {"code": "99999", "sub_code": "ACQ.TOTAL_FEE_EXCEED"},
            {"code": "10000", "out_trade_no": "A2", "qr_code": "x", "trade_no": "x"},
            {"code": "10000", "qr_code": "x", "trade_no": "x"},
            {"code": "10000", "out_trade_no": NUMBER},
            {"code": "10000", "out_trade_no": NUMBER, "qr_code": "", "trade_no": ""},
            {"code": "10000", "out_trade_no": NUMBER, "qr_code": "x", "trade_no": "x", "signed": False},
        ],
        ids=str,
    )
    def test_unknown_outcomes(
        self, provider: AlipayProvider, order: PayOrder, answering: Answering, code: str, values: dict[str, Any]
    ) -> None:
        answering(**values)
        with pytest.raises(UnknownOutcome):
            provider.pay(code, replace(order, payer=BUYER))

    def test_sending_again_says_exactly_the_same(
        self, provider: AlipayProvider, order: PayOrder, answering: Answering, gateway: GatewayServer, code: str
    ) -> None:
        answering(code="10000", out_trade_no=NUMBER, qr_code="q", trade_no="t")
        for _time in range(2):
            provider.pay(code, replace(order, payer=BUYER))
        assert gateway.received[0]["biz_content"] == gateway.received[1]["biz_content"]


def test_declared_for_the_cashier() -> None:
    declared = {m.code: m for m in methods_of("alipay")}
    assert provider_for("alipay") is AlipayProvider
    assert {code: m.devices for code, m in declared.items()} == {
        "alipay_page": {Device.PC}, "alipay_wap": {Device.MOBILE}, "alipay_qr": {Device.PC},
        "alipay_jsapi": {Device.ALIPAY}, "alipay_app": set(), "alipay_deduct": set(),
    }  # fmt: skip
    assert {code for code, m in declared.items() if m.own_cashier} == {"alipay_page", "alipay_wap"}
    assert {code for code, m in declared.items() if m.payer_key} == {"alipay_jsapi"}
    assert declared["alipay_jsapi"].payer_key is PayerKey.BUYER_ID
    kinds = {"form": Form, "redirect": Redirect, "qrcode": QrCode, "sdk": SdkParams, "none": NoAction}
    assert all(m.instruction in kinds and m.name.zh and m.name.en for m in declared.values())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("alipay_*.py")), ids=lambda p: p.name)
def test_a_scene_stays_a_small_file(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 30
