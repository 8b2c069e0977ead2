"""What an app asks for, validated: the input of the trade services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRequest:
    """An order's content as the app sent it; `amount` in minor units of `currency`.

    Exactly one of `expire_in` (seconds) and `expire_at` (aware) is set; they count only when the order
    is new. `notify_url` and `return_url` are empty where the app gave none.
    """

    merchant_no: str
    app_order_no: str
    amount: int
    subject: str
    currency: str = "CNY"
    body: str = ""
    detail: Mapping[str, Any] | None = None
    attach: str | None = None
    business_no: str = ""
    expire_in: int | None = 1800
    expire_at: datetime | None = None
    notify_url: str = ""
    return_url: str = ""
    client_ip: str | None = None
    funding: str | None = None
    payer: Mapping[str, str] = field(default_factory=dict)
    profit_sharing: bool = False
