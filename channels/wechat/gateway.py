"""The wire of WeChat Pay API v3: signs exactly the bytes that are sent, verifies exactly those received.

Signing: https://pay.weixin.qq.com/doc/v3/merchant/4012365336
Verifying: https://pay.weixin.qq.com/doc/v3/merchant/4013053249
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from channels.base import keys
from channels.base.provider import Clock
from channels.base.reading import is_fresh, read_json
from channels.wechat.certificates import VerifyingKey, configured_keys, lookup_serial, serial_of
from channels.wechat.fields import PUBLIC_KEY, time_limits
from paycenter.errors import BadSignature, MalformedInbound, NotSent, UnknownOutcome
from paycenter.http import HttpClient, HttpResponse

SCHEME = "WECHATPAY2-SHA256-RSA2048"
MAX_SKEW = 300  # seconds, either way
_AEAD = "AEAD_AES_256_GCM"


class UnverifiedAnswer(UnknownOutcome):
    """An answer of success whose signature does not hold: it may be true, it must not be believed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified success (`ok`), or a refusal in the channel's words (4xx, which is never signed)."""

    status: int
    data: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def code(self) -> str:
        return str(self.data.get("code", ""))

    @property
    def message(self) -> str:
        return str(self.data.get("message", ""))[:256]


def aead_decrypt(key: bytes, sealed: Mapping[str, Any]) -> bytes:
    """Open `{nonce, associated_data, ciphertext}`, AES-GCM with the tag appended.

    https://pay.weixin.qq.com/doc/v3/merchant/4012071382 Raises ValueError when it does not open.
    """
    nonce, aad, ciphertext = (sealed.get(n) for n in ("nonce", "associated_data", "ciphertext"))
    if not isinstance(nonce, str) or not isinstance(ciphertext, str) or not isinstance(aad or "", str):
        raise ValueError("not an encrypted resource")
    try:
        data = base64.b64decode(ciphertext, validate=True)
        return AESGCM(key).decrypt(nonce.encode(), data, str(aad or "").encode())
    except InvalidTag as exc:
        raise ValueError("it does not open with this key") from exc


