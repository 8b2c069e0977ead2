from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import PayOrder
from channels.base.config import clean_config
from channels.mpgs.provider import MpgsProvider
from paycenter.egress import EgressPolicy
from paycenter.http import HttpClient
from paycenter.money import Money
from tests.channels.mpgs.wire import (
    API_PASSWORD,
    CLIENT_ID,
    CLIENT_SECRET,
    MERCHANT,
    ORDER_NO,
    WEBHOOK_SECRET,
    Platform,
)

NOW = datetime(2026, 11, 21, 6, 20, tzinfo=UTC)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(scope="session")
def http() -> HttpClient:
    return HttpClient(EgressPolicy(("127.0.0.0/8",)))


@pytest.fixture(scope="module")
def server() -> Iterator[Platform]:
    platform = Platform()
    yield platform
    platform.stop()


@pytest.fixture
def platform(server: Platform) -> Iterator[Platform]:
    """Having said nothing yet; every answer a test prepares must be asked for."""
    server.forget()
    yield server
    assert server.replies == []
    assert server.token_replies == []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def raw_config(platform: Platform) -> dict[str, Any]:
    """What a clerk enters for the proxy."""
    return {
        "auth_mode": "oauth", "merchant_id": MERCHANT, "merchant_name": "安居物业", "base_url": platform.url + "/",
        "token_url": platform.url + "/oauth2/token", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "scope": "payments", "audience": "https://pay.example.com", "webhook_secret": WEBHOOK_SECRET,
    }  # fmt: skip


@pytest.fixture
def direct_config(platform: Platform) -> dict[str, Any]:
    """And for MPGS itself."""
    return {
        "auth_mode": "basic", "merchant_id": MERCHANT, "merchant_name": "安居物业", "base_url": platform.url,
        "api_password": API_PASSWORD, "api_version": 72, "webhook_secret": WEBHOOK_SECRET,
    }  # fmt: skip


Make = Callable[..., MpgsProvider]


@pytest.fixture
def make(raw_config: dict[str, Any], direct_config: dict[str, Any], http: HttpClient, clock: Clock) -> Make:
    """A provider as the core builds it, with some fields changed (None removes one)."""

    def build(*, direct: bool = False, **changes: Any) -> MpgsProvider:
        chosen = direct_config if direct else raw_config
        raw = {k: v for k, v in (chosen | changes).items() if v is not None}
        return MpgsProvider(clean_config(MpgsProvider, raw, NOW), http=http, clock=clock)

    return build


@pytest.fixture
def provider(make: Make) -> MpgsProvider:
    return make()


@pytest.fixture
def direct(make: Make) -> MpgsProvider:
    return make(direct=True)


def new_order(**changes: Any) -> PayOrder:
    fields: dict[str, Any] = {
        "order_no": ORDER_NO, "amount": Money(12345), "sent_at": NOW, "expire_at": NOW + timedelta(minutes=30),
        "subject": "2026年11月物业管理费", "notify_url": f"https://center.example.com/notify/mpgs_checkout/{ORDER_NO}",
        "return_url": f"https://center.example.com/return/mpgs_checkout/{ORDER_NO}",
    }  # fmt: skip
    return PayOrder(**(fields | changes))


@pytest.fixture
def order() -> PayOrder:
    return new_order()


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"
