"""What a person sees and can do with the sandbox's phone."""

from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from sandbox.context import Settings
from tests.sandbox.clients import AlipayMerchant, WeChatMerchant
from tests.sandbox.running import Answer, Merchant, Running

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def act(sandbox: Running, path: str, action: str) -> Answer:
    return sandbox.request("POST", path, f"action={action}", FORM)


def open_pasted(sandbox: Running, text: str) -> Answer:
    return sandbox.request("POST", "/wallet/open", urlencode({"code": text}), FORM)


def wallet_path(sandbox: Running, pasted: str) -> str:
    answer = open_pasted(sandbox, pasted)
    assert answer.status == 303, answer.text
    return answer.headers["location"]


def test_scanning_a_qr_code_shows_who_asks_for_how_much(sandbox: Running, alipay: AlipayMerchant) -> None:
    scanned = sandbox.follow(alipay.precreate("A1", 1234, subject="<b>一月物业费")["qr_code"])
    assert scanned.status == 302
    page = sandbox.request("GET", scanned.headers["location"]).text
    assert "12.34" in page
    assert "测试物业" in page
    assert "&lt;b&gt;一月" in page
    assert "<b>一月" not in page


def test_paying_moves_the_money_and_tells_the_merchant(
    sandbox: Running, wechat: WeChatMerchant, merchant: Merchant
) -> None:
    path = wallet_path(sandbox, wechat.native("W00001").json["code_url"])
    done = act(sandbox, path, "pay")
    assert done.status == 200
    assert "付款成功" in done.text
    assert wechat.notice(merchant.wait(1)[0])[0]["out_trade_no"] == "W00001"
    again = act(sandbox, path, "pay")
    assert again.status == 409
    assert len(sandbox.control("GET", "/payments/W00001").json["notifications"]) == 1


def test_cancelling_pays_nothing(sandbox: Running, wechat: WeChatMerchant) -> None:
    path = wallet_path(sandbox, wechat.native("W00001").json["code_url"])
    assert "已取消" in act(sandbox, path, "cancel").text
    assert sandbox.control("GET", "/payments/W00001").json["state"] == "unpaid"


def test_a_wap_payer_who_cancels_goes_to_the_quit_address(sandbox: Running, alipay: AlipayMerchant) -> None:
    params = alipay.params("alipay.trade.wap.pay", {
        "out_trade_no": "P1", "total_amount": "1.00", "subject": "x", "product_code": "QUICK_WAP_WAY",
        "quit_url": "http://127.0.0.1:9/quit",
    })  # fmt: skip
    path = sandbox.request("GET", f"/gateway.do?{urlencode(params)}").headers["location"]
    assert act(sandbox, path, "cancel").headers["location"] == "http://127.0.0.1:9/quit"


def test_a_closed_order_cannot_be_paid(sandbox: Running, wechat: WeChatMerchant) -> None:
    path = wallet_path(sandbox, wechat.native("W00001").json["code_url"])
    wechat.close("W00001")
    assert "订单已关闭" in sandbox.request("GET", path).text
    assert act(sandbox, path, "pay").status == 409
    assert sandbox.control("GET", "/payments/W00001").json["state"] == "closed"


def test_the_desk_lists_who_waits_and_opens_what_is_pasted(
    sandbox: Running, alipay: AlipayMerchant, wechat: WeChatMerchant
) -> None:
    alipay.precreate("A1", 100)
    wechat.native("W00001")
    sandbox.control("POST", "/pay", {"attempt_no": "W00001"})
    desk = sandbox.request("GET", "/wallet").text
    assert "A1" in desk
    assert "W00001" not in desk, "paid orders wait no more"
    biz = {"out_trade_no": "APP1", "total_amount": "1.00", "subject": "x", "product_code": "QUICK_MSECURITY_PAY"}
    order_string = urlencode(alipay.params("alipay.trade.app.pay", biz))
    assert "/wallet/alipay/" in wallet_path(sandbox, order_string)
    whole = json.dumps({"type": "sdk", "params": {"order_string": order_string}})
    assert "/wallet/alipay/" in wallet_path(sandbox, whole)


@pytest.mark.parametrize("pasted", ["nonsense", "weixin://wxpay/bizpayurl?pr=none", "{}", "https://example.com/", ""])
def test_what_nobody_knows_is_said_on_the_page(sandbox: Running, pasted: str) -> None:
    answer = open_pasted(sandbox, pasted)
    assert answer.status == 404
    assert 'role="alert"' in answer.text


def test_what_the_phone_refuses_is_said_on_the_page(sandbox: Running, alipay: AlipayMerchant) -> None:
    biz = {"out_trade_no": "APP1", "total_amount": "1.00", "subject": "x", "product_code": "QUICK_MSECURITY_PAY"}
    bad = urlencode(alipay.params("alipay.trade.app.pay", biz, sign="AAAA"))
    answer = open_pasted(sandbox, bad)
    assert answer.status == 400
    assert "isv.invalid-signature" in answer.text


def test_a_page_past_its_expiry_is_said_to_be_and_cannot_be_paid(
    state: Path, contracts: dict[str, dict[str, str]]
) -> None:
    shift = [0.0]
    sandbox = Running(state, Settings(), clock=lambda: time.time() + shift[0])
    try:
        biz = {"out_trade_no": "P1", "total_amount": "1.00", "subject": "x", "timeout_express": "3h",
               "product_code": "FAST_INSTANT_TRADE_PAY"}  # fmt: skip
        alipay = AlipayMerchant(sandbox, contracts["alipay"])
        url = f"/gateway.do?{urlencode(alipay.params('alipay.trade.page.pay', biz))}"
        first = sandbox.request("GET", url).headers["location"]
        shift[0] = 2 * 3600 + 1
        assert "订单已过期" in sandbox.request("GET", first).text, "a code lives two hours"
        again = sandbox.request("GET", url).headers["location"]
        assert "确认付款" in sandbox.request("GET", again).text, "opened again it has a new one"
        shift[0] = 3 * 3600 + 1
        assert open_pasted(sandbox, sandbox.url + url).status == 409
        assert act(sandbox, again, "pay").status == 409
        pay = {"type": "redirect", "url": sandbox.url + url}
        assert sandbox.control("POST", "/pay", {"attempt_no": "P1", "pay": pay}).status == 409
    finally:
        sandbox.stop()


@pytest.mark.parametrize(
    ("query", "header", "word"),
    [("", "", "待付款订单"), ("", "en-US,en;q=0.9", "Waiting payments"), ("?lang=en", "zh-CN", "Waiting payments"),
     ("?lang=zh", "en", "待付款订单"), ("", "fr", "待付款订单")],
)  # fmt: skip
def test_speaks_both_languages(sandbox: Running, query: str, header: str, word: str) -> None:
    page = sandbox.request("GET", f"/wallet{query}", headers={"Accept-Language": header}).text
    assert word in page


def test_every_text_is_there_in_both_languages() -> None:
    from sandbox.wallet import texts

    for name, (zh, en) in texts._TEXTS.items():
        assert zh, name
        assert en, name
    assert not any("一" <= c <= "鿿" for n, (_, en) in texts._TEXTS.items() if n != "other_language" for c in en)


def test_an_unknown_code_is_not_found(sandbox: Running) -> None:
    assert sandbox.request("GET", "/wallet/alipay/nothing").status == 404
    assert sandbox.request("GET", "/wallet/paypal/nothing").status == 404
