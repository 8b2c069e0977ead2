"""The wire: the proxy's `/payments`, or MPGS' REST-JSON. Answers carry JSON numbers, read as Decimal.

https://test-gateway.mastercard.com/api/documentation/apiDocumentation/rest-json/version/latest/api.html
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from channels.base.limits import time_limits
from channels.base.provider import Clock
from channels.base.reading import read_json
from channels.mpgs.fields import BASIC, origin
from channels.mpgs.tokens import credentials
from paycenter.errors import UnknownOutcome
from paycenter.http import HttpClient, HttpResponse, one_time_limit

# The first version whose checkout is started by INITIATE_CHECKOUT.
_INITIATE_SINCE = 63
# 4xx that say nothing about the request: it may have been taken up, or could be a moment later.
_UNDECIDED = frozenset({408, 425, 429})
_NUMBERS = re.compile(r"[\w\-]+")
_CHALLENGE = re.compile(r'error="([a-z_]{1,40})"')


@dataclass(frozen=True, slots=True)
class Answer:
    """A success (`ok`), or a refusal: in MPGS' words (`code` is its cause) or in OAuth's (its error)."""

    status: int
    data: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def code(self) -> str:
        error = self.data.get("error")
        found = error.get("cause") if isinstance(error, dict) else error
        return found[:64] if isinstance(found, str) else ""

    @property
    def message(self) -> str:
        """The explanation, with the field it is about."""
        error = self.data.get("error")
        if not isinstance(error, dict):
            return _text(self.data.get("error_description"))
        words = (_text(error.get("explanation")), _text(error.get("field")))
        return ": ".join(filter(None, words))[:256]

    def is_unable_to_find(self, what: str, number: str) -> bool:
        """The one explicit "no such": 400, never 404, also about an order no payer has begun to pay.

        What is looked for (`order`, `transaction`) stands first in the explanation, its number somewhere behind.
        """
        begins = self.message.lower().startswith(f"unable to find {what} ")
        named = number in _NUMBERS.findall(self.message)
        return self.status == 400 and self.code == "INVALID_REQUEST" and begins and named

    def __str__(self) -> str:
        return " ".join(filter(None, (f"HTTP {self.status}", self.code, self.message)))


class Gateway:
    """One account's connection, shared by threads. A call takes `read_timeout` seconds at most, its token included."""

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock) -> None:
        self._http = http
        self._direct = config["auth_mode"] == BASIC
        self._limits = time_limits(config)
        self._credentials = credentials(config, http=http, clock=clock, limits=self._limits)
        self._base: str = config["base_url"].rstrip("/")
        self._version: int = config.get("api_version", 0)
        merchant = quote(config["merchant_id"], safe="")
        if self._direct:
            self._base += f"/api/rest/version/{self._version}/merchant/{merchant}"
        self._pages = origin(config["base_url"])

    def start(self, checkout: Mapping[str, Any], *, request_id: str) -> Answer:
        """Open a checkout session. Raises NotSent or UnknownOutcome."""
        if not self._direct:
            return self.call("POST", "/payments", checkout, operation="pay", request_id=request_id)
        if self._version >= _INITIATE_SINCE:
            payload = {"apiOperation": "INITIATE_CHECKOUT", **checkout}
        else:
            interaction = {k: v for k, v in checkout["interaction"].items() if k != "merchant"}
            payload = {"apiOperation": "CREATE_CHECKOUT_SESSION", **checkout, "interaction": interaction}
        return self.call("POST", "/session", payload, operation="pay", request_id=request_id)

    def retrieve(self, order_no: str, *, operation: str = "query") -> Answer:
        """Retrieve Order, the one source of truth. Raises NotSent or UnknownOutcome."""
        path = "/order/" if self._direct else "/payments/"
        return self.call("GET", path + quote(order_no, safe=""), operation=operation)

    def give_back(self, order_no: str, refund_no: str, payload: Mapping[str, Any]) -> Answer:
        """REFUND or VOID under our own transaction id, which is the key: the same id again acts once.

        Raises NotSent or UnknownOutcome.
        """
        path, key = self._transaction(order_no, refund_no), "" if self._direct else refund_no
        return self.call("PUT", path, payload, operation="refund", request_id=key)

    def retrieve_refund(self, order_no: str, refund_no: str) -> Answer:
        """Retrieve Transaction. Raises NotSent or UnknownOutcome."""
        return self.call("GET", self._transaction(order_no, refund_no), operation="query_refund")

    def _transaction(self, order_no: str, refund_no: str) -> str:
        order, refund = quote(order_no, safe=""), quote(refund_no, safe="")
        return f"/order/{order}/transaction/{refund}" if self._direct else f"/payments/{order}/refunds/{refund}"

    def payment_page(self, session_id: str, checkout_url: Any) -> str:
        """Where the payer goes: what the proxy says, or the page that MPGS' own checkout script opens.

        `/checkout/pay/<session>` is not in MPGS' reference; it is where `Checkout.showPaymentPage()` leads.
        Raises UnknownOutcome where the proxy names no usable address.
        """
        if self._direct:
            page = f"{self._pages}/checkout/pay/{quote(session_id, safe='')}"
            return page + ("?checkoutVersion=1.0.0" if self._version >= _INITIATE_SINCE else "")
        if not isinstance(checkout_url, str) or not checkout_url.startswith(("https://", "http://")):
            raise UnknownOutcome("the answer names no payment page")
        return checkout_url

    def call(
        self, method: str, path: str, payload: Mapping[str, Any] | None = None, *, operation: str,
        request_id: str = "",
    ) -> Answer:  # fmt: skip
        """Ask once; once more with a fresh token where the one used is called invalid (a 401 acts on nothing).

        Raises NotSent, or UnknownOutcome for everything but a JSON success and a 4xx with or without words.
        """
        body = b"" if payload is None else json.dumps(payload, ensure_ascii=False).encode()
        headers = {"Accept": "application/json", "X-Request-Id": str(uuid.uuid4())}
        if payload is not None:
            headers["Content-Type"] = "application/json"
        if request_id:
            headers["Idempotency-Key"] = request_id
        with one_time_limit(self._limits):
            response, used = self._send(method, path, headers, body, operation)
            if _token_is_invalid(response) and self._credentials.forget(used):
                response, _used = self._send(method, path, headers, body, operation)
        return _answer(response)

    def report(self, day: str, into: Path) -> Answer:
        """The proxy's statement of a day (`YYYY-MM-DD`), to a file. Raises as `call`; `ok` means that it is there."""
        headers = {"Accept": "text/csv", "X-Request-Id": str(uuid.uuid4())}
        path = f"/reports/transactions?date={quote(day, safe='')}"

        def send() -> tuple[HttpResponse, str]:
            authorization = self._credentials.header()
            response = self._http.download(
                "GET", self._base + path, into, headers={**headers, "Authorization": authorization}, operation="bill"
            )
            return response, authorization

        response, used = send()
        if _token_is_invalid(response) and self._credentials.forget(used):
            response, _used = send()
        return Answer(200, {}) if response.status == 200 else _answer(response)

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, operation: str
    ) -> tuple[HttpResponse, str]:
        authorization = self._credentials.header()
        response = self._http.request(
            method, self._base + path, headers={**headers, "Authorization": authorization}, body=body,
            limits=self._limits, operation=operation,
        )  # fmt: skip
        return response, authorization


def _token_is_invalid(response: HttpResponse) -> bool:
    return response.status == 401 and _refusal(response).code == "invalid_token"


def _answer(response: HttpResponse) -> Answer:
    status = response.status
    if 400 <= status < 500 and status not in _UNDECIDED:
        return _refusal(response)
    if status not in (200, 201):
        raise UnknownOutcome(f"the gateway answered HTTP {status}")
    try:
        return Answer(status, read_json(response.body))
    except ValueError as exc:
        raise UnknownOutcome("the answer is not readable") from exc


def _refusal(response: HttpResponse) -> Answer:
    """The token layer may say its word in a header only: https://www.rfc-editor.org/rfc/rfc6750#section-3"""
    try:
        data = read_json(response.body)
    except ValueError:
        data = {}
    word = _CHALLENGE.search(response.headers.get("www-authenticate", ""))
    if word and "error" not in data:
        data = {**data, "error": word.group(1)}
    return Answer(response.status, data)


def _text(value: Any) -> str:
    return value[:256] if isinstance(value, str) else ""
