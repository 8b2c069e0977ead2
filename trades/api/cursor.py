"""The opaque position of an app in its events.

Checked against mistakes (a mangled cursor, another app's), not against the app itself: it could only
skip its own events. Hence no secret, and no key rotation ever makes a stored cursor useless.
"""

from __future__ import annotations

import base64
import hashlib

_PREFIX = "1"  # version of the format


def encode_cursor(app_id: str, seq: int) -> str:
    """The cursor behind event `seq` of this app."""
    text = f"{seq}.{_check(app_id, seq)}"
    return _PREFIX + base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def decode_cursor(app_id: str, cursor: str) -> int:
    """The `seq` behind which to go on; 0 for the empty cursor. Raises ValueError for any other text
    than `encode_cursor` gave this very app."""
    if not cursor:
        return 0
    body = cursor.removeprefix(_PREFIX)
    try:
        text = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode("ascii")
        seq = int(text.partition(".")[0])
    except ValueError:
        seq = -1
    if encode_cursor(app_id, seq) != cursor:
        raise ValueError("not a cursor of this app")
    return seq


def _check(app_id: str, seq: int) -> str:
    return hashlib.sha256(f"sync/events\n{app_id}\n{seq}".encode()).hexdigest()[:16]
