"""Signatures that are always right: what lies behind them is reached by spoiled messages, too.

Every channel verifies with `channels.base.keys`, with `hmac.compare_digest` or by opening AES-GCM; a channel that
does it in another way keeps refusing, and is then tried on its outside only.
"""

from __future__ import annotations

import base64
import hmac
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from channels.base import keys

_opened: list[tuple[bytes, bytes]] = []


class _Open:
    """Decrypts what was sealed, and hands on what was not: the spoiled content itself."""

    def __init__(self, key: bytes) -> None:
        self._sealed = AESGCM(key)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        try:
            plain = self._sealed.decrypt(nonce, data, associated_data)
        except (InvalidTag, ValueError, OverflowError):
            return data
        _opened.append((data, plain))
        return plain


@contextmanager
def believing() -> Iterator[None]:
    """Inside, every signature is right."""
    sealed = [m for name, m in sys.modules.items() if name.startswith("channels.") and hasattr(m, "AESGCM")]
    patches = [
        mock.patch.object(keys, "verify_sha256", return_value=True),
        mock.patch.object(hmac, "compare_digest", return_value=True),
        *(mock.patch.object(module, "AESGCM", _Open) for module in sealed),
    ]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def unsealed(message: bytes, parse: Callable[[bytes], Any]) -> bytes:
    """The message with its sealed parts opened, so that they can be spoiled inside. Call it while believing."""
    _opened.clear()
    parse(message)
    for data, plain in _opened:
        message = message.replace(base64.b64encode(data), base64.b64encode(plain))
    return message
