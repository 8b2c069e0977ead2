"""What we send: the stand-in verifies each request as strictly as WeChat Pay and answers 401 otherwise."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from channels.base import Refused
from tests.channels.wechat.conftest import transaction
from tests.channels.wechat.standin import new_certificate, pem

URL = {"code_url": "weixin://wxpay/bizpayurl?pr=1"}


def authorization(request) -> dict[str, str]:
    return dict(re.findall(r'([a-z_]+)="([^"]*)"', request.headers["authorization"]))


def test_a_bar_and_a_star_in_an_order_number_are_signed_as_they_are_sent(
    provider, make_order, channel, says
):
    number = "A|B*C-D_E"
    says(200, transaction(out_trade_no=number))
    says(204)
    assert provider.query(make_order(order_no=number)).order_no == number
    provider.close(make_order(order_no=number))
    assert [r.target for r in channel.requests] == [
        "/v3/pay/transactions/out-trade-no/A%7CB%2AC-D_E?mchid=1900007291",
        "/v3/pay/transactions/out-trade-no/A%7CB%2AC-D_E/close",
    ]


def test_a_base_address_with_a_path_is_part_of_what_is_signed(make_provider, order, channel, says):
    says(200, URL)
    make_provider(base_url=channel.url + "/wx/").pay("wechat_native", order)
    assert channel.requests[0].target == "/wx/v3/pay/transactions/native"


def test_the_serial_is_upper_hex_in_whole_bytes(provider, order, channel, says):
    says(200, URL)
    provider.pay("wechat_native", order)
    assert authorization(channel.requests[0])["serial_no"] == "0ABC1234"


def test_no_two_calls_share_a_nonce(provider, order, channel, says):
    for _ in range(3):
        says(200, URL)
        provider.pay("wechat_native", order)
    nonces = {authorization(r)["nonce_str"] for r in channel.requests}
    assert len(nonces) == 3
    assert all(len(n) == 32 for n in nonces)


def test_headers_wechat_pay_insists_on_are_there(provider, order, channel, says):
    says(200, URL)
    provider.pay("wechat_native", order)
    headers = channel.requests[0].headers
    assert headers["accept"] == headers["content-type"] == "application/json"
    assert headers["user-agent"]


def test_a_wrong_clock_is_refused_in_the_channels_words(make_provider, order, says):
    late = make_provider(clock=lambda: datetime.now(UTC) + timedelta(minutes=6))
    result = late.pay("wechat_native", order)
    assert isinstance(result, Refused)
    assert result.code == "SIGN_ERROR"
    assert "5分钟" in result.message


def test_another_certificate_than_the_channel_knows_is_refused(make_provider, order, wx_keys):
    renewed = make_provider(merchant_cert=pem(new_certificate(wx_keys.merchant)))
    result = renewed.pay("wechat_native", order)
    assert isinstance(result, Refused)
    assert result.code == "SIGN_ERROR"


@pytest.mark.parametrize("mode", ["public_key", "platform_certificate"])
def test_the_public_key_is_asked_for_only_in_its_mode(mode, make_provider, order, channel, says):
    says(200, URL)
    make_provider(verify_mode=mode).pay("wechat_native", order)
    assert ("wechatpay-serial" in channel.requests[0].headers) is (mode == "public_key")
