"""What the parts of one running sandbox share."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from sandbox import keys
from sandbox.agreements import Agreements
from sandbox.book import Book
from sandbox.channel import Channel, channel_classes
from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.notifier import Notifier
from sandbox.records import Payment
from sandbox.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`ladder_speed` divides the providers' own retry schedules; `refund_delay` is how many seconds
    an asynchronous refund takes; `same_day_bills` allows what no provider does, a bill of today;
    with `qr_trade_on_scan` an Alipay QR order exists only once it was scanned."""

    ladder_speed: float = 60.0
    refund_delay: float = 1.0
    same_day_bills: bool = False
    qr_trade_on_scan: bool = False


class Context:
    def __init__(self, store: Store, settings: Settings | None = None, clock: Clock = time.time) -> None:
        self.store = store
        self.settings = settings or Settings()
        self.clock = clock
        self.book = Book(store, clock, self.settings.refund_delay)
        self.faults = Faults(store)
        self.channels: Mapping[str, Channel] = {code: cls(self) for code, cls in channel_classes().items()}
        self.agreements = Agreements(self)
        self.notifier = Notifier(self)
        self.forger = _nobodys_key(store)

    def channel_of(self, payment: Payment) -> Channel:
        return self.channels[payment.channel]

    def token(self) -> str:
        """Unguessable, letters and digits."""
        return secrets.token_hex(16)


def base_url(request: web.Request) -> str:
    """The address under which the caller reached this program."""
    return f"{request.scheme}://{request.host}"


def _nobodys_key(store: Store) -> str:
    """The key that forgers sign with: no contract knows it."""
    pem = store.setting("forger_key")
    if pem is None:
        pem = keys.private_pem(keys.new_rsa())
        store.set_setting("forger_key", pem)
    return pem
