"""An order as it stands in the stream: its trade and its page, not stored yet, as JSON text and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cashier.intake.stream import Entry, Names
from cashier.models import CashierOrder
from merchants.models import App, Merchant
from paycenter.crypto import decrypt, encrypt
from paycenter.errors import ConfigError
from trades.models import Trade
from trades.opening import KEPT, new_trade
from trades.orders import OrderRequest

_VERSION = 1
_TIMES = ("created_at", "expire_at")
_PLAIN = (*KEPT, "trade_no", "phone_tail")


class Unreadable(ValueError):
    """An entry that is no order of ours; says why."""


@dataclass(frozen=True, slots=True)
class TakenOrder:
    """`page.trade` is `trade`, whose app and merchant are loaded."""

    trade: Trade
    page: CashierOrder

    @classmethod
    def of(cls, app: App, merchant: Merchant, order: OrderRequest, rows: list[dict[str, str]]) -> TakenOrder:
        """Under new numbers. Raises BadParameter."""
        trade = new_trade(app, merchant, order)
        return cls(trade, CashierOrder(trade=trade, display=rows))

    @property
    def names(self) -> Names:
        order = order_name(self.trade.app_id, self.trade.merchant.merchant_no, self.trade.app_order_no)
        return Names(order, self.trade.trade_no, self.page.token, self.page.code)

    def text(self) -> str:
        """The payer is encrypted as in the database; the rest is plain there, too."""
        payer = None if self.trade.payer is None else encrypt(json.dumps(self.trade.payer))
        return json.dumps({
            "v": _VERSION, "app": self.trade.app_id, "merchant": self.trade.merchant_id, "payer": payer,
            "token": self.page.token, "code": self.page.code, "display": self.page.display,
            **{name: getattr(self.trade, name) for name in _PLAIN},
            **{name: getattr(self.trade, name).isoformat() for name in _TIMES},
        }, ensure_ascii=False, separators=(",", ":"))  # fmt: skip


def order_name(app_id: int, merchant_no: str, app_order_no: str) -> str:
    """What an app's order is called in the stream."""
    return f"{app_id}:{merchant_no}:{app_order_no}"


def read(entries: Sequence[Entry]) -> list[TakenOrder | Unreadable]:
    """The orders in these entries, in two queries."""
    parsed = [_parsed(entry.text) for entry in entries]
    apps = App.objects.defer("webhook_secret", "webhook_secret_previous").in_bulk(_keys(parsed, "app"))
    merchants = Merchant.objects.in_bulk(_keys(parsed, "merchant"))
    return [_order(one, apps, merchants) if isinstance(one, dict) else one for one in parsed]


def _keys(parsed: Iterable[dict[str, Any] | Unreadable], name: str) -> set[int]:
    return {one[name] for one in parsed if isinstance(one, dict)}


def _parsed(text: str) -> dict[str, Any] | Unreadable:
    try:
        found = json.loads(text)
        version = found["v"]
        numbers = isinstance(found["app"], int) and isinstance(found["merchant"], int)
    except (ValueError, KeyError, TypeError) as exc:
        return Unreadable(f"no order: {type(exc).__name__}")
    return found if version == _VERSION and numbers else Unreadable(f"an order of version {version!r}")


def _order(
    found: dict[str, Any], apps: dict[int, App], merchants: dict[int, Merchant]
) -> TakenOrder | Unreadable:
    try:
        payer = None if found["payer"] is None else json.loads(decrypt(found["payer"]))
        times = {name: datetime.fromisoformat(found[name]) for name in _TIMES}
        trade = Trade(
            app=apps[found["app"]], merchant=merchants[found["merchant"]], payer=payer, **times,
            next_close_at=times["expire_at"], **{name: found[name] for name in _PLAIN},
        )  # fmt: skip
        page = CashierOrder(trade=trade, token=found["token"], code=found["code"], display=found["display"])
    except (KeyError, TypeError, ValueError, ConfigError) as exc:
        return Unreadable(f"{type(exc).__name__}: {exc}")
    return TakenOrder(trade, page)
