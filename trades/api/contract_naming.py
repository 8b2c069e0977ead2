"""The two ways to name a contract in a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api.fields import Errors, Shape, Text
from trades.api.naming import one_way

CONTRACT_EXAMPLE = {"merchant_no": "M0000000001", "app_contract_no": "CONTRACT-20261121-1"}


def _one_way(given: Mapping[str, Any], errors: Errors) -> None:
    one_way(given, errors, ours="contract_no", theirs="app_contract_no")


CONTRACT_NAME = Shape(
    fields={
        "contract_no": Text(most=64, about="The center's number."),
        "app_contract_no": Text(most=64, about="Your number, together with `merchant_no`."),
        "merchant_no": Text(most=32),
    },
    check=_one_way,
    any_of=(("contract_no",), ("app_contract_no", "merchant_no")),
)
