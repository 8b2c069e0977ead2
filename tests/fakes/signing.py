"""What an app does to call the center: signs a request (HMAC-SHA256 or RSA2) and posts it.

Written from the outside contract alone; shares no code with the verifying side.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


def signed_text(method: str, path: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """METHOD, PATH[?QUERY], TIMESTAMP, NONCE, BODY, each followed by one line feed."""
    return b"\n".join([method.encode(), path.encode(), timestamp.encode(), nonce.encode(), body, b""])


def hmac_signature(secret: str, text: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


def rsa_signature(key: RSAPrivateKey, text: bytes) -> str:
    return base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def sign_headers(
    method: str,
    path: str,
    body: bytes,
    app_id: str,
    secret: str | RSAPrivateKey,
    *,
    timestamp: int | str | None = None,
    nonce: str | None = None,
) -> dict[str, str]:
    """The five headers; a `secret` that is text signs HMAC-SHA256, an RSA private key signs RSA2."""
    timestamp = str(int(time.time()) if timestamp is None else timestamp)
    nonce = secrets.token_urlsafe(12) if nonce is None else nonce
    text = signed_text(method, path, timestamp, nonce, body)
    is_hmac = isinstance(secret, str)
    return {
        "X-App-Id": app_id,
        "X-Timestamp": timestamp,
        "X-Nonce": nonce,
        "X-Sign-Type": "HMAC-SHA256" if is_hmac else "RSA2",
        "X-Signature": hmac_signature(secret, text) if is_hmac else rsa_signature(secret, text),
    }


def to_json(body: Mapping[str, Any] | bytes) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


def signed_post(
    client: Any,
    path: str,
    body: Mapping[str, Any] | bytes,
    app_id: str,
    secret: str | RSAPrivateKey,
    *,
    headers: Mapping[str, str] | None = None,
    timestamp: int | str | None = None,
    nonce: str | None = None,
    **extra: Any,
) -> Any:
    """Post `body` (a mapping, or raw bytes) with Django's test client and answer its response.

    `path` is signed and sent as given, query included. `headers` replace the computed ones; one set
    to None is left out. `extra` goes to the client (`REMOTE_ADDR=...`).
    """
    data = to_json(body)
    found: dict[str, Any] = sign_headers("POST", path, data, app_id, secret, timestamp=timestamp, nonce=nonce)
    found.update(headers or {})
    kept = {name: value for name, value in found.items() if value is not None}
    # Real servers tell the path as it was on the wire; the test client only the decoded one.
    extra.setdefault("REQUEST_URI", path)
    extra.setdefault("CONTENT_TYPE", "application/json")  # which the test client drops from an empty body
    return client.post(path, data=data, content_type="application/json", headers=kept, **extra)


@dataclass(frozen=True)
class Caller:
    """An app that calls: `call("/v1/gopay", {...})` answers the response."""

    client: Any
    app_id: str
    secret: str | RSAPrivateKey

    def __call__(self, path: str, body: Mapping[str, Any] | bytes, **extra: Any) -> Any:
        return signed_post(self.client, path, body, self.app_id, self.secret, **extra)
