"""Signing messages to apps as Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from functools import lru_cache

from paycenter.errors import ConfigError

PREFIX = "whsec_"


def signed_headers(secrets: Sequence[str], *, webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers, with one signature per secret so that receivers may change over in peace.

    `timestamp` is Unix seconds. Raises ConfigError when there is no usable secret.
    """
    if not secrets:
        raise ConfigError("the app has no webhook secret")
    text = f"{webhook_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(secret, text) for secret in secrets),
    }


def _signature(secret: str, text: bytes) -> str:
    digest = hmac.digest(_key(secret), text, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode('ascii')}"


@lru_cache(maxsize=256)
def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ConfigError("the app's webhook secret is not whsec_ and base64") from exc
    if not key:
        raise ConfigError("the app's webhook secret is empty")
    return key


def acknowledges(status: int, body: bytes) -> bool:
    """Whether an answer says the message arrived: 2xx and `success`, or 2xx and JSON with `errno` 0."""
    if not 200 <= status < 300:
        return False
    text = body.decode("utf-8", errors="replace").strip()
    if text.lower() == "success":
        return True
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return False
    errno = answer.get("errno") if isinstance(answer, dict) else None
    return type(errno) is int and errno == 0
