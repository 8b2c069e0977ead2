"""Who pays, inside WeChat's browser."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from paycenter.errors import BadSignature, ConfigError, NotSent, UnknownOutcome
from paycenter.http import recording
from tests.channels.wechat.standin import APP_ID

OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
TOKEN = {
    "access_token": "AT", "expires_in": 7200, "refresh_token": "RT", "openid": OPENID, "scope": "snsapi_base",
}  # fmt: skip


def test_the_browser_is_sent_with_parameters_in_the_order_wechat_wants(provider, channel):
    url = provider.authorize_url(redirect_uri="https://pay.example.com/c/T/auth/wechat?x=1", state="S-1")
    parts = urlsplit(url)
    assert url.startswith(channel.url + "/connect/oauth2/authorize?")
    assert parse_qsl(parts.query) == [
        ("appid", APP_ID), ("redirect_uri", "https://pay.example.com/c/T/auth/wechat?x=1"),
        ("response_type", "code"), ("scope", "snsapi_base"), ("state", "S-1"),
    ]  # fmt: skip
    assert parts.fragment == "wechat_redirect"
    assert channel.requests == []


def test_a_code_is_exchanged_for_the_openid_and_nothing_else_is_kept(provider, channel, says):
    says(200, TOKEN, sign=None)
    assert provider.payer_from_code("001abc&x=y") == {"openid": OPENID}
    (request,) = channel.requests
    assert request.method == "GET"
    assert dict(parse_qsl(urlsplit(request.target).query)) == {
        "appid": APP_ID, "secret": "0123456789abcdef0123456789abcdef", "code": "001abc&x=y",
        "grant_type": "authorization_code",
    }  # fmt: skip
    assert "authorization" not in request.headers


@pytest.mark.parametrize("errcode", [40029, 40163, 41008, 42003])
def test_a_code_wechat_refuses(errcode, provider, says):
    says(200, {"errcode": errcode, "errmsg": "invalid code"}, sign=None)
    with pytest.raises(BadSignature):
        provider.payer_from_code("001abc")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"errcode": -1, "errmsg": "system error"}),
        (200, {"errcode": 40125, "errmsg": "invalid appsecret"}),
        (200, {"errcode": 40029.5, "openid": OPENID}),
        (200, {"errcode": [40029], "openid": OPENID}),
        (200, {"errcode": {}}),
        (200, {"openid": ""}),
        (200, {"openid": ["x"]}),
        (200, b"<html/>"),
        (500, TOKEN),
        (302, b""),
    ],
)
def test_other_trouble_names_no_payer(status, body, provider, says):
    says(status, body, sign=None)
    with pytest.raises(UnknownOutcome):
        provider.payer_from_code("001abc")


def test_without_an_app_secret_nothing_is_asked(make_provider, channel):
    provider = make_provider(app_secret=None)
    with pytest.raises(ConfigError, match="app_secret"):
        provider.authorize_url(redirect_uri="https://pay.example.com/", state="S")
    with pytest.raises(NotSent):
        provider.payer_from_code("001abc")
    assert channel.requests == []


def test_what_the_exchange_log_must_hide_is_declared(provider, says):
    says(200, TOKEN, sign=None)
    with recording() as calls:
        provider.payer_from_code("001abc")
    assert {name for name, _value in parse_qsl(urlsplit(calls[0].url).query)} - {
        "appid", "code", "grant_type",
    } <= provider.masked_keys  # fmt: skip
    assert {"access_token", "refresh_token", "openid"} <= provider.masked_keys


def test_an_error_does_not_repeat_the_secret(make_provider):
    provider = make_provider(oauth_token_url="http://127.0.0.1:1/sns/oauth2/access_token")
    with pytest.raises(NotSent) as caught:
        provider.payer_from_code("001abc")
    assert provider.config["app_secret"] not in str(caught.value)
