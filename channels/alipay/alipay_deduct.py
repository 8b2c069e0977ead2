"""Deduction without password under a signed agreement: nobody is asked, Alipay answers at once."""

from __future__ import annotations

from channels.alipay.contracts import PRODUCT, AlipayContracts, deduct
from channels.alipay.provider import AlipayProvider
from channels.base import Label, PayOrder, PayResult


class AlipayDeduct(AlipayContracts):
    """https://opendocs.alipay.com/open/1f1fe18c_alipay.trade.pay with `agreement_params`"""

    code = "alipay_deduct"
    name = Label("支付宝免密代扣", "Alipay deduction without password")

    def pay(self, provider: AlipayProvider, order: PayOrder) -> PayResult:
        return deduct(provider, order, PRODUCT)
