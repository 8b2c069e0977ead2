"""What gopay and cashier orders take alike: the order's own fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from merchants.api.fields import (
    PRINTABLE_ASCII,
    Address,
    Boolean,
    Currency,
    Errors,
    FreeObject,
    Instant,
    Integer,
    IpAddress,
    Param,
    Shape,
    Text,
    amount,
)
from trades.orders import OrderRequest

DETAIL_BYTES = 4 * 1024
MIN_EXPIRE_IN, MAX_EXPIRE_IN, DEFAULT_EXPIRE_IN = 60, 604_800, 1800
_PHONE = r"\+?[0-9][0-9 -]{3,18}[0-9]"

ORDER_FIELDS: Mapping[str, Param] = {
    "merchant_no": Text(required=True, most=32),
    "app_order_no": Text(
        required=True, most=64, pattern=PRINTABLE_ASCII, hint="printable ASCII", about="Your number for the order."
    ),
    "amount": amount(),
    "currency": Currency(default="CNY"),
    "subject": Text(required=True, most=128),
    "body": Text(least=0, most=256, default=""),
    "detail": FreeObject(most_bytes=DETAIL_BYTES, about="Returned untouched; at most 4 KiB."),
    "attach": Text(least=0, most=256, about="Returned untouched."),
    "business_no": Text(least=0, most=64, default="", about="Binds several orders of one business."),
    "expire_in": Integer(
        least=MIN_EXPIRE_IN, most=MAX_EXPIRE_IN, about="Seconds; 1800 when neither it nor `expire_at` is given."
    ),
    "expire_at": Instant(about="Instead of `expire_in`."),
    "notify_url": Address(default=""),
    "return_url": Address(default=""),
    "client_ip": IpAddress(),
    "funding": Text(most=32, about="Restricts or asks for a funding source, e.g. credit, huabei."),
    "payer": Shape(
        default={},
        sparse=True,
        about="What the method needs to know of the payer; keys it does not use are ignored.",
        fields={
            "openid": Text(most=128),
            "buyer_id": Text(most=128),
            "phone": Text(most=20, pattern=_PHONE, hint="a phone number"),
        },
    ),
    "profit_sharing": Boolean(default=False),
}

ORDER_EXAMPLE = {
    "merchant_no": "M0000000001",
    "app_order_no": "ORDER-20261121-1",
    "amount": 12345,
    "currency": "CNY",
    "subject": "物业费 2026-11",
    "expire_in": 1800,
    "notify_url": "https://app.example/pay/notify",
    "return_url": "https://app.example/pay/done",
}


def check_expiry(given: Mapping[str, Any], errors: Errors) -> None:
    """At most one of the two ways to say when the order expires."""
    if given["expire_in"] is not None and given["expire_at"] is not None:
        errors["expire_at"] = ["give expire_in or expire_at, not both"]


def order_request(given: Mapping[str, Any]) -> OrderRequest:
    """The order in the cleaned fields of a call."""
    found = {name: given[name] for name in ORDER_FIELDS}
    if found["expire_in"] is None and found["expire_at"] is None:
        found["expire_in"] = DEFAULT_EXPIRE_IN
    return OrderRequest(**found)
