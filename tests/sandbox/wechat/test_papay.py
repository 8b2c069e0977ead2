"""Deductions at WeChat Pay's stand-in: the signing page, contracts, deductions and what is told of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest

from sandbox.store import Store
from tests.sandbox.clients import WeChatMerchant
from tests.sandbox.running import Merchant, Running

NUMBER, ORDER_NO = "C20261121000000000000AAAAAAA", "A20261121000000000000BBBBBBB"
RECEIVED = b"<xml><return_code>SUCCESS</return_code><return_msg>OK</return_msg></xml>"
Fields = dict[str, str]


class Papay:
    """A merchant's side of API v2, written from the vendor's pages and nothing of the sandbox's."""

    def __init__(self, sandbox: Running, config: Fields, merchant: Merchant) -> None:
        self.sandbox, self.config, self.merchant = sandbox, config, merchant

    def sign(self, fields: Fields, key: str = "") -> str:
        pairs = "".join(f"{k}={v}&" for k, v in sorted(fields.items()) if v and k != "sign")
        return hashlib.md5(f"{pairs}key={key or self.config['api_v2_key']}".encode()).hexdigest().upper()

    def signed(self, fields: Fields) -> Fields:
        mine = {"appid": self.config["app_id"], "mch_id": self.config["mch_id"]} | fields
        return {"sign": self.sign(mine)} | mine

    def read(self, body: bytes) -> Fields:
        """A signed message, its signature checked."""
        found = {child.tag: child.text or "" for child in ElementTree.fromstring(body)}
        assert found["sign"] == self.sign(found)
        return found

    def post(self, path: str, fields: Fields) -> bytes:
        body = "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in fields.items())
        answer = self.sandbox.request("POST", path, f"<xml>{body}</xml>".encode(), {"Content-Type": "text/xml"})
        assert answer.status == 200
        return answer.body

    def call(self, path: str, **fields: str) -> Fields:
        return self.read(self.post(path, self.signed({"nonce_str": "N1", **fields})))

    def page(self, **changes: str) -> str:
        fields = {
            "plan_id": self.config["papay_plan_id"], "contract_code": NUMBER, "request_serial": "1763692200000000",
            "contract_display_account": "HOUSE-502", "notify_url": f"{self.merchant.url}/contract", "version": "1.0",
            "timestamp": str(int(time.time())), "return_web": "1",
        }  # fmt: skip
        return "/papay/entrustweb?" + urlencode(self.signed(fields | changes))

    def contract(self) -> str:
        """WeChat's number of a contract that was signed and told of."""
        pay = {"type": "redirect", "url": self.sandbox.url + self.page()}
        answer = self.sandbox.control("POST", f"/contracts/{NUMBER}", {"outcome": "sign", "pay": pay})
        assert answer.status == 200, answer.text
        return str(answer.json["channel_contract_no"])

    def deduct(self, contract_id: str, order_no: str = ORDER_NO, **changes: str) -> Fields:
        fields = {
            "out_trade_no": order_no, "body": "物业费", "total_fee": "8801", "spbill_create_ip": "127.0.0.1",
            "notify_url": f"{self.merchant.url}/paid", "trade_type": "PAP", "contract_id": contract_id,
        }  # fmt: skip
        return self.call("/pay/pappayapply", **(fields | changes))

    def told(self, path: str) -> list[Any]:
        return [told for told in list(self.merchant.told) if told.path == path]


@pytest.fixture
def papay(wechat: WeChatMerchant, merchant: Merchant) -> Papay:
    merchant.answer = (200, RECEIVED)
    return Papay(wechat.sandbox, wechat.config, merchant)


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not done():
        assert time.monotonic() < deadline, "what the test waits for did not come"
        time.sleep(0.01)


def test_the_page_takes_the_payer_to_the_phone_and_back_where_he_came_from(papay: Papay) -> None:
    page = papay.sandbox.request("GET", papay.page(), headers={"Referer": "https://app.example.com/from"})
    assert page.status == 302
    assert page.headers["location"].startswith("/wallet/contracts/wechat/")
    signed = papay.sandbox.request(
        "POST", page.headers["location"], "action=sign", {"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (signed.status, signed.headers["location"]) == (303, "https://app.example.com/from")
    until(lambda: papay.told("/contract"))
    notice = papay.read(papay.told("/contract")[0].body)
    assert (notice["change_type"], notice["contract_code"], "appid" in notice) == ("ADD", NUMBER, False)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"plan_id": "9"}, "模板"), ({"request_serial": "0123456789"}, "request_serial"),
        ({"request_serial": str(2**63)}, "request_serial"), ({"timestamp": "1"}, "timestamp"),
        ({"contract_code": "C-1"}, "contract_code"), ({"contract_display_account": "\U0001f600"}, "contract_display"),
        ({"version": "2.0"}, "version"), ({"notify_url": "https://x/n?a=1"}, "notify_url"),
        ({"sign_type": "HMAC-SHA256"}, "签名"), ({"mch_id": "1"}, "mch_id"), ({"appid": "wx1"}, "appid"),
    ],
)  # fmt: skip
def test_a_wrong_page_shows_an_error(papay: Papay, changes: Fields, word: str) -> None:
    shown = papay.sandbox.request("GET", papay.page(**changes))
    assert (shown.status, word in shown.text) == (200, True)
    assert papay.sandbox.control("GET", f"/contracts/{NUMBER}").status == 404


