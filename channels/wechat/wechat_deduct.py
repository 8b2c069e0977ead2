"""Deduction without password under a signed contract: https://pay.weixin.qq.com/doc/v2/merchant/4011987377"""

from __future__ import annotations

from channels.base import Label, PayOrder, PayResult
from channels.wechat.contracts import WeChatContracts
from channels.wechat.deductions import deduct
from channels.wechat.provider import WeChatPay


class WeChatDeduct(WeChatContracts):
    code = "wechat_deduct"
    name = Label("微信免密代扣", "WeChat Pay deduction without password")

    def pay(self, provider: WeChatPay, order: PayOrder) -> PayResult:
        return deduct(provider.v2, order)
