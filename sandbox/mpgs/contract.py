"""Signing up with the proxy (client id and secret) or with MPGS itself (API password)."""

from __future__ import annotations

import secrets

from sandbox.book import random_digits
from sandbox.channel import Contract

# Through the proxy with the client's secret in a header or in the body, or with tokens of a few seconds; MPGS itself.
MODES = ("oauth", "oauth_body", "oauth_short", "basic")
SCOPE = "payments"
PROXY = "/mpgs"
TOKEN_SECONDS = 3600
SHORT_TOKEN_SECONDS = 3


def sign_contract(*, name: str, mode: str, base_url: str) -> Contract:
    """`merchant_id` is the contract's name on the wire in every mode."""
    merchant_id = "TEST" + random_digits(8)
    config = {
        "auth_mode": "basic" if mode == "basic" else "oauth",
        "merchant_id": merchant_id,
        "merchant_name": name[:40],
        "webhook_secret": secrets.token_hex(16).upper(),
    }
    if mode == "basic":
        config |= {"base_url": base_url, "api_password": secrets.token_hex(16), "api_version": "72"}
        return Contract(merchant_id, config, {})
    client_auth = "body" if mode == "oauth_body" else "basic"
    config |= {
        "base_url": base_url + PROXY,
        "token_url": f"{base_url}{PROXY}/oauth2/token",
        # Characters that have to be form-encoded before they go into a Basic header.
        "client_id": f"{merchant_id}:app+1",
        "client_secret": f"{secrets.token_urlsafe(24)}/+%&",
        "client_auth": client_auth,
        "scope": SCOPE,
    }
    life = SHORT_TOKEN_SECONDS if mode == "oauth_short" else TOKEN_SECONDS
    return Contract(merchant_id, config, {"client_auth": client_auth, "token_seconds": str(life)})
