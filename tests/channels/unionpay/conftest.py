from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import PayOrder, keys
from channels.base.config import clean_config
from channels.unionpay.provider import UnionPayProvider
from paycenter.egress import EgressPolicy
from paycenter.http import HttpClient
from paycenter.money import Money
from tests.channels.unionpay.wire import MER_ID, REAL_NAME, GatewayServer, Party, party, raw, signed

HTTP = HttpClient(EgressPolicy(("127.0.0.0/8",)))
# 18:30 UTC is 02:30 of the next day in Beijing: a wall clock of the wrong zone shows.
NOW = datetime(2026, 11, 20, 18, 30, 5, tzinfo=UTC)


@dataclass
class World:
    """Everybody with a certificate."""

    root: Party
    middle: Party
    unionpay: Party
    merchant: Party


@pytest.fixture(scope="session")
def parties() -> World:
    root = party("Root CA", authority=True)
    middle = party("OCA1", root, authority=True)
    return World(root, middle, party(REAL_NAME, middle), party("041@merchant@安居物业@1", middle))


@pytest.fixture
def gateway() -> Iterator[GatewayServer]:
    server = GatewayServer()
    yield server
    server.close()


@pytest.fixture
def raw_config(parties: World, gateway: GatewayServer) -> dict[str, Any]:
    return {
        "mer_id": MER_ID, "base_url": gateway.url,
        "sign_private_key": keys.private_key_pem(parties.merchant.key), "sign_cert": parties.merchant.pem,
        "root_cert": parties.root.pem, "middle_cert": parties.middle.pem,
    }  # fmt: skip


@pytest.fixture
def provider(raw_config: dict[str, Any]) -> UnionPayProvider:
    return make_provider(raw_config)


def make_provider(raw_config: dict[str, Any], now: datetime = NOW) -> UnionPayProvider:
    """`now` is the provider's clock; the configuration was entered at NOW."""
    return UnionPayProvider(clean_config(UnionPayProvider, raw_config, NOW), http=HTTP, clock=lambda: now)


@pytest.fixture
def order() -> PayOrder:
    return PayOrder(
        order_no="A0000000000000001", amount=Money(1234), sent_at=NOW, expire_at=NOW + timedelta(minutes=30),
        subject="物业费 {3栋}&502=A+B", body="", notify_url="https://pay.example.com/notify/unionpay_pc/A1",
        return_url="https://pay.example.com/return/unionpay_pc/A1",
    )  # fmt: skip


Answering = Callable[..., None]


@pytest.fixture
def answering(gateway: GatewayServer, parties: World) -> Answering:
    """Let the gateway answer every call with these values beside the echoed ones, signed by UnionPay."""

    def prepare(*, by: Party | None = None, **values: Any) -> None:
        def reply(asked: dict[str, str]) -> bytes:
            echoed = {name: asked[name] for name in ("merId", "orderId", "txnTime", "version", "signMethod")}
            fields = {k: v for k, v in {**echoed, **values}.items() if v is not None}
            return raw(signed(fields, by or parties.unionpay))

        gateway.reply = reply

    return prepare
