"""The two ways to name a trade in a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api.fields import Errors, Shape, Text


def _one_way(given: Mapping[str, Any], errors: Errors) -> None:
    """`trade_no` alone, or `app_order_no` with `merchant_no`."""
    by_ours = given["trade_no"] is not None
    for name in ("app_order_no", "merchant_no"):
        if by_ours and given[name] is not None:
            errors[name] = ["give trade_no, or app_order_no with merchant_no, not both"]
    if not by_ours and given["app_order_no"] is None and given["merchant_no"] is None:
        errors["trade_no"] = ["required, unless app_order_no and merchant_no are given"]
    elif not by_ours:
        errors.update({n: ["required"] for n in ("app_order_no", "merchant_no") if given[n] is None})


TRADE_NAME = Shape(
    fields={
        "trade_no": Text(most=64, about="The center's number."),
        "app_order_no": Text(most=64, about="Your number, together with `merchant_no`."),
        "merchant_no": Text(most=32),
    },
    check=_one_way,
    any_of=(("trade_no",), ("app_order_no", "merchant_no")),
)

NAME_EXAMPLE = {"merchant_no": "M0000000001", "app_order_no": "ORDER-20261121-1"}
