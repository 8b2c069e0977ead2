from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from channels.base import Initiated, QrCode
from channels.base.discovery import method_for, provider_code_of
from tests.channels.wechat.conftest import ORDER_NO
from tests.channels.wechat.standin import APP_ID, MCH_ID


def test_a_qr_code_comes_back_for_the_order_as_sent(provider, order, channel, says):
    says(200, {"code_url": "weixin://wxpay/bizpayurl?pr=p4lpSuKzz"})
    result = provider.pay("wechat_native", order)
    assert result == Initiated(instruction=QrCode("weixin://wxpay/bizpayurl?pr=p4lpSuKzz"))
    (request,) = channel.requests
    assert (request.method, request.target) == ("POST", "/v3/pay/transactions/native")
    sent = request.json
    expire = datetime.fromisoformat(sent.pop("time_expire"))
    assert abs((order.expire_at - expire).total_seconds()) < 1
    assert expire <= order.expire_at
    assert sent == {
        "appid": APP_ID, "mchid": MCH_ID, "description": "2026年11月物业管理费", "out_trade_no": ORDER_NO,
        "notify_url": order.notify_url, "amount": {"total": 12345, "currency": "CNY"},
    }  # fmt: skip


def test_the_public_key_is_asked_for_so_that_it_signs_the_answer(provider, order, channel, says):
    says(200, {"code_url": "weixin://wxpay/bizpayurl?pr=1"})
    provider.pay("wechat_native", order)
    assert channel.requests[0].headers["wechatpay-serial"].startswith("PUB_KEY_ID_")


def test_the_file_registers_the_scene():
    assert provider_code_of("wechat_native") == "wechat"
    assert method_for("wechat_native").instruction == "qrcode"
    assert method_for("wechat_native").currencies == {"CNY"}


@pytest.fixture
def utc_process(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("utc_process")
def test_the_time_of_expiry_is_beijing_time_whatever_zone_the_process_runs_in(
    provider, make_order, channel, says
):
    says(200, {"code_url": "weixin://x"})
    sent_at, expire_at = datetime(2026, 11, 21, 15, tzinfo=UTC), datetime(2026, 11, 21, 16, 4, 5, tzinfo=UTC)
    provider.pay("wechat_native", make_order(sent_at=sent_at, expire_at=expire_at))
    assert channel.requests[0].json["time_expire"] == "2026-11-22T00:04:05+08:00"
