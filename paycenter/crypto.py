"""Encrypted model fields. Fernet (AES-128-CBC + HMAC-SHA256) with rotation: old keys read, the first writes."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from paycenter.errors import ConfigError


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ConfigError("PAYCENTER_ENCRYPTION_KEYS is not set")
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """Encrypt with the first configured key."""
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).encrypt(text.encode()).decode("ascii")


def decrypt(token: str) -> str:
    """Raises ConfigError when no configured key opens it, without showing any of it."""
    try:
        return _fernet(tuple(settings.ENCRYPTION_KEYS)).decrypt(token.encode("ascii")).decode()
    except InvalidToken as exc:
        raise ConfigError("an encrypted value cannot be opened with PAYCENTER_ENCRYPTION_KEYS") from exc


def reencrypt(token: str) -> str:
    """The same value under the first configured key."""
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).rotate(token.encode("ascii")).decode("ascii")


if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField  # not subscriptable at run time


class EncryptedTextField(_TextField):
    """Text that is encrypted at rest. Cannot be searched; the empty string stays empty."""

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(str(value)) if value else value

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        return decrypt(value) if value else value


class EncryptedJSONField(_TextField):
    """A JSON value that is encrypted at rest. None stays NULL."""

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else encrypt(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> Any:
        return None if value is None else json.loads(decrypt(value))

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> str:
        return json.dumps(self.value_from_object(obj), ensure_ascii=False)
