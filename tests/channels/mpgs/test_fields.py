"""What a clerk fills in, and what the connection check tells."""

from __future__ import annotations

import pytest

from channels.base.config import clean_config, masked_config
from channels.mpgs.provider import MpgsProvider
from paycenter.errors import ChannelConfigInvalid
from tests.channels.mpgs.conftest import NOW
from tests.channels.mpgs.wire import API_PASSWORD, CLIENT_SECRET, WEBHOOK_SECRET, Said, error


def problems(raw):
    with pytest.raises(ChannelConfigInvalid) as caught:
        clean_config(MpgsProvider, raw, NOW)
    return set(caught.value.problems)


def test_each_way_asks_for_its_own_fields_only(raw_config, direct_config):
    proxy = clean_config(MpgsProvider, raw_config | {"api_password": "left over", "api_version": 60}, NOW)
    assert not {"api_password", "api_version"} & set(proxy)
    assert (proxy["client_auth"], proxy["connect_timeout"], proxy["read_timeout"]) == ("basic", 3, 8)
    own = clean_config(MpgsProvider, direct_config | {"client_secret": "left over"}, NOW)
    assert not {"client_id", "client_secret", "token_url", "scope"} & set(own)
    assert own["api_version"] == 72


@pytest.mark.parametrize("name", ["merchant_id", "merchant_name", "base_url", "token_url", "client_id", "client_secret",
                                  "webhook_secret"])  # fmt: skip
def test_what_the_proxy_cannot_do_without(name, raw_config):
    assert problems({k: v for k, v in raw_config.items() if k != name}) == {name}


def test_what_mpgs_cannot_do_without(direct_config):
    assert problems({k: v for k, v in direct_config.items() if k != "api_password"}) == {"api_password"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("merchant_id", "a b"), ("merchant_id", "x" * 41), ("merchant_id", "a/../b"), ("merchant_name", "物" * 41),
        ("base_url", "ftp://x"), ("base_url", "https://x/?a=1"), ("token_url", "https://x/t?a=1"),
        ("client_id", "ü"), ("client_secret", "a\nb"), ("webhook_secret", "short"),
        ("webhook_secret", "with a space in it"),
        ("client_auth", "jwt"), ("auth_mode", "none"), ("read_timeout", 11), ("connect_timeout", 0), ("nonsense", "1"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_right(name, value, raw_config):
    assert name in problems(raw_config | {name: value})


@pytest.mark.parametrize("version", [56, "latest", 1000])
def test_versions_that_cannot_be(version, direct_config):
    assert problems(direct_config | {"api_version": version}) == {"api_version"}


def test_secrets_are_never_shown_again(raw_config, direct_config):
    shown = "".join(
        str(masked_config(MpgsProvider, clean_config(MpgsProvider, raw, NOW))) for raw in (raw_config, direct_config)
    )
    assert not [s for s in (CLIENT_SECRET, WEBHOOK_SECRET, API_PASSWORD) if s in shown]


def test_only_the_merchant_id_is_the_identity():
    assert [f.name for f in MpgsProvider.fields if f.identity] == ["merchant_id"]


# -- the connection check


class NoSuchOrder:
    """Answers the check's question about a number that only it knows."""

    def __init__(self, platform):
        self.platform, self.handle = platform, platform.handle

    def __call__(self, out, asked):
        if asked.path != "/oauth2/token":
            number = asked.path.rsplit("/", 1)[-1]
            self.platform.says(400, error("INVALID_REQUEST", f"Unable to find order {number} for merchant x"))
        self.handle(out, asked)


@pytest.mark.parametrize("direct", [False, True])
def test_a_number_nobody_has_proves_the_connection(direct, make, platform, monkeypatch):
    monkeypatch.setattr(platform, "handle", NoSuchOrder(platform))
    assert make(direct=direct).check().ok
    assert [a.method for a in platform.calls] == ["GET"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [("invalid_client", "客户端 ID 或密钥"), ("invalid_scope", "权限范围"),
     ("unauthorized_client", "unauthorized_client")],
)  # fmt: skip
def test_no_token_is_explained(word, hint, provider, platform):
    platform.token_replies.append(Said(400, f'{{"error":"{word}"}}'.encode()))
    found = provider.check()
    assert not found.ok
    assert hint in found.message.zh


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, {"error": "insufficient_scope"}, "scope"),
        (401, error("INVALID_REQUEST", "Invalid credentials."), "Invalid"),
        (404, error("INVALID_REQUEST", "Unsupported value for 'version = 80'"), "version = 80"), (500, b"", "500"),
        (404, b"<html>", "404"), (200, b"hello", "not readable"), (400, b"", "refused"),
    ],
)  # fmt: skip
def test_an_answer_that_proves_nothing_is_no_success(status, body, words, provider, platform):
    platform.says(status, body)
    found = provider.check()
    assert not found.ok
    assert words in found.message.en


def test_nobody_there(make, nobody):
    found = make(direct=True, base_url=nobody).check()
    assert not found.ok
    assert "连接不上" in found.message.zh
