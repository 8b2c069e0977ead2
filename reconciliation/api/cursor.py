"""The opaque position of an app in an answer of several pages.

Checked against mistakes (a mangled cursor, another question's), not against the app itself.
"""

from __future__ import annotations

import base64
import hashlib

from merchants.api.errors import BadParameter
from reconciliation.ledger import Position


def encode_position(question: str, position: Position) -> str:
    """The cursor behind `position` of the answer to this question (who asks, and what)."""
    text = f"{position}/{_check(question, str(position))}"
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def decode_position(question: str, cursor: str) -> Position:
    """The position behind which to go on; the beginning for an empty cursor. Raises BadParameter for any other text
    than `encode_position` gave for this very question."""
    if not cursor:
        return Position()
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        position = Position.parse(text.partition("/")[0])
        if encode_position(question, position) != cursor:
            raise ValueError("of another question")
    except ValueError:
        raise BadParameter({"cursor": ["not a cursor that this question was answered with"]}) from None
    return position


def _check(question: str, text: str) -> str:
    return hashlib.sha256(f"{question}\n{text}".encode()).hexdigest()[:16]
