"""POST /v1/contract/sign: a contract for deduction without password, to be signed by the payer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api import errors
from merchants.api.endpoint import Endpoint
from merchants.api.fields import PRINTABLE_ASCII, Address, MethodCode, Shape, Text
from merchants.models import App
from trades.api.answers import CONTRACT
from trades.api.orders import ORDER_FIELDS
from trades.contracts.selectors import contract_data
from trades.contracts.services import ContractRequest, contract_sign


class ContractSign(Endpoint):
    operation = "contract_sign"
    about = "Prepare a contract for deduction without password; `pay` takes the payer to its signing."
    takes = Shape(
        fields={
            "merchant_no": Text(required=True, most=32),
            "payment_no": Text(most=32, about="May be left out when one active account has the method."),
            "method": MethodCode(required=True),
            "app_contract_no": Text(
                required=True, most=64, pattern=PRINTABLE_ASCII, hint="printable ASCII",
                about="Your number for the contract.",
            ),
            "payer": ORDER_FIELDS["payer"],
            "notify_url": Address(default=""),
            "return_url": Address(default=""),
        }
    )  # fmt: skip
    example = {
        "merchant_no": "M0000000001", "method": "alipay_deduct", "app_contract_no": "CONTRACT-20261121-1",
        "notify_url": "https://app.example/pay/notify", "return_url": "https://app.example/contract/done",
    }  # fmt: skip
    answers = CONTRACT
    errors = (errors.NotPermitted, errors.ContentDiffers, errors.ChannelRefused, errors.ChannelUnknown)

    def answer(self, app: App, given: dict[str, Any]) -> Mapping[str, Any]:
        return contract_data(contract_sign(app=app, request=ContractRequest(**given)))
