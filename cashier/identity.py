"""Who the payer is, for scenes inside WeChat and Alipay: the authorisation's state and the cookie it ends in.

The state travels through the channel and the payer's browser, so it is signed, lives ten minutes,
names the one page, method and account it was made for, and only the browser it was made in may bring it back.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from django.core import signing
from django.http import HttpRequest, HttpResponse

STATE_SECONDS = 600
PAYER_SECONDS = 3600
_STATE_SALT = "cashier.authorisation-state"
_PAYER_SALT = "cashier.payer"
_BROWSER_COOKIE = "cashier_browser"
_PAYER_COOKIE = "cashier_payer"


class StateRefused(Exception):
    """The state is forged, stale, of another page, or was made in another browser."""


@dataclass(frozen=True, slots=True)
class Authorisation:
    """What the payer was about to do when sent to the channel."""

    token: str
    method: str
    payment_no: str


def new_state(request: HttpRequest, wanted: Authorisation) -> tuple[str, str]:
    """A state for the channel and the browser's nonce, which `remember_browser` puts into its cookie."""
    nonce = request.COOKIES.get(_BROWSER_COOKIE) or secrets.token_urlsafe(18)
    value = [wanted.token, wanted.method, wanted.payment_no, _digest(nonce)]
    return signing.dumps(value, salt=_STATE_SALT), nonce


def read_state(request: HttpRequest, state: str, token: str) -> Authorisation:
    """What the state was made for. Raises StateRefused."""
    try:
        made_for, method, payment_no, digest = signing.loads(state, salt=_STATE_SALT, max_age=STATE_SECONDS)
    except (signing.BadSignature, ValueError, TypeError) as exc:
        raise StateRefused from exc
    same_browser = secrets.compare_digest(digest, _digest(request.COOKIES.get(_BROWSER_COOKIE, "")))
    if made_for != token or not same_browser:
        raise StateRefused
    return Authorisation(token, method, payment_no)


def remember_browser(request: HttpRequest, response: HttpResponse, token: str, nonce: str) -> None:
    """Bind the authorisation to this browser."""
    _set(request, response, token, _BROWSER_COOKIE, nonce, STATE_SECONDS)


def remember_payer(
    request: HttpRequest, response: HttpResponse, wanted: Authorisation, payer: Mapping[str, str]
) -> None:
    """Keep the payer's identity at this account for this page only; never in an address."""
    value = signing.dumps([wanted.token, wanted.payment_no, dict(payer)], salt=_PAYER_SALT)
    _set(request, response, wanted.token, _PAYER_COOKIE, value, PAYER_SECONDS)


def known_payer(request: HttpRequest, token: str, payment_no: str) -> dict[str, str]:
    """The identity learnt earlier on this page for this account; empty if there is none."""
    try:
        made_for, account, payer = signing.loads(
            request.COOKIES.get(_PAYER_COOKIE, ""), salt=_PAYER_SALT, max_age=PAYER_SECONDS
        )
    except (signing.BadSignature, ValueError, TypeError):
        return {}
    return dict(payer) if (made_for, account) == (token, payment_no) else {}


def _digest(nonce: str) -> str:
    return hashlib.sha256(nonce.encode()).hexdigest()[:32]


def _set(
    request: HttpRequest, response: HttpResponse, token: str, name: str, value: str, seconds: int
) -> None:
    response.set_cookie(
        name, value, max_age=seconds, path=f"/c/{token}", httponly=True, samesite="Lax", secure=request.is_secure()
    )
