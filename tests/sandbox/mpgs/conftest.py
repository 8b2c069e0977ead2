from __future__ import annotations

import base64
import json
import secrets
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

from sandbox.store import Store
from tests.sandbox.running import Answer, Merchant, Running, sign_contract

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Shop:
    """A merchant's side, written from the specification alone. `mode` as in the contract."""

    def __init__(self, sandbox: Running, config: dict[str, str], notify_url: str) -> None:
        self.sandbox, self.config, self.notify_url = sandbox, config, notify_url
        self.merchant = config["merchant_id"]
        self.direct = config["auth_mode"] == "basic"
        self.bearer = "" if self.direct else self.token().json["access_token"]

    @staticmethod
    def basic(user: str, password: str) -> str:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def client(self) -> str:
        return self.basic(quote_plus(self.config["client_id"]), quote_plus(self.config["client_secret"]))

    def token(self, form: dict[str, str] | None = None, **headers: str) -> Answer:
        sent = {"grant_type": "client_credentials", "scope": "payments"} if form is None else form
        more = headers or {"Authorization": self.client()}
        return self.sandbox.request("POST", "/mpgs/oauth2/token", urlencode(sent), FORM | more)

    def authorization(self) -> str:
        if self.direct:
            return self.basic(f"merchant.{self.merchant}", self.config["api_password"])
        return f"Bearer {self.bearer}"

    def call(self, method: str, path: str, data: Any = None, *, version: str = "72", **headers: str) -> Answer:
        base = f"/api/rest/version/{version}/merchant/{self.merchant}" if self.direct else "/mpgs"
        own = {"Authorization": self.authorization(), "X-Request-Id": "r-1", "Content-Type": "application/json"}
        if method != "GET":
            own["Idempotency-Key"] = secrets.token_hex(8)
        found = {k.replace("_", "-"): v for k, v in headers.items()}
        body = data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
        names = {k: v for k, v in (own | found).items() if v}
        return self.sandbox.request(method, base + path, body, names)

    def checkout(self, order_no: str, amount: Any = "12.34", currency: str = "CNY") -> dict[str, Any]:
        data: dict[str, Any] = {
            "interaction": {
                "operation": "PURCHASE", "merchant": {"name": "物业"}, "returnUrl": "http://shop.test/back?x=1",
                "cancelUrl": "http://shop.test/cancel", "timeout": 600,
            },
            "order": {
                "id": order_no, "amount": amount, "currency": currency, "description": "物业费",
                "notificationUrl": self.notify_url,
            },
        }  # fmt: skip
        return ({"apiOperation": "INITIATE_CHECKOUT"} if self.direct else {}) | data

    def open(self, data: dict[str, Any], **headers: str) -> Answer:
        return self.call("POST", "/session" if self.direct else "/payments", data, **headers)

    def order(self, order_no: str) -> Answer:
        return self.call("GET", f"/order/{order_no}" if self.direct else f"/payments/{order_no}")

    def pays(self, order_no: str, **data: Any) -> Answer:
        return self.sandbox.control("POST", "/pay", {"attempt_no": order_no, **data})

    def refund_path(self, order_no: str, refund_no: str) -> str:
        if self.direct:
            return f"/order/{order_no}/transaction/{refund_no}"
        return f"/payments/{order_no}/refunds/{refund_no}"

    def refund(self, order_no: str, refund_no: str, amount: str, currency: str = "CNY") -> Answer:
        data = {"apiOperation": "REFUND", "transaction": {"amount": amount, "currency": currency}}
        return self.call("PUT", self.refund_path(order_no, refund_no), data)


def shop_of(sandbox: Running, mode: str, notify_url: str) -> Shop:
    store = Store(sandbox._state)
    config = dict(sign_contract(store, "mpgs", mode=mode, payment_no=f"P-{secrets.token_hex(4)}").config)
    store.close()
    return Shop(sandbox, config, notify_url)


@pytest.fixture(params=["oauth", "basic"])
def shop(request: pytest.FixtureRequest, sandbox: Running, merchant: Merchant) -> Shop:
    return shop_of(sandbox, request.param, f"{merchant.url}/notify/mpgs")


@pytest.fixture
def proxy(sandbox: Running, merchant: Merchant) -> Shop:
    return shop_of(sandbox, "oauth", f"{merchant.url}/notify/mpgs")


@pytest.fixture
def direct(sandbox: Running, merchant: Merchant) -> Shop:
    return shop_of(sandbox, "basic", f"{merchant.url}/notify/mpgs")