def test_a_page_that_was_tampered_with_does_not_open(papay: Papay) -> None:
    shown = papay.sandbox.request("GET", papay.page().replace("HOUSE-502", "HOUSE-503"))
    assert "签名错误" in shown.text


def test_a_contract_from_signing_to_its_end(papay: Papay) -> None:
    planned = {"plan_id": papay.config["papay_plan_id"], "contract_code": NUMBER, "version": "1.0"}
    unknown = papay.call("/papay/querycontract", **planned)
    assert (unknown["result_code"], unknown["err_code"]) == ("FAIL", "CONTRACT_NOT_EXIST")
    number = papay.contract()

    found = papay.call("/papay/querycontract", **planned)
    assert (found["contract_state"], found["contract_id"]) == ("0", number)
    named = {"contract_id": number, "version": "1.0"}
    assert papay.call("/papay/querycontract", **named)["contract_code"] == NUMBER
    assert papay.call("/papay/deletecontract", **named)["err_code"] == "PARAMETER FAIL"
    ended = papay.call("/papay/deletecontract", contract_termination_remark="x", **named)
    assert (ended["result_code"], ended["contract_id"]) == ("SUCCESS", number)

    found = papay.call("/papay/querycontract", **named)
    assert (found["contract_state"], bool(found["contract_terminated_time"])) == ("1", True)
    again = papay.call("/papay/deletecontract", contract_termination_remark="x", **named)
    assert again["err_code"] == "CONTRACT_NOT_EXIST"
    assert papay.deduct(number)["err_code"] == "CONTRACT_NOT_EXIST"
    until(lambda: {papay.read(told.body)["change_type"] for told in papay.told("/contract")} == {"ADD", "DELETE"})


def test_a_deduction_moves_money_at_once_and_is_told(papay: Papay) -> None:
    assert papay.deduct("Wx1")["err_code"] == "CONTRACT_NOT_EXIST"
    assert papay.deduct(papay.contract())["result_code"] == "SUCCESS"
    for path in ("/pay/paporderquery", "/pay/orderquery"):
        found = papay.call(path, out_trade_no=ORDER_NO)
        assert (found["trade_state"], found["total_fee"], found["trade_type"]) == ("SUCCESS", "8801", "PAP")
    until(lambda: papay.told("/paid"))
    notice = papay.read(papay.told("/paid")[0].body)
    assert (notice["out_trade_no"], notice["total_fee"], notice["transaction_id"]) == (
        ORDER_NO, "8801", found["transaction_id"]
    )  # fmt: skip
    assert papay.deduct("Wx1")["err_code"] == "ORDERPAID"
    assert papay.call("/pay/closeorder", out_trade_no=ORDER_NO)["err_code"] == "ORDERPAID"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"total_fee": "0"}, "PARAM_ERROR"), ({"total_fee": "88.01"}, "PARAM_ERROR"),
        ({"fee_type": "USD"}, "PARAM_ERROR"),
        ({"out_trade_no": "x" * 33}, "PARAM_ERROR"), ({"notify_url": "https://x/n?a=1"}, "PARAM_ERROR"),
        ({"trade_type": "JSAPI"}, "PARAM_ERROR"), ({"spbill_create_ip": ""}, "PARAM_ERROR"),
        ({"body": "x" * 128}, "PARAM_ERROR"),
    ],
)  # fmt: skip
def test_a_wrong_deduction_is_refused_and_leaves_no_order(papay: Papay, changes: Fields, code: str) -> None:
    refused = papay.deduct(papay.contract(), **changes)
    assert (refused["result_code"], refused["err_code"]) == ("FAIL", code)
    assert papay.call("/pay/orderquery", out_trade_no=ORDER_NO)["err_code"] == "ORDERNOTEXIST"


def test_no_deduction_above_what_the_payer_allows(papay: Papay) -> None:
    number = papay.contract()
    papay.sandbox.control("POST", f"/contracts/{NUMBER}", {"outcome": "limit", "amount": 100})
    assert papay.deduct(number, total_fee="101")["err_code"] == "RULELIMIT"
    assert papay.deduct(number, total_fee="100")["result_code"] == "SUCCESS"


