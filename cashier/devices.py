"""Where the payer looks at the page, told by the browser's User-Agent. A hint for choosing methods, never trusted."""

from __future__ import annotations

import re
from functools import lru_cache

from channels.base import Device

_MINI = re.compile(r"miniprogram", re.IGNORECASE)
_WECHAT = re.compile(r"micromessenger", re.IGNORECASE)
_WECHAT_DESKTOP = re.compile(r"windowswechat|macwechat|wxwork", re.IGNORECASE)
_ALIPAY = re.compile(r"alipayclient|alipaydefined", re.IGNORECASE)
_MOBILE = re.compile(r"mobile|android|iphone|ipod|ipad|harmonyos|opera mini", re.IGNORECASE)


@lru_cache(maxsize=2048)  # most payers' browsers name themselves alike
def device_of(user_agent: str) -> Device:
    """The scene of a User-Agent; an unknown or empty one counts as PC, where a QR code always works.

    WeChat names itself `MicroMessenger` and adds `miniProgram` in a mini program's web view; Alipay
    names itself `AlipayClient`, whose bridge can pay in its mini programs' web views too. WeChat's desktop
    programs cannot pay in the page: they count as PC.
    """
    if _WECHAT.search(user_agent):
        if _WECHAT_DESKTOP.search(user_agent):
            return Device.PC
        return Device.MINI if _MINI.search(user_agent) else Device.WECHAT
    if _ALIPAY.search(user_agent):
        return Device.ALIPAY
    return Device.MOBILE if _MOBILE.search(user_agent) else Device.PC
