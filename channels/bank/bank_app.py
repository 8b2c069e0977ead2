"""Native app: the bank's SDK takes the signed order and posts it itself; the center calls nobody."""

from __future__ import annotations

from channels.bank.provider import BankProvider
from channels.base import Initiated, Label, Method, PayOrder, PayResult, SdkParams


class BankApp(Method):
    """docs/channels/bank.md; number and date follow https://openhome.cmbchina.com/pay/Default.aspx"""

    code = "bank_app"
    name = Label("银行（App）", "Bank (app)")
    instruction = "sdk"

    def pay(self, provider: BankProvider, order: PayOrder) -> PayResult:
        return Initiated(instruction=SdkParams(provider.order_fields(order, "APP")))
