"""Names of ways to pay, as a resident reads them."""

from __future__ import annotations

import pytest

from cashier.naming import payer_names
from channels.base.discovery import method_for


@pytest.mark.parametrize(
    ("codes", "language", "names"),
    [
        (["alipay_wap", "wechat_h5"], "zh-hans", ["支付宝", "微信支付"]),
        (["alipay_wap", "wechat_h5"], "en", ["Alipay", "WeChat Pay"]),
        (["alipay_page", "alipay_qr", "wechat_native"], "zh-hans",
         ["支付宝（电脑网页）", "支付宝（扫码）", "微信扫码支付"]),
        (["alipay_page", "alipay_qr"], "en", ["Alipay (PC web)", "Alipay (QR code)"]),
        (["bank_wap", "unionpay_wap"], "zh-hans", ["银行", "银联在线支付"]),
        ([], "en", []),
    ],
)  # fmt: skip
def test_a_scene_is_named_only_to_tell_two_apart(codes: list[str], language: str, names: list[str]) -> None:
    assert payer_names([method_for(code) for code in codes], language) == names
