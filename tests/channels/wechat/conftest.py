from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from channels.base import InboundRequest, PayOrder
from channels.base.config import clean_config
from channels.wechat.provider import WeChatPay
from paycenter.egress import EgressPolicy
from paycenter.http import HttpClient
from paycenter.money import Money
from tests.channels.wechat.standin import (
    API_V3_KEY,
    APP_ID,
    MCH_ID,
    PUB_KEY_ID,
    Reply,
    Signer,
    Standin,
    hex_serial,
    new_certificate,
    new_key,
    pem,
    seal,
)

ORDER_NO = "20261121A0000000000000000001"


@dataclass(frozen=True)
class Keys:
    """Every key of the story: ours, and the two WeChat Pay may sign with."""

    merchant: rsa.RSAPrivateKey
    merchant_certificate: x509.Certificate
    platform: rsa.RSAPrivateKey
    platform_certificate: x509.Certificate
    public: rsa.RSAPrivateKey
    stranger: rsa.RSAPrivateKey

    @property
    def by_certificate(self) -> Signer:
        return Signer(self.platform, hex_serial(self.platform_certificate))

    @property
    def by_public_key(self) -> Signer:
        return Signer(self.public, PUB_KEY_ID)


@pytest.fixture(scope="session")
def wx_keys() -> Keys:
    merchant, platform, public, stranger = (new_key() for _ in range(4))
    return Keys(
        merchant, new_certificate(merchant, serial=0x0ABC1234), platform, new_certificate(platform),
        public, stranger,
    )  # fmt: skip


@pytest.fixture(scope="session")
def server(wx_keys: Keys) -> Iterator[Standin]:
    standin = Standin(wx_keys.merchant_certificate)
    standin.start()
    yield standin
    standin.stop()


@pytest.fixture
def channel(server: Standin) -> Iterator[Standin]:
    """WeChat Pay, having said nothing yet; every answer a test prepares must be asked for."""
    server.replies.clear()
    server.requests.clear()
    yield server
    assert server.replies == []


@pytest.fixture(scope="session")
def http() -> HttpClient:
    return HttpClient(EgressPolicy(allowed=("127.0.0.0/8",)))


@pytest.fixture
def raw_config(wx_keys: Keys, channel: Standin) -> dict[str, Any]:
    """What a clerk enters for a merchant that verifies by the WeChat Pay public key."""
    return {
        "base_url": channel.url,
        "mch_id": MCH_ID,
        "app_id": APP_ID,
        "app_secret": "0123456789abcdef0123456789abcdef",
        "merchant_private_key": pem(wx_keys.merchant),
        "merchant_cert": pem(wx_keys.merchant_certificate),
        "api_v3_key": API_V3_KEY,
        "verify_mode": "public_key",
        "wechatpay_public_key_id": PUB_KEY_ID,
        "wechatpay_public_key": pem(wx_keys.public.public_key()),
        "oauth_authorize_url": channel.url + "/connect/oauth2/authorize",
        "oauth_token_url": channel.url + "/sns/oauth2/access_token",
    }


MakeProvider = Callable[..., WeChatPay]


@pytest.fixture
def make_provider(raw_config: dict[str, Any], http: HttpClient) -> MakeProvider:
    """A provider as the core builds it, with some fields changed (None removes one)."""

    def make(*, clock: Any = None, **changes: Any) -> WeChatPay:
        raw = {k: v for k, v in (raw_config | changes).items() if v is not None}
        config = clean_config(WeChatPay, raw, datetime.now(UTC))
        return WeChatPay(config, http=http, **({"clock": clock} if clock else {}))

    return make


@pytest.fixture
def provider(make_provider: MakeProvider) -> WeChatPay:
    return make_provider()


@pytest.fixture
def certificate_provider(make_provider: MakeProvider, wx_keys: Keys) -> WeChatPay:
    """An older merchant: platform certificates, which the core has stored already."""
    return make_provider(
        verify_mode="platform_certificate", wechatpay_public_key_id=None, wechatpay_public_key=None,
        platform_certificates=pem(wx_keys.platform_certificate),
    )  # fmt: skip


@pytest.fixture
def says(channel: Standin, wx_keys: Keys) -> Callable[..., None]:
    """Queue an answer: a dict is sent as JSON; 2xx is signed with the public key unless said otherwise."""

    def queue(status: int, data: dict[str, Any] | bytes = b"", **options: Any) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()
        if status < 300:
            options.setdefault("sign", wx_keys.by_public_key)
        channel.replies.append(Reply(status, body, **options))

    return queue


@pytest.fixture
def make_order() -> Callable[..., PayOrder]:
    def make(**changes: Any) -> PayOrder:
        now = datetime.now(UTC)
        fields: dict[str, Any] = {
            "order_no": ORDER_NO,
            "amount": Money(12345),
            "sent_at": now,
            "expire_at": now + timedelta(minutes=30),
            "subject": "2026年11月物业管理费",
            "notify_url": f"https://pay.example.com/notify/wechat_native/{ORDER_NO}",
            "return_url": f"https://pay.example.com/return/wechat_h5/{ORDER_NO}?a=1&b=2",
        }
        return PayOrder(**(fields | changes))

    return make


@pytest.fixture
def order(make_order: Callable[..., PayOrder]) -> PayOrder:
    return make_order()


def transaction(**changes: Any) -> dict[str, Any]:
    """A paid order as a query answers it and a notification carries it; None removes a field."""
    data = {
        "appid": APP_ID,
        "mchid": MCH_ID,
        "out_trade_no": ORDER_NO,
        "transaction_id": "4200001234202611210000000001",
        "trade_type": "NATIVE",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "CMB_DEBIT",
        "attach": "",
        "success_time": "2026-11-21T10:34:56+08:00",
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "amount": {"total": 12345, "payer_total": 12000, "currency": "CNY", "payer_currency": "CNY"},
    }
    return {k: v for k, v in (data | changes).items() if v is not None}


@pytest.fixture
def notifies(wx_keys: Keys) -> Callable[..., InboundRequest]:
    """A genuine notification carrying `plain`, as the public entrance hands it over."""

    def build(
        plain: dict[str, Any] | bytes, *, event: str = "TRANSACTION.SUCCESS", sign: Signer | None = None,
        at: float | None = None, key: str = API_V3_KEY, resource: dict[str, Any] | None = None,
    ) -> InboundRequest:  # fmt: skip
        sealed = plain if isinstance(plain, bytes) else json.dumps(plain, ensure_ascii=False).encode()
        envelope = {
            "id": "EV-2018022511223320873", "create_time": "2026-11-21T10:34:57+08:00",
            "resource_type": "encrypt-resource", "event_type": event, "summary": "支付成功",
            "resource": seal(sealed, "transaction", key) | (resource or {}),
        }  # fmt: skip
        # Unusual spacing: the bytes must be verified as they came, never written anew.
        body = json.dumps(envelope, ensure_ascii=False, indent=3, separators=(" ,", ":  ")).encode()
        headers = (sign or wx_keys.by_public_key).headers(body, at=at)
        return InboundRequest(
            method="POST", path=f"/notify/wechat_native/{ORDER_NO}", body=body,
            headers={k.lower(): v for k, v in headers.items()},
        )  # fmt: skip

    return build
