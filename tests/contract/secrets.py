"""What must never be read anywhere: the secret parameters of an account, key material line by line; who paid."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.apps import apps

from channels.base import Provider

_BASE64_LINE = re.compile(r"^[A-Za-z0-9+/=]{40,}$", re.MULTILINE)
_MASKED = re.compile(r"\*|xxx|^.{0,6}$")
# Encrypted at rest, and not what people or programs read.
_CONFIGURATION = {"PaymentAccount", "App", "AppKey", "HistoricalApp", "HistoricalPaymentAccount"}


def secrets_of(provider: type[Provider], config: Mapping[str, Any]) -> set[str]:
    """The secret values; of a key every line, so that a fragment is found too."""
    found: set[str] = set()
    for field in provider.fields:
        value = config.get(field.name)
        if field.is_secret and value:
            lines = _BASE64_LINE.findall(value) if "-----BEGIN" in value else []
            found |= set(lines) or {value}
    return found


def identities(*payers: str | None) -> set[str]:
    """Names of payers; what the channel masked itself is no identity."""
    return {who for who in payers if who and not _MASKED.search(who)}


def stored_text() -> dict[str, str]:
    """Every row of every table, as text by table; configuration (encrypted, and its own) left out."""
    return {
        model.__name__: json.dumps(list(model._default_manager.values()), ensure_ascii=False, default=str)
        for model in apps.get_models()
        if model.__name__ not in _CONFIGURATION and model._meta.managed
    }
