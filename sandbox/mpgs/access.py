"""Who calls: tokens by client credentials at the proxy, merchant id and API password at MPGS itself.

https://www.rfc-editor.org/rfc/rfc6749#section-4.4
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web

from sandbox.context import Context
from sandbox.mpgs.contract import SCOPE
from sandbox.mpgs.wire import Problem, Reply, invalid, token_problem
from sandbox.records import Account

_PURPOSE = "mpgs_access"
_VERSION = re.compile(r"[0-9]{2,3}")
# What the acquirer's gateway offers; another number is 404.
VERSIONS = range(57, 101)


def issue_token(context: Context, request: web.Request, body: bytes) -> Reply:
    """A new token at every request; the older ones live on until they end."""
    form = _form(request, body)
    account = _client(context, request, form)
    if form.get("grant_type") != "client_credentials":
        raise _refused(400, "unsupported_grant_type" if form.get("grant_type") else "invalid_request")
    scope = form.get("scope", SCOPE)
    if scope != SCOPE:
        raise _refused(400, "invalid_scope")
    token, life = context.token(), int(account.secrets["token_seconds"])
    context.store.add_token(token, _PURPOSE, {"merchant": account.key, "scope": scope}, context.clock() + life)
    answer = {"access_token": token, "token_type": "Bearer", "expires_in": life, "scope": scope}
    return Reply(200, answer, {"Cache-Control": "no-store", "Pragma": "no-cache"})


def revoke_tokens(context: Context) -> int:
    """All of them, in the middle of their lives."""
    return context.store.run("UPDATE token SET used = 1 WHERE purpose = ? AND used = 0", _PURPOSE)


def by_token(context: Context, request: web.Request) -> Account:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind != "Bearer" or not token:
        raise Problem(401, {"error": "invalid_request"}, {"WWW-Authenticate": 'Bearer realm="mpgs"'})
    known = context.store.token(token, _PURPOSE)
    if known is None or known[2] or known[1] <= context.clock():
        raise token_problem(401, "invalid_token")
    if known[0]["scope"] != SCOPE:
        raise token_problem(403, "insufficient_scope")
    account = context.store.account("mpgs", known[0]["merchant"])
    if account is None:
        raise token_problem(401, "invalid_token")
    if not request.headers.get("X-Request-Id", "").isprintable() or not request.headers.get("X-Request-Id"):
        raise invalid("X-Request-Id is missing")
    return account


def by_password(context: Context, request: web.Request) -> Account:
    """The version first, as there is nothing behind a wrong one."""
    version = request.match_info["version"]
    if not _VERSION.fullmatch(version) or int(version) not in VERSIONS:
        raise invalid(f"Unsupported value for 'version = {version}'", status=404)
    merchant = request.match_info["merchant"]
    account = context.store.account("mpgs", merchant)
    user, password = _basic(request)
    right = account is not None and account.config["auth_mode"] == "basic" and user == f"merchant.{merchant}"
    if account is None or not right or not hmac.compare_digest(
        password.encode(), account.config["api_password"].encode()
    ):
        raise invalid("Invalid credentials.", status=401)
    return account


def _form(request: web.Request, body: bytes) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise _refused(400, "invalid_request")
    try:
        pairs = parse_qsl(body.decode("ascii"), strict_parsing=True, errors="strict")
    except ValueError:
        raise _refused(400, "invalid_request") from None
    if len(dict(pairs)) != len(pairs):
        raise _refused(400, "invalid_request")
    return dict(pairs)


def _client(context: Context, request: web.Request, form: Mapping[str, str]) -> Account:
    """Shown in the way that was agreed on, and in one way only."""
    by_header, by_body = "Authorization" in request.headers, "client_secret" in form
    if by_header and by_body:
        raise _refused(400, "invalid_request")
    if by_header:
        # Both parts are form-encoded before they are joined (RFC 6749, section 2.3.1).
        shown_id, secret = (unquote_plus(part) for part in _basic(request))
    else:
        shown_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    wanted = "basic" if by_header else "body"
    for account in context.store.accounts("mpgs"):
        same = account.config.get("client_id") == shown_id and account.secrets.get("client_auth") == wanted
        if same and hmac.compare_digest(secret.encode(), account.config["client_secret"].encode()):
            return account
    raise _refused(401, "invalid_client")


def _basic(request: web.Request) -> tuple[str, str]:
    kind, _, coded = request.headers.get("Authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if kind == "Basic" else ("", "")


def _refused(status: int, code: str) -> Problem:
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="mpgs"'
    return Problem(status, {"error": code}, headers)
