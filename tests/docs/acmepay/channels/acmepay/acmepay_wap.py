"""Phone page: the browser goes to AcmePay's page, which opens the app."""

from __future__ import annotations

from channels.acmepay.provider import AcmepayProvider
from channels.base import Device, Initiated, Label, Method, PayOrder, PayResult, Redirect, Refused


class AcmepayWap(Method):
    """https://docs.acmepay.example/scenes/page"""

    code = "acmepay_wap"
    name = Label("AcmePay（手机网页）", "AcmePay (phone page)")
    instruction = "redirect"
    devices = frozenset({Device.MOBILE})

    def pay(self, provider: AcmepayProvider, order: PayOrder) -> PayResult:
        found = provider.create(order, "page")
        return found if isinstance(found, Refused) else Initiated(instruction=Redirect(found))
