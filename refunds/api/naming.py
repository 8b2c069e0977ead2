"""The two ways to name a refund in a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api.fields import Errors, Shape, Text
from trades.api.naming import one_way

REFUND_EXAMPLE = {"merchant_no": "M0000000001", "app_refund_no": "REFUND-20261121-1"}


def _one_way(given: Mapping[str, Any], errors: Errors) -> None:
    one_way(given, errors, ours="refund_no", theirs="app_refund_no")


REFUND_NAME = Shape(
    fields={
        "refund_no": Text(most=64, about="The center's number."),
        "app_refund_no": Text(most=64, about="Your number, together with `merchant_no`."),
        "merchant_no": Text(most=32),
    },
    check=_one_way,
    any_of=(("refund_no",), ("app_refund_no", "merchant_no")),
)
