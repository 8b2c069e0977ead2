"""Hosted checkout: the payer's browser goes to MPGS' own card page and comes back."""

from __future__ import annotations

from channels.base import Device, Label, Method, PayOrder, PayResult
from channels.mpgs.provider import MpgsProvider


class MpgsCheckout(Method):
    """https://test-gateway.mastercard.com/api/documentation/integrationGuidelines/hostedCheckout/integrationModelHostedCheckout.html"""

    code = "mpgs_checkout"
    name = Label("国际信用卡", "International card")
    instruction = "redirect"
    devices = frozenset({Device.PC, Device.MOBILE})
    own_cashier = True
    currencies = frozenset({"CNY", "USD", "JPY", "KWD"})

    def pay(self, provider: MpgsProvider, order: PayOrder) -> PayResult:
        return provider.start(order)
