from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.alipay.provider import AlipayProvider
from channels.base import PayOrder, keys
from channels.base.config import clean_config
from paycenter.egress import EgressPolicy
from paycenter.http import HttpClient
from paycenter.money import Money
from tests.channels.alipay.wire import APP_ID, SELLER_ID, GatewayServer, answer

# 18:30 UTC is 02:30 of the next day in Beijing: a wall clock of the wrong zone shows.
HTTP = HttpClient(EgressPolicy(("127.0.0.0/8",)))
NOW = datetime(2026, 11, 20, 18, 30, 5, tzinfo=UTC)


@pytest.fixture(scope="session")
def app_key() -> RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def alipay_key() -> RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def other_key() -> RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def gateway() -> Iterator[GatewayServer]:
    server = GatewayServer()
    yield server
    server.close()


@pytest.fixture
def raw_config(app_key: RSAPrivateKey, alipay_key: RSAPrivateKey, gateway: GatewayServer) -> dict[str, Any]:
    return {
        "app_id": APP_ID,
        "seller_id": SELLER_ID,
        "app_private_key": keys.private_key_pem(app_key),
        "alipay_public_key": keys.public_key_pem(alipay_key.public_key()),
        "gateway_url": gateway.url,
    }


@pytest.fixture
def provider(raw_config: dict[str, Any]) -> AlipayProvider:
    return make_provider(raw_config)


def make_provider(raw: dict[str, Any]) -> AlipayProvider:
    config = clean_config(AlipayProvider, raw, NOW)
    return AlipayProvider(config, http=HTTP, clock=lambda: NOW)


@pytest.fixture
def order() -> PayOrder:
    return PayOrder(
        order_no="A0000000000000001", amount=Money(1234), sent_at=NOW, expire_at=NOW + timedelta(minutes=30),
        subject="物业费", body="", notify_url="https://pay.example.com/notify/alipay_qr/A0000000000000001",
        return_url="https://pay.example.com/return/alipay_qr/A0000000000000001",
    )  # fmt: skip


@pytest.fixture
def answering(gateway: GatewayServer, alipay_key: RSAPrivateKey) -> Callable[..., None]:
    """Let the gateway answer every call with these values, signed unless told otherwise."""

    def prepare(*, signed: bool = True, **values: Any) -> None:
        inner = json.dumps(values, ensure_ascii=False)
        gateway.reply = lambda p: answer(p["method"], inner, alipay_key if signed else None)

    return prepare
