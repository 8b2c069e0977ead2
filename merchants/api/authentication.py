"""Who calls: the signature headers of `/v1`, checked in the contract's order.

Signed text: METHOD, PATH[?QUERY] as sent on the wire, TIMESTAMP, NONCE and the raw BODY, each followed
by one line feed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote, urlsplit

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.db import connection
from django.http import HttpRequest

from channels.base import keys
from merchants.api.errors import AddressNotAllowed, NonceUsed, NotAuthenticated, TimestampOutside, TooManyRequests
from merchants.models import App, AppKey, Nonce
from paycenter import compiled
from paycenter.combining import Combiner, NotWritten
from paycenter.memory import Memory
from paycenter.middleware import client_ip, in_networks

_PATIENCE = 2.0  # seconds to wait for other requests to be written
WINDOW = 300  # seconds that X-Timestamp may be off in either direction
_TIMESTAMP = re.compile(r"\d{1,11}", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")
_SIGN_TYPES = {"HMAC-SHA256": AppKey.Kind.HMAC, "RSA2": AppKey.Kind.RSA}
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Signed:
    """The five headers, well formed."""

    app_id: str
    timestamp: int
    timestamp_text: str
    nonce: str
    kind: AppKey.Kind
    signature: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    """An active app and what it may sign with, by kind: the current key and perhaps the previous one."""

    app: App
    keys: Mapping[str, tuple[str, ...]]


_known: Memory[_Known] = Memory()
_APP = compiled.Select(lambda app_id: App.objects.filter(app_id=app_id, is_active=True).order_by()[:1], app_id=str)
_KEYS = compiled.Select(lambda app: AppKey.objects.filter(app_id=app), app=int)


def _load(app_id: str) -> _Known | None:
    app = _APP.first(app_id=app_id)
    if app is None:
        return None
    found: dict[str, tuple[str, ...]] = {}
    for key in _KEYS.rows(app=app.pk):
        found[key.kind] = (*found.get(key.kind, ()), key.value)
    return _Known(app, found)


def authenticate(request: HttpRequest, body: bytes) -> App:
    """The app that signed this request; its nonce is spent from here on, whatever follows.

    Raises NotAuthenticated, AddressNotAllowed, TimestampOutside, NonceUsed.
    """
    signed = _read_headers(request)
    known = _known.get(signed.app_id, lambda: _load(signed.app_id))
    if known is None:
        raise NotAuthenticated("unknown app")
    app = known.app
    _check_address(app, client_ip(request))
    if abs(int(time.time()) - signed.timestamp) > WINDOW:
        raise TimestampOutside
    text = signed_text(request, signed.timestamp_text, signed.nonce, body)
    if not _matches_any(signed, known.keys.get(signed.kind, ()), text):
        raise NotAuthenticated("the signature does not match")
    _spend_nonce(app, signed)
    return app


def _read_headers(request: HttpRequest) -> _Signed:
    headers = request.headers
    app_id, timestamp, nonce = headers.get("X-App-Id", ""), headers.get("X-Timestamp", ""), headers.get("X-Nonce", "")
    kind = _SIGN_TYPES.get(headers.get("X-Sign-Type", ""))
    well_formed = {
        "X-App-Id": 0 < len(app_id) <= 32 and app_id.isascii() and app_id.isprintable(),
        "X-Timestamp": bool(_TIMESTAMP.fullmatch(timestamp)),
        "X-Nonce": bool(_NONCE.fullmatch(nonce)),
        "X-Sign-Type": kind is not None,
    }
    try:
        signature = base64.b64decode(headers.get("X-Signature", ""), validate=True)
    except ValueError:
        signature = b""
    bad = [name for name, ok in {**well_formed, "X-Signature": bool(signature)}.items() if not ok]
    if bad or kind is None:
        raise NotAuthenticated(f"missing or malformed: {', '.join(bad)}")
    return _Signed(app_id, int(timestamp), timestamp, nonce, kind, signature)


def _check_address(app: App, address: str) -> None:
    try:
        allowed = not app.allowed_ips or in_networks(address, tuple(app.allowed_ips))
    except (ValueError, TypeError):
        log.error("the app's list of source addresses cannot be read", app_id=app.app_id)
        allowed = False
    if not allowed:
        raise AddressNotAllowed


def signed_text(request: HttpRequest, timestamp: str, nonce: str, body: bytes) -> bytes:
    """What the app must have signed."""
    head = f"{request.method}\n{wire_path(request)}\n{timestamp}\n{nonce}\n"
    return head.encode("utf-8", errors="surrogateescape") + body + b"\n"


def wire_path(request: HttpRequest) -> str:
    """PATH[?QUERY] as it came on the wire, where the server tells (REQUEST_URI, RAW_URI).

    Others (granian, Django's own) hand over the decoded path only; then it is the plain spelling,
    which for the addresses of `/v1` is the only one a client needs. The query is always raw.
    """
    raw = request.META.get("REQUEST_URI") or request.META.get("RAW_URI")
    if raw:
        return raw if raw.startswith("/") else _without_origin(raw)
    query = request.META.get("QUERY_STRING", "")
    return quote(request.path, safe="/~!$&'()*+,;=:@") + (f"?{query}" if query else "")


def _without_origin(target: str) -> str:
    """A proxy may pass the absolute form of the request target: `http://host/path`."""
    parts = urlsplit(target)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _matches_any(signed: _Signed, values: Iterable[str], text: bytes) -> bool:
    """Whether the current or the previous key made the signature; HMAC compared in constant time."""
    if signed.kind == AppKey.Kind.HMAC:
        digests = (hmac.digest(value.encode(), text, hashlib.sha256) for value in values)
        return any(hmac.compare_digest(digest, signed.signature) for digest in digests)
    return any(keys.signed_sha256(_public_key(value), signed.signature, text) for value in values)


@lru_cache(maxsize=4096)
def _public_key(pem: str) -> RSAPublicKey:
    """Parsed once per process: parsing costs more than verifying."""
    return keys.parse_public_key(pem)


def _spend_nonce(app: App, signed: _Signed) -> None:
    """Store the nonce until its timestamp can no longer pass; one statement decides who was first."""
    expires_at = datetime.fromtimestamp(signed.timestamp, UTC) + timedelta(seconds=WINDOW)
    nonce = Nonce(app_id=app.pk, nonce=signed.nonce, expires_at=expires_at)
    try:
        is_first = _nonces.write(nonce, until=time.monotonic() + _PATIENCE)
    except NotWritten:
        raise TooManyRequests(retry_after=1) from None
    if not is_first:
        raise NonceUsed


def _store_nonce(nonce: Nonce) -> bool:
    """Whether nobody had spent it before."""
    expires_at = connection.ops.adapt_datetimefield_value(nonce.expires_at)
    return compiled.run(_spend_sql(), [nonce.app_id, nonce.nonce, expires_at]) == 1


def _store_nonces(nonces: Sequence[Nonce]) -> list[bool]:
    """Of one that is given twice, the first counts."""
    keys = compiled.next_keys(Nonce, len(nonces))
    for nonce, key in zip(nonces, keys, strict=True):
        nonce.pk = key
    # In one order everywhere: two groups with the same nonces would wait for each other otherwise.
    ordered = sorted(nonces, key=lambda nonce: (nonce.app_id, nonce.nonce))
    stored = compiled.insert_rows(ordered, keyed=True, unless_there=True)
    return [nonce.pk in stored for nonce in nonces]


_nonces: Combiner[Nonce, bool] = Combiner(_store_nonce, _store_nonces)


@lru_cache(maxsize=1)
def _spend_sql() -> str:
    table = connection.ops.quote_name(Nonce._meta.db_table)
    return (
        f"INSERT INTO {table} (app_id, nonce, expires_at) VALUES (%s, %s, %s) "  # noqa: S608
        "ON CONFLICT (app_id, nonce) DO NOTHING"
    )
