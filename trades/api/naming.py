"""The two ways to name a trade in a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api.fields import Errors, Shape, Text


def one_way(given: Mapping[str, Any], errors: Errors, *, ours: str, theirs: str) -> None:
    """The center's number alone, or the app's number with `merchant_no`."""
    by_ours = given[ours] is not None
    for name in (theirs, "merchant_no"):
        if by_ours and given[name] is not None:
            errors[name] = [f"give {ours}, or {theirs} with merchant_no, not both"]
    if not by_ours and given[theirs] is None and given["merchant_no"] is None:
        errors[ours] = [f"required, unless {theirs} and merchant_no are given"]
    elif not by_ours:
        errors.update({n: ["required"] for n in (theirs, "merchant_no") if given[n] is None})


def _one_way(given: Mapping[str, Any], errors: Errors) -> None:
    one_way(given, errors, ours="trade_no", theirs="app_order_no")


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
