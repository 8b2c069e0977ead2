"""AcmePay's messages: who asks, and signing what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sandbox import keys
from sandbox.claims import Signing
from sandbox.context import Context
from sandbox.records import Account

JSON = "application/json"
SKEW_SECONDS = 300


class Refused(Exception):
    """AcmePay says no, with its code. Unsigned where it does not know who asks."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


def parse(raw: bytes) -> dict[str, Any]:
    """A JSON object; an empty one for anything else, which then lacks all that it needs."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def signing_text(timestamp: str, purpose: str, body: bytes) -> bytes:
    return b"\n".join((timestamp.encode(), purpose.encode(), body))


def authenticate(context: Context, account: Account, purpose: str, headers: Mapping[str, str], raw: bytes) -> None:
    """Raises Refused unless this very call was signed by the merchant just now."""
    timestamp, signature = headers.get("Acme-Timestamp", ""), headers.get("Acme-Signature", "")
    text = signing_text(timestamp, purpose, raw)
    if not keys.verify(account.secrets["merchant_public_key"], signature, text):
        raise Refused("SIGNATURE_INVALID", "signature wrong or absent")
    if not timestamp.isdecimal() or abs(context.clock() - int(timestamp)) > SKEW_SECONDS:
        raise Refused("TIMESTAMP_INVALID", "timestamp too far off")


def sealed(
    context: Context, account: Account | None, purpose: str, fields: Mapping[str, Any], signing: Signing
) -> tuple[dict[str, str], bytes]:
    """Headers and body of one message; without an account nothing can sign it."""
    body, timestamp = json.dumps(fields, ensure_ascii=False).encode(), str(int(context.clock()))
    headers = {"Content-Type": JSON, "Acme-Timestamp": timestamp}
    if account is not None and signing is not Signing.NONE:
        pem = context.forger if signing is Signing.FORGED else account.secrets["private_key"]
        headers["Acme-Signature"] = keys.sign(pem, signing_text(timestamp, purpose, body))
    return headers, body
