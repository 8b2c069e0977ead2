"""Codes of the records in words, in both languages."""

from __future__ import annotations

import pytest
from django.utils import translation

import merchants.admin  # noqa: F401 - it registers channels' names and states
import trades.admin  # noqa: F401 - so does it
from merchants.forms import method_label
from notifications.kinds import kind_label
from paycenter.staff.reasons import reason_word
from paycenter.staff.words import operation_word, party, state_word, states_words


@pytest.mark.parametrize(
    ("code", "chinese", "english"),
    [
        ("app:APP1", "应用 APP1", "App APP1"),
        ("channel:alipay", "支付宝", "Alipay"),
        ("channel:gone", "gone", "gone"),
        ("staff:ann", "员工 ann", "Staff ann"),
        ("staff", "员工", "Staff"),
        ("system", "系统", "Center"),
        ("system:query", "系统 查询", "Center query"),
        ("payer", "付款人", "Payer"),
        ("schedule", "自动重试", "by schedule"),
        ("policy", "策略", "Policy"),
        ("somebody:else", "somebody:else", "somebody:else"),
    ],
)
def test_who_it_was(code: str, chinese: str, english: str) -> None:
    with translation.override("zh-hans"):
        assert party(code) == chinese
    with translation.override("en"):
        assert party(code) == english


@pytest.mark.parametrize(
    ("reason", "chinese"),
    [
        ("WeChat Pay answered HTTP 500", "微信支付返回 HTTP 500"),
        ("Alipay answered ACQ.SYSTEM_ERROR", "支付宝返回 ACQ.SYSTEM_ERROR"),
        ("no connection: ClientConnectorError", "连接失败（ClientConnectorError）"),
        ("no answer within 8 s", "8 秒内没有应答"),
        ("the signature of Alipay's answer is wrong", "支付宝应答的签名不正确"),
        ("the answer is not credible: signed with a serial that is unknown or expired",
         "应答不可信：签名证书序列号未知或已过期"),
        ("the address is not public", "不是公网地址"),
        ("the channel says CLOSED, the center says paid", "渠道返回 CLOSED，本平台为已支付"),
        ("the channel can still refund 1.00 CNY, the refund is 2.50 CNY",
         "渠道剩余可退 1.00 CNY，本次退款 2.50 CNY"),
        ("no access token: no connection: TimeoutError", "无法获取访问凭证：连接失败（TimeoutError）"),
        ("UnionPay's answer cannot be trusted (the signature is wrong): 00 ok", "银联应答不可信（签名不正确）：00 ok"),
        ("line 7: of another day: 2026-03-01", "第 7 行：不属于该日：2026-03-01"),
        ("db.local resolves to an address that is not public", "db.local 解析到非公网地址"),
        ("closed at the channel", "已在渠道侧关闭"),
        ("租户要求", "租户要求"),
        ("100% %(who)s", "100% %(who)s"),
        ("", ""),
    ],
)  # fmt: skip
def test_why(reason: str, chinese: str) -> None:
    with translation.override("zh-hans"):
        assert reason_word(reason) == chinese
    with translation.override("en"):
        assert reason_word(reason).replace("(", "").replace(")", "") != "" or reason == ""


def test_states_read_as_a_change_only_where_something_changed() -> None:
    with translation.override("zh-hans"):
        assert states_words("paying", "paid") == "支付中 → 已支付"
        assert states_words("paying", "paying") == "支付中"
        assert states_words("", "waiting") == "待支付"
        assert states_words("", "") == ""
        assert state_word("nonsense") == "nonsense"
    with translation.override("en"):
        assert states_words("submitted", "succeeded", "attempt") == "submitted → succeeded"
        assert state_word("succeeded", "refund") == "refunded"


def test_calls_and_alerts_have_words_and_unknown_ones_stay() -> None:
    with translation.override("zh-hans"):
        assert (operation_word("gopay"), kind_label("give_up")) == ("下单请求", "通知已放弃")
        assert (operation_word("x"), kind_label("x")) == ("x", "x")


def test_staff_can_tell_methods_apart_that_payers_see_under_one_name() -> None:
    with translation.override("zh-hans"):
        labels = [method_label(code) for code in ("wechat_h5", "wechat_jsapi", "alipay_qr", "gone", None)]
    assert labels == ["微信支付 · H5", "微信支付 · JSAPI", "支付宝（扫码）", "gone", "–"]
