"""PC web page: the browser posts the signed order to the bank's own page."""

from __future__ import annotations

from channels.bank.provider import BankProvider
from channels.base import Device, Form, Initiated, Label, Method, PayOrder, PayResult


class BankPc(Method):
    """docs/channels/bank.md; number and date follow https://openhome.cmbchina.com/pay/Default.aspx"""

    code = "bank_pc"
    name = Label("银行（电脑网页）", "Bank (PC web)")
    instruction = "form"
    devices = frozenset({Device.PC})
    own_cashier = True

    def pay(self, provider: BankProvider, order: PayOrder) -> PayResult:
        fields = provider.order_fields(order, "PC")
        return Initiated(instruction=Form(provider.gateway.address("/pay"), fields))
