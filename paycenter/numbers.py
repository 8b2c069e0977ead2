"""The center's own numbers: `^[0-9A-Z]{28}$`, unique, sorted by time within their kind.

Letter of the kind, 20 digits of UTC time down to the microsecond, 7 random characters of Crockford's
base 32 (35 bits). Within one process the time part never repeats or runs backwards.
"""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime
from enum import StrEnum

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_lock = threading.Lock()
_last_micros = 0


class NumberKind(StrEnum):
    TRADE = "P"
    ATTEMPT = "A"
    REFUND = "R"
    CONTRACT = "C"
    SETTLEMENT = "S"
    MERCHANT = "M"
    ACCOUNT = "Z"
    PRINTED = "Q"  # app order number the center issues when a printed code is paid


def _next_micros() -> int:
    global _last_micros
    with _lock:
        now = int(datetime.now(UTC).timestamp() * 1_000_000)
        _last_micros = max(now, _last_micros + 1)
        return _last_micros


def new_number(kind: NumberKind) -> str:
    """A fresh number of this kind."""
    micros = _next_micros()
    at = datetime.fromtimestamp(micros // 1_000_000, UTC)
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(7))
    return f"{kind.value}{at:%Y%m%d%H%M%S}{micros % 1_000_000:06d}{tail}"


def new_short_number(prefix: str, digits: int = 10) -> str:
    """A number people read aloud (merchant_no, payment_no, app_id): prefix and random digits."""
    return prefix + "".join(secrets.choice("0123456789") for _ in range(digits))
