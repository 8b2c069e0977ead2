"""Which scenes a User-Agent gets."""

from __future__ import annotations

import pytest

from cashier.devices import device_of
from channels.base import Device
from tests.cashier.conftest import ALIPAY, MINI, PC, PHONE, WECHAT

ANDROID_WECHAT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/116.0 "
    "Mobile Safari/537.36 XWEB/1160117 MMWEBSDK/20240501 MicroMessenger/8.0.50.2701(0x28003259) WeChat/arm64"
)
WINDOWS_WECHAT = (
    "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 Chrome/107.0 Safari/537.36 MicroMessenger/7.0.20.1781"
    "(0x6700143B) NetType/WIFI MiniProgramEnv/Windows WindowsWechat/WMPF WindowsWechat(0x63090a13) XWEB/9129"
)


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (PC, Device.PC),
        ("", Device.PC),
        ("curl/8.5.0", Device.PC),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605.1.15", Device.PC),
        (PHONE, Device.MOBILE),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/126.0 Mobile Safari/537.36", Device.MOBILE),
        ("Mozilla/5.0 (Phone; OpenHarmony 5.0) ArkWeb/4.1 HarmonyOS Mobile", Device.MOBILE),
        (WECHAT, Device.WECHAT),
        (ANDROID_WECHAT, Device.WECHAT),
        (MINI, Device.MINI),
        (WINDOWS_WECHAT, Device.PC),
        (ALIPAY, Device.ALIPAY),
        (ALIPAY + " MiniProgram APXWebView", Device.ALIPAY),
    ],
)
def test_device_of_user_agent(user_agent: str, device: Device) -> None:
    assert device_of(user_agent) is device
