"""Tokens and passwords, checked as strictly as the real doors do."""

from __future__ import annotations

import time

import pytest

from tests.sandbox.mpgs.conftest import FORM, Shop, shop_of
from tests.sandbox.running import Merchant, Running


def test_a_token_as_rfc_6749_describes_it(proxy: Shop) -> None:
    first, second = proxy.token(), proxy.token()
    assert (first.status, first.headers["cache-control"]) == (200, "no-store")
    assert (first.json["token_type"], first.json["expires_in"], first.json["scope"]) == ("Bearer", 3600, "payments")
    assert first.json["access_token"] != second.json["access_token"], "each request gets a token of its own"
    for answer in (first, second):
        proxy.bearer = answer.json["access_token"]
        assert proxy.order("NONE").status == 400, "the older one lives on"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"), ({}, "invalid_request"),
        ({"grant_type": "client_credentials", "scope": "refunds"}, "invalid_scope"),
    ],
)  # fmt: skip
def test_requests_for_what_there_is_not(form: dict[str, str], error: str, proxy: Shop) -> None:
    answer = proxy.token(form)
    assert (answer.status, answer.json["error"]) == (400, error)


def test_a_wrong_client_is_told_how_to_show_itself(proxy: Shop) -> None:
    config = proxy.config
    raw = proxy.basic(config["client_id"], config["client_secret"])  # not form-encoded first
    for shown in (proxy.basic("nobody", "x"), proxy.basic(config["client_id"], "x"), "Basic ???", "Bearer x", raw):
        answer = proxy.token(Authorization=shown)
        assert (answer.status, answer.json) == (401, {"error": "invalid_client"})
        assert answer.headers["www-authenticate"].startswith("Basic")


def test_the_secret_is_shown_as_agreed_and_once(sandbox: Running, proxy: Shop) -> None:
    form = {"grant_type": "client_credentials", "client_id": proxy.config["client_id"],
            "client_secret": proxy.config["client_secret"]}  # fmt: skip
    assert proxy.token(form, X="1").status == 401, "this contract says: in a header"
    assert proxy.token(form).status == 400, "in both"
    sandbox_request = sandbox.request("POST", "/mpgs/oauth2/token", "{}", {"Content-Type": "application/json"})
    assert sandbox_request.json == {"error": "invalid_request"}
    twice = sandbox.request("POST", "/mpgs/oauth2/token", "grant_type=a&grant_type=b", FORM)
    assert twice.status == 400


def test_a_short_token_ends(sandbox: Running, merchant: Merchant) -> None:
    shop = shop_of(sandbox, "oauth_short", "http://127.0.0.1:9/")
    assert shop.token().json["expires_in"] == 3
    assert shop.order("NONE").status == 400
    time.sleep(3.1)
    answer = shop.order("NONE")
    assert (answer.status, answer.json) == (401, {"error": "invalid_token"})
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_revoked_unknown_and_missing_tokens(sandbox: Running, proxy: Shop) -> None:
    assert sandbox.control("DELETE", "/mpgs/tokens").json == {"revoked": 1}
    assert proxy.order("NONE").json == {"error": "invalid_token"}
    for shown in ("Bearer nonsense", "Bearer ", "", "Basic eDp5"):
        assert proxy.call("GET", "/payments/NONE", Authorization=shown).status == 401
    proxy.bearer = proxy.token().json["access_token"]
    assert proxy.order("NONE").status == 400


def test_the_proxy_wants_its_headers(proxy: Shop) -> None:
    assert "X-Request-Id" in proxy.call("GET", "/payments/NONE", X_Request_Id="").text
    assert "Idempotency-Key" in proxy.open(proxy.checkout("A1"), Idempotency_Key="").text
    assert "Idempotency-Key" in proxy.open(proxy.checkout("A1"), Idempotency_Key="k" * 65).text


def test_mpgs_itself_wants_merchant_and_password(direct: Shop) -> None:
    right = direct.config["api_password"]
    for user, password in (("merchant.X", right), (f"merchant.{direct.merchant}", "x"), (direct.merchant, right)):
        answer = direct.call("GET", "/order/NONE", Authorization=direct.basic(user, password))
        assert (answer.status, answer.json["error"]["explanation"]) == (401, "Invalid credentials.")
    assert direct.call("GET", "/order/NONE").status == 400


def test_a_proxys_merchant_has_no_password_at_mpgs(sandbox: Running, proxy: Shop) -> None:
    headers = {"Authorization": proxy.basic(f"merchant.{proxy.merchant}", "")}
    path = f"/api/rest/version/72/merchant/{proxy.merchant}/order/X"
    assert sandbox.request("GET", path, headers=headers).status == 401


@pytest.mark.parametrize("version", ["56", "101", "latest", "7"])
def test_versions_that_are_not_offered(version: str, sandbox: Running, direct: Shop) -> None:
    answer = direct.call("GET", "/order/NONE", version=version)
    assert (answer.status, answer.json["result"]) == (404, "ERROR")
    assert answer.json["error"]["explanation"] == f"Unsupported value for 'version = {version}'"
    assert sandbox.request("GET", f"/api/rest/version/{version}/information").status == 404
    assert sandbox.request("GET", "/api/rest/version/72/information").json["status"] == "OPERATING"
