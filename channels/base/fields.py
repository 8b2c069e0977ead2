"""How a provider declares the parameters a merchant hands over; the admin form is drawn from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Label:
    """Text in the two languages of the product. Providers import no Django, hence no gettext."""

    zh: str
    en: str

    def text(self, language: str | None) -> str:
        """The text for a language code such as `zh-hans` or `en`; English when it is neither."""
        return self.zh if (language or "").lower().startswith("zh") else self.en

    def __str__(self) -> str:
        return self.en


class FieldKind(StrEnum):
    TEXT = "text"
    SECRET = "secret"  # noqa: S105 - shown masked, never shown again
    PRIVATE_KEY = "private_key"  # RSA: PEM, bare base64, PKCS#1 or PKCS#8; stored as PKCS#8 PEM
    PUBLIC_KEY = "public_key"  # RSA: PEM or bare base64; stored as SubjectPublicKeyInfo PEM
    CERTIFICATE = "certificate"  # one X.509 certificate, PEM or DER
    CERTIFICATE_CHAIN = "certificate_chain"  # one or more PEM certificates
    URL = "url"
    CHOICE = "choice"
    INTEGER = "integer"  # seconds, unless the label says otherwise
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a payment account.

    `length` is an exact length; `pattern` a full-match regular expression with `pattern_hint`
    in words. `when` limits the field to accounts whose other field has one of some values:
    `when={"key_mode": ("certificate",)}`. An `identity` field names the merchant at the channel
    and never changes once money may have moved.
    """

    name: str
    label: Label
    kind: FieldKind = FieldKind.TEXT
    required: bool = True
    default: Any = None
    help: Label = Label("", "")
    choices: tuple[tuple[str, Label], ...] = ()
    pattern: str | None = None
    pattern_hint: Label = Label("", "")
    length: int | None = None
    max_length: int = 256
    minimum: int | None = None
    maximum: int | None = None
    when: Mapping[str, tuple[str, ...]] | None = None
    identity: bool = False

    @property
    def is_secret(self) -> bool:
        return self.kind in (FieldKind.SECRET, FieldKind.PRIVATE_KEY)

    def applies(self, config: Mapping[str, Any]) -> bool:
        """Whether this field takes part, given the values of the fields it depends on."""
        return all(config.get(name) in values for name, values in (self.when or {}).items())
