from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from channels.bank.provider import BankProvider
from channels.base import PayOrder, keys
from channels.base.config import clean_config
from paycenter.egress import EgressPolicy
from paycenter.http import HttpClient
from paycenter.money import Money
from tests.channels.bank.wire import BRANCH, CO_NO, BankServer, form, signed

# 18:30 UTC is 02:30 of the next day in Beijing: a day or a clock of the wrong zone shows.
HTTP = HttpClient(EgressPolicy(("127.0.0.0/8",)))
NOW = datetime(2026, 11, 20, 18, 30, 5, tzinfo=UTC)
TODAY = "20261121"


@pytest.fixture(scope="session")
def merchant_key() -> RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def bank_key() -> RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="session")
def foreign_key() -> RSAPrivateKey:
    """Some other bank's, or a forger's."""
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def bank() -> Iterator[BankServer]:
    server = BankServer()
    yield server
    server.close()


@pytest.fixture
def raw_config(merchant_key: RSAPrivateKey, bank_key: RSAPrivateKey, bank: BankServer) -> dict[str, Any]:
    return {
        "branch_id": BRANCH,
        "co_no": CO_NO,
        "merchant_private_key": keys.private_key_pem(merchant_key),
        "bank_public_key": keys.public_key_pem(bank_key.public_key()),
        "gateway_url": bank.url,
    }


def make_provider(raw: dict[str, Any], now: datetime = NOW) -> BankProvider:
    return BankProvider(clean_config(BankProvider, raw, now), http=HTTP, clock=lambda: now)


@pytest.fixture
def provider(raw_config: dict[str, Any]) -> BankProvider:
    return make_provider(raw_config)


@pytest.fixture
def order() -> PayOrder:
    return PayOrder(
        order_no="0000000001", amount=Money(1234), sent_at=NOW, expire_at=NOW + timedelta(minutes=30),
        subject="物业费", notify_url="https://pay.example.com/notify/bank_pc/A0000000000000001",
        return_url="https://pay.example.com/return/bank_pc/A0000000000000001",
    )  # fmt: skip


@pytest.fixture
def answering(bank: BankServer, bank_key: RSAPrivateKey) -> Callable[..., None]:
    """Let the bank answer every call with these values about the order asked for, signed unless `key` is None."""

    def prepare(code: str = "SUC0000", *, key: RSAPrivateKey | None = bank_key, **values: str | None) -> None:
        def reply(_path: str, asked: dict[str, str]) -> bytes:
            fields: dict[str, str | None] = {
                "MsgType": f"{asked['MsgType']}.answer", "BillNo": asked["BillNo"], "Date": asked["Date"],
                "RspCode": code, "RspMsg": "说明",
            } | values  # fmt: skip
            if key is None:
                return form({k: v for k, v in fields.items() if v is not None}).encode()
            return form(signed(fields, key)).encode()

        bank.reply = reply

    return prepare
