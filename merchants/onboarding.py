"""A payment account's parameters between the form and the table: pure functions, no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from channels.base import keys
from channels.base.config import clean_config
from channels.base.fields import Field, FieldKind, Label
from channels.base.provider import Provider
from paycenter.errors import ChannelConfigInvalid

ON_FILE = (FieldKind.CERTIFICATE, FieldKind.CERTIFICATE_CHAIN)
_MOVED = Label(
    "地址改到了其他主机：请重新填写此密钥，已保存的不会发往新主机",
    "an address leads to another host now: type this secret again, the stored one is not sent there",
)


def keeps_when_blank(kind: FieldKind) -> bool:
    """Whether a blank box of this kind means "as stored": what is never shown again, and what is uploaded."""
    return kind in (FieldKind.SECRET, FieldKind.PRIVATE_KEY, FieldKind.PUBLIC_KEY, *ON_FILE)


def merged_config(
    provider: type[Provider], stored: Mapping[str, Any], raw: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """The parameters after a form was sent: blank keys and secrets keep what is stored.

    Raises ChannelConfigInvalid with every problem by field name, also at each secret that would go to another host
    than the one it was stored for.
    """
    kept = {f.name: stored[f.name] for f in provider.fields if _is_kept(f, stored, raw)}
    clean = clean_config(provider, {**raw, **kept}, now)
    refuse_moved_secrets(provider, stored, raw)
    return clean


def refuse_moved_secrets(provider: type[Provider], stored: Mapping[str, Any], raw: Mapping[str, Any]) -> None:
    """Raises ChannelConfigInvalid at each stored secret that was not typed again although an address was changed to
    another host: who types addresses may not know the secrets, and could have them sent to a host of their own."""
    kept = [f.name for f in provider.fields if f.is_secret and _is_kept(f, stored, raw)]
    if kept and _origins(provider, stored) != _origins(provider, raw):
        raise ChannelConfigInvalid({name: [_MOVED] for name in kept})


def _is_kept(field: Field, stored: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
    blank = raw.get(field.name) in (None, "", b"")
    return blank and keeps_when_blank(field.kind) and field.name in stored


def _origins(provider: type[Provider], config: Mapping[str, Any]) -> dict[str, Any]:
    """Scheme, host and port of each address; the default's where none is given."""
    urls = [f for f in provider.fields if f.kind is FieldKind.URL]
    return {f.name: _origin(str(config.get(f.name) or "").strip() or str(f.default or "")) for f in urls}


def _origin(url: str) -> Any:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:  # no usable address, and so not the stored one either
        return url


def identity_of(provider: type[Provider], config: Mapping[str, Any]) -> str:
    """How the channel knows this merchant: the values of the identity fields, joined."""
    return "/".join(str(config[f.name]) for f in provider.fields if f.identity and f.name in config)


@dataclass(frozen=True, slots=True)
class HeldCertificate:
    """A certificate among an account's parameters: where it stands, whose it is, when it stops working."""

    field: Field
    subject: str
    serial: str
    ends_at: datetime


def certificates_of(provider: type[Provider], config: Mapping[str, Any]) -> list[HeldCertificate]:
    """The account's certificates, one per parameter.

    Of a chain only the certificates of a signer count, not the authorities above them; where several
    signers overlap (a channel renewing its own) the last one decides.
    """
    return [held for f in provider.fields if f.kind in ON_FILE and (held := certificate_in(f, config.get(f.name)))]


def certificate_expiry(provider: type[Provider], config: Mapping[str, Any]) -> datetime | None:
    """When the first of the account's certificates stops working; None where it has none."""
    return min((held.ends_at for held in certificates_of(provider, config)), default=None)


def certificate_in(field: Field, pem: Any) -> HeldCertificate | None:
    """The signer's certificate in a parameter, the last one to end where several overlap. Raises KeyProblem."""
    signers = [c for c in keys.parse_certificates(pem) if not _is_authority(c)] if pem else []
    if not signers:
        return None
    last = max(signers, key=lambda c: c.not_valid_after_utc)
    names = last.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    subject = str(names[0].value) if names else last.subject.rfc4514_string()
    return HeldCertificate(field, subject, f"{last.serial_number:X}", last.not_valid_after_utc)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return certificate.subject == certificate.issuer


def changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the parameters that differ; never their values."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