def test_a_closed_order_is_known_to_the_general_query_alone(papay: Papay, wechat: WeChatMerchant) -> None:
    assert wechat.native("W00001", 1234).status == 200
    assert papay.call("/pay/orderquery", out_trade_no="W00001")["trade_state"] == "NOTPAY"
    assert papay.call("/pay/closeorder", out_trade_no="W00001")["result_code"] == "SUCCESS"
    assert papay.call("/pay/closeorder", out_trade_no="W00001")["err_code"] == "ORDERCLOSED"
    assert papay.call("/pay/orderquery", out_trade_no="W00001")["trade_state"] == "CLOSED"
    assert papay.call("/pay/paporderquery", out_trade_no="W00001")["err_code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("answer", [(204, b""), (200, b"success"), (200, b"<xml>\n" + RECEIVED[5:]), (500, RECEIVED)])
def test_only_the_very_word_stops_the_retries(papay: Papay, merchant: Merchant, answer: tuple[int, bytes]) -> None:
    merchant.answer = answer
    papay.deduct(papay.contract())
    until(lambda: len(papay.told("/paid")) >= 2 and len(papay.told("/contract")) >= 2)


def test_the_word_does_stop_them(papay: Papay) -> None:
    papay.deduct(papay.contract())
    until(lambda: papay.told("/paid") and papay.told("/contract"))
    time.sleep(0.3)  # the first retry would have come after 0.02 s
    assert (len(papay.told("/paid")), len(papay.told("/contract"))) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("normal", {}), ("wrong_amount", {"total_fee": "8802"}), ("wrong_currency", {"fee_type": "EUR"}),
        ("other_order", {"out_trade_no": f"X{ORDER_NO[1:]}"}), ("other_merchant", {}),
    ],
)  # fmt: skip
def test_fakes_are_signed_and_only_their_contents_are_wrong(papay: Papay, kind: str, changed: Fields) -> None:
    papay.deduct(papay.contract())
    until(lambda: papay.told("/paid"))
    papay.sandbox.control("POST", "/notify", {"attempt_no": ORDER_NO, "notify": kind})
    until(lambda: len(papay.told("/paid")) == 2)
    notice = papay.read(papay.told("/paid")[-1].body)
    assert changed.items() <= notice.items()
    assert (notice["mch_id"] != papay.config["mch_id"]) == (kind == "other_merchant")


@pytest.mark.parametrize("kind", ["forged", "unsigned"])
def test_fakes_with_a_wrong_signature_or_none(papay: Papay, kind: str) -> None:
    papay.deduct(papay.contract())
    until(lambda: papay.told("/paid"))
    papay.sandbox.control("POST", "/notify", {"attempt_no": ORDER_NO, "notify": kind})
    papay.sandbox.control("POST", f"/contracts/{NUMBER}/notify", {"notify": kind})
    until(lambda: len(papay.told("/paid")) == 2 and len(papay.told("/contract")) == 2)
    for path in ("/paid", "/contract"):
        found = {child.tag: child.text or "" for child in ElementTree.fromstring(papay.told(path)[-1].body)}
        assert ("sign" in found) == (kind == "forged")
        assert found.get("sign") != papay.sign(found)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"sign": "0" * 32}, "签名错误"), ({"sign": ""}, "签名错误"), ({"mch_id": "1"}, "mch_id参数错误"),
        ({"appid": "wx1"}, "appid与mch_id不匹配"), ({"sign_type": "RSA"}, "签名错误"),
    ],
)  # fmt: skip
def test_a_stranger_is_turned_away_without_a_signature(papay: Papay, spoil: Fields, words: str) -> None:
    body = papay.post("/pay/orderquery", papay.signed({"out_trade_no": ORDER_NO}) | spoil)
    found = {child.tag: child.text for child in ElementTree.fromstring(body)}
    assert found == {"return_code": "FAIL", "return_msg": words}


@pytest.mark.parametrize("body", [b"", b"{}", b"<xml>", b"<!DOCTYPE xml><xml/>", b"<xml><a><b>1</b></a></xml>"])
def test_what_is_no_flat_xml_is_turned_away(papay: Papay, body: bytes) -> None:
    answer = papay.sandbox.request("POST", "/pay/pappayapply", body)
    assert "XML格式错误" in answer.text


@pytest.mark.parametrize(("fault", "signed"), [("bad_signature", "wrong"), ("no_signature", None)])
def test_faults_of_the_signature(papay: Papay, fault: str, signed: str | None) -> None:
    data = {"channel": "wechat", "operation": "query", "fault": fault}
    assert papay.sandbox.control("POST", "/faults", data).status in (200, 201)
    body = papay.post("/pay/orderquery", papay.signed({"out_trade_no": ORDER_NO}))
    found = {child.tag: child.text or "" for child in ElementTree.fromstring(body)}
    assert ("sign" in found) == bool(signed)
    assert found.get("sign") != papay.sign(found)


def test_an_account_from_before_has_no_deduction(papay: Papay) -> None:
    store = Store(papay.sandbox._state)
    store.run("UPDATE account SET config = json_remove(config, '$.api_v2_key') WHERE key = ?", papay.config["mch_id"])
    store.close()
    body = papay.post("/pay/orderquery", papay.signed({"out_trade_no": ORDER_NO}))
    assert "mch_id参数错误" in body.decode()