class Gateway:
    """One account's connection: keys parsed once, shared by threads."""

    def __init__(self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock) -> None:
        self._base = str(config["base_url"]).rstrip("/")
        self._mch_id = str(config["mch_id"])
        self._private_key = keys.load_private_key(config["merchant_private_key"])
        self._serial = serial_of(keys.parse_certificates(config["merchant_cert"])[0])
        self._api_v3_key = str(config["api_v3_key"]).encode()
        self._keys = configured_keys(config)
        self._wanted_serial = (
            config["wechatpay_public_key_id"] if config["verify_mode"] == PUBLIC_KEY else None
        )
        self._limits = time_limits(config)
        self._http = http
        self._clock = clock

    def call(
        self, method: str, path: str, payload: Mapping[str, Any] | None = None, *, operation: str
    ) -> Answer:
        """Send one call; `path` is already percent-encoded and includes the query.

        Raises NotSent, or UnknownOutcome for everything but a verified 200 or 204 and a 4xx with
        words (429 included: WeChat Pay does not say that nothing happened).
        """
        response = self.send(method, path, payload, operation=operation)
        if response.status not in (200, 204):
            return self.refusal(response)
        self.verify_answer(response)
        try:
            return Answer(response.status, read_json(response.body) if response.body else {})
        except ValueError as exc:
            raise UnknownOutcome("a signed answer that is not JSON") from exc

    def send(
        self, method: str, path: str, payload: Mapping[str, Any] | None = None, *, operation: str
    ) -> HttpResponse:
        """Send one signed call and return what came back, unverified. Raises NotSent or UnknownOutcome."""
        url = self._base + path
        body = b"" if payload is None else json.dumps(payload, ensure_ascii=False).encode()
        headers = self._headers(method, url, body)
        if self._wanted_serial:
            headers["Wechatpay-Serial"] = self._wanted_serial
        return self._http.request(
            method, url, headers=headers, body=body, limits=self._limits, operation=operation
        )

    def download(self, url: str, into: Path) -> None:
        """A file at the address of a signed answer: the request is signed too, what comes back is not.

        https://pay.weixin.qq.com/doc/v3/merchant/4012084430 Raises NotSent or UnknownOutcome.
        """
        try:
            headers = self._headers("GET", url, b"")
        except ValueError as exc:  # characters and brackets that no address has
            raise NotSent("the answer names no usable address of a file") from exc
        response = self._http.download("GET", url, into, headers=headers, operation="bill_file")
        if response.status != 200:
            raise UnknownOutcome(f"WeChat Pay's files answered HTTP {response.status}")

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "paycenter",  # WeChat Pay refuses calls without one
            "Authorization": self._authorization(method, url, body),
        }

    def _authorization(self, method: str, url: str, body: bytes) -> str:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        timestamp, nonce = self.now_text(), secrets.token_hex(16)
        text = "\n".join((method, target, timestamp, nonce, "")).encode() + body + b"\n"
        return (
            f'{SCHEME} mchid="{self._mch_id}",nonce_str="{nonce}",signature="{self.sign(text)}",'
            f'timestamp="{timestamp}",serial_no="{self._serial}"'
        )

    @staticmethod
    def refusal(response: HttpResponse) -> Answer:
        if not 400 <= response.status < 500 or response.status == 429:
            raise UnknownOutcome(f"WeChat Pay answered HTTP {response.status}")
        try:
            return Answer(response.status, read_json(response.body))
        except ValueError:
            return Answer(response.status, {})

    def now_text(self) -> str:
        """Unix seconds, as signatures carry them."""
        return str(int(self._clock().timestamp()))

    def sign(self, text: bytes) -> str:
        return keys.sign_sha256(self._private_key, text)

    def verify_answer(self, response: HttpResponse, extra: Mapping[str, VerifyingKey] | None = None) -> None:
        """Raises UnverifiedAnswer. `extra` keys count for this answer only."""
        try:
            self.verify(response.headers, response.body, extra)
        except BadSignature as exc:
            raise UnverifiedAnswer(f"the answer is not credible: {exc}") from exc

    def verify(
        self, headers: Mapping[str, str], body: bytes, extra: Mapping[str, VerifyingKey] | None = None
    ) -> None:
        """Check a signature over the raw `body`; header names are lower case. Makes no outbound call.

        Raises BadSignature: a header is missing, more than 300 s off, unknown serial, wrong signature.
        """
        timestamp, nonce, signature, serial = (
            headers.get(f"wechatpay-{name}", "") for name in ("timestamp", "nonce", "signature", "serial")
        )
        if not (timestamp and nonce and signature and serial):
            raise BadSignature("signature headers are missing")
        if headers.get("wechatpay-signature-type", SCHEME) != SCHEME:
            raise BadSignature("an unknown kind of signature")
        now = self._clock()
        if not is_fresh(timestamp, now, MAX_SKEW):
            raise BadSignature("the timestamp is no number or more than 300 s off")
        name = lookup_serial(serial)
        key = (extra or {}).get(name) or self._keys.get(name)
        if key is None or not key.usable(now):
            raise BadSignature("signed with a serial that is unknown or expired")
        text = f"{timestamp}\n{nonce}\n".encode(errors="replace") + body + b"\n"
        # WeChat Pay's deliberate probes (WECHATPAY/SIGNTEST/...) are not signatures and end here too.
        if not keys.verify_sha256(key.public_key, signature, text):
            raise BadSignature("the signature is wrong")

    def decrypt(self, sealed: Mapping[str, Any]) -> bytes:
        """Open an encrypted resource with the account's APIv3 key. Raises MalformedInbound."""
        if sealed.get("algorithm") != _AEAD:
            raise MalformedInbound("an unknown algorithm")
        try:
            return aead_decrypt(self._api_v3_key, sealed)
        except ValueError as exc:
            raise MalformedInbound("it cannot be decrypted; is the APIv3 key right?") from exc
