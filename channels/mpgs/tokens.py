"""How calls prove who makes them: a Bearer token that is fetched and kept, or a fixed Basic header.

OAuth 2.0 client credentials: https://www.rfc-editor.org/rfc/rfc6749#section-4.4
"""

from __future__ import annotations

import base64
import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

from channels.base.provider import Clock
from channels.mpgs.fields import BASIC, CLIENT_BASIC
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import HttpClient, HttpResponse, TimeLimits, seconds_left

# A token is renewed this long (seconds) before it ends, so that none expires on its way.
MARGIN = 60
# What a token without a stated lifetime is trusted for (`expires_in` is only recommended).
_UNSTATED_LIFETIME = 300
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_ERROR_WORD = re.compile(r"[a-z_]{1,40}")


class TokenRefused(NotSent):
    """The token endpoint said no in words; `code` is its OAuth error code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"no access token: {code}")
        self.code = code


class Credentials(ABC):
    """What goes into the `Authorization` header. Shared by threads."""

    @abstractmethod
    def header(self) -> str:
        """The header's value. Raises NotSent where none can be had: then nothing was sent."""

    @abstractmethod
    def forget(self, header: str) -> bool:
        """The channel calls this header's token invalid; whether another try can be better."""


class BasicCredentials(Credentials):
    """MPGS itself: https://test-gateway.mastercard.com/api/documentation/integrationGuidelines/index.html"""

    def __init__(self, user: str, password: str) -> None:
        self._header = _basic(user, password)

    def header(self) -> str:
        return self._header

    def forget(self, header: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _Token:
    """`renew_at` and `ends_at` in Unix seconds of the provider's clock."""

    header: str = field(repr=False)
    renew_at: float
    ends_at: float


class TokenCredentials(Credentials):
    """A token by client credentials, kept for its life less a minute, fetched by one thread at a time.

    While one thread renews it, the others go on with the present one as long as it lives.
    """

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock, limits: TimeLimits) -> None:
        self._http, self._clock, self._limits = http, clock, limits
        self._url: str = config["token_url"]
        self._body, self._headers = _request(config)
        self._token: _Token | None = None
        self._lock = threading.Lock()

    def header(self) -> str:
        token, now = self._token, self._now()
        if token is not None and now < token.renew_at:
            return token.header
        alive = token is not None and now < token.ends_at
        if not self._take_turn(wait=not alive):
            if token is not None and alive:
                return token.header
            raise NotSent("no access token: the one who fetches it has not come back")
        try:
            return self._renewed(token).header
        finally:
            self._lock.release()

    def forget(self, header: str) -> bool:
        token = self._token
        if token is not None and token.header == header:
            self._token = None
        return True

    def _take_turn(self, *, wait: bool) -> bool:
        if not wait:
            return self._lock.acquire(blocking=False)
        left = seconds_left()
        return self._lock.acquire(timeout=self._limits.total if left is None else left)

    def _renewed(self, seen: _Token | None) -> _Token:
        """With the lock held: what another thread fetched meanwhile, or a fresh one."""
        found = self._token
        if found is not None and found is not seen and self._now() < found.ends_at:
            return found
        try:
            fresh = self._fetch()
        except NotSent:
            if found is not None and self._now() < found.ends_at:
                return found
            raise
        self._token = fresh
        return fresh

    def _fetch(self) -> _Token:
        asked_at = self._now()
        try:
            response = self._http.request(
                "POST", self._url, headers=self._headers, body=self._body, limits=self._limits, operation="token"
            )
        except UnknownOutcome as exc:  # whatever became of it, the payment call was never made
            raise NotSent(f"no access token: {exc}") from exc
        return _read(response, asked_at)

    def _now(self) -> float:
        return self._clock().timestamp()


def credentials(
    config: Mapping[str, Any], *, http: HttpClient, clock: Clock, limits: TimeLimits
) -> Credentials:
    """The strategy that the account's `auth_mode` names."""
    if config["auth_mode"] == BASIC:
        return BasicCredentials(f"merchant.{config['merchant_id']}", config["api_password"])
    return TokenCredentials(config, http=http, clock=clock, limits=limits)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _request(config: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a token request. In the header, id and secret are form-encoded first (section 2.3.1)."""
    form = {"grant_type": "client_credentials"}
    form |= {name: config[name] for name in ("scope", "audience") if config.get(name)}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if config["client_auth"] == CLIENT_BASIC:
        headers["Authorization"] = _basic(quote_plus(config["client_id"]), quote_plus(config["client_secret"]))
    else:
        form |= {"client_id": config["client_id"], "client_secret": config["client_secret"]}
    return urlencode(form).encode("ascii"), headers


def _read(response: HttpResponse, asked_at: float) -> _Token:
    """Raises TokenRefused or NotSent. Nothing of the answer but an error's code is ever quoted."""
    try:
        data = json.loads(response.body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise NotSent(f"no access token: HTTP {response.status} without JSON")
    if response.status != 200:
        word = data.get("error")
        known = isinstance(word, str) and _ERROR_WORD.fullmatch(word)
        raise TokenRefused(str(word)) if known else NotSent(f"no access token: HTTP {response.status}")
    value, kind = data.get("access_token"), data.get("token_type")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise NotSent("no access token: the answer has none")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NotSent("no access token: it is not a Bearer token")
    life = _lifetime(data.get("expires_in"))
    return _Token(f"Bearer {value}", asked_at + max(life - MARGIN, 0), asked_at + life)


def _lifetime(value: Any) -> int:
    """Seconds; some servers write the number as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return _UNSTATED_LIFETIME
