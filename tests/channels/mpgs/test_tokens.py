"""The access token: asked for once, kept, renewed by one, never shown."""

from __future__ import annotations

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote_plus

import pytest

from channels.base import PaymentState, Refused
from channels.mpgs.tokens import TokenRefused, _Token
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import recording, time_limit
from tests.channels.mpgs.wire import (
    API_PASSWORD,
    CLIENT_ID,
    CLIENT_SECRET,
    INVALID_TOKEN,
    MERCHANT,
    Said,
    error,
    order_json,
)


def bearer(platform):
    return [a.headers["authorization"] for a in platform.calls]


def test_a_token_is_asked_for_with_the_clients_credentials_in_a_header(provider, platform, order):
    platform.says(200, order_json())
    provider.query(order)
    (asked,) = platform.token_calls
    assert asked.form == {"grant_type": "client_credentials", "scope": "payments", "audience": "https://pay.example.com"}
    kind, coded = asked.headers["authorization"].split(" ")
    user, _, password = base64.b64decode(coded).decode().partition(":")
    assert kind == "Basic"
    # Form-encoded first, so that the colon in the id does not end it.
    assert (unquote_plus(user), unquote_plus(password)) == (CLIENT_ID, CLIENT_SECRET)
    assert bearer(platform) == ["Bearer token-1"]


def test_or_in_the_body_where_the_platform_wants_it_so(make, platform, order):
    platform.says(200, order_json())
    make(client_auth="body", scope=None, audience=None).query(order)
    (asked,) = platform.token_calls
    assert asked.form == {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    assert "authorization" not in asked.headers


def test_mpgs_itself_takes_merchant_and_password(direct, platform, order):
    platform.says(200, order_json())
    direct.query(order)
    coded = base64.b64encode(f"merchant.{MERCHANT}:{API_PASSWORD}".encode()).decode()
    assert bearer(platform) == [f"Basic {coded}"]
    assert platform.token_calls == []


def test_it_is_kept_until_a_minute_before_its_end(provider, platform, order, clock):
    for _ in range(4):
        platform.says(200, order_json())
    provider.query(order)
    clock.forward(3539)
    provider.query(order)
    assert len(platform.token_calls) == 1
    clock.forward(1)
    provider.query(order)
    provider.query(order)
    assert bearer(platform) == ["Bearer token-1"] * 2 + ["Bearer token-2"] * 2


@pytest.mark.parametrize(("life", "kept"), [("3600", True), (None, True), (True, True), (30, False), (0, False)])
def test_lifetimes_as_servers_write_them(life, kept, provider, platform, order, clock):
    platform.token_life = life
    for _ in range(2):
        platform.says(200, order_json())
        provider.query(order)
        clock.forward(1)
    assert len(platform.token_calls) == (1 if kept else 2)


def test_many_threads_ask_for_one_token(provider, platform, order):
    platform.token_delay = 0.2
    for _ in range(16):
        platform.says(200, order_json())
    with ThreadPoolExecutor(16) as pool:
        states = [f.result().state for f in [pool.submit(provider.query, order) for _ in range(16)]]
    assert states == [PaymentState.PAID] * 16
    assert len(platform.token_calls) == 1
    assert set(bearer(platform)) == {"Bearer token-1"}


@pytest.mark.clock
def test_while_one_renews_it_the_others_go_on_with_the_present_one(provider, platform, order, clock):
    for _ in range(3):
        platform.says(200, order_json())
    provider.query(order)
    clock.forward(3550)  # due, and alive for another 50 s
    platform.token_delay = 1.0
    renewing = threading.Thread(target=provider.query, args=(order,))
    renewing.start()
    while len(platform.token_calls) < 2:
        time.sleep(0.01)
    started = time.monotonic()
    provider.query(order)
    assert time.monotonic() - started < 0.5
    assert bearer(platform) == ["Bearer token-1"] * 2
    renewing.join()
    assert bearer(platform)[-1] == "Bearer token-2"


def test_a_renewal_that_fails_uses_the_one_there_is_as_long_as_it_lives(provider, platform, order, clock):
    platform.says(200, order_json())
    provider.query(order)
    clock.forward(3550)
    platform.token_replies.append(Said(503))
    platform.says(200, order_json())
    assert provider.query(order).state is PaymentState.PAID
    assert bearer(platform) == ["Bearer token-1"] * 2
    clock.forward(50)
    platform.token_replies.append(Said(503))
    with pytest.raises(NotSent):
        provider.query(order)


@pytest.mark.parametrize("where", ["header", "body"])
def test_a_token_called_invalid_is_dropped_and_the_call_repeated_once(where, provider, platform, order):
    platform.says(200, order_json())
    provider.query(order)
    if where == "header":
        platform.says(401, b"", headers=INVALID_TOKEN)
    else:
        platform.says(401, {"error": "invalid_token"})
    platform.says(200, order_json())
    assert provider.query(order).state is PaymentState.PAID
    assert bearer(platform) == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


def test_a_second_invalid_token_is_not_chased(provider, platform, order):
    for _ in range(2):
        platform.says(401, b"", headers=INVALID_TOKEN)
    refused = provider.pay("mpgs_checkout", order)
    assert isinstance(refused, Refused)
    assert refused.code == "invalid_token"
    assert len(platform.token_calls) == 2


def test_the_repetition_is_the_same_request(provider, platform, order):
    platform.says(401, b"", headers=INVALID_TOKEN)
    platform.says(503)
    with pytest.raises(UnknownOutcome):
        provider.pay("mpgs_checkout", order)
    first, second = platform.calls
    assert first.body == second.body
    for name in ("idempotency-key", "x-request-id"):
        assert first.headers[name] == second.headers[name]


def test_a_late_401_about_an_old_token_does_not_drop_the_new_one(provider, platform, order):
    platform.says(200, order_json())
    provider.query(order)
    platform.says(401, b"", headers=INVALID_TOKEN, delay=0.4)
    late = threading.Thread(target=provider.query, args=(order,))
    late.start()
    while len(platform.calls) < 2:
        time.sleep(0.01)
    platform.says(401, b"", headers=INVALID_TOKEN)
    for _ in range(2):
        platform.says(200, order_json())
    provider.query(order)  # renews
    late.join()  # hears about token-1 now, finds token-2 and uses it
    assert len(platform.token_calls) == 2
    assert bearer(platform)[-1] == "Bearer token-2"


def test_403_is_final(provider, platform, order):
    platform.says(403, {"error": "insufficient_scope"})
    refused = provider.pay("mpgs_checkout", order)
    assert isinstance(refused, Refused)
    assert refused.code == "insufficient_scope"
    assert len(platform.calls) == 1
    platform.says(403, {"error": "insufficient_scope"})
    with pytest.raises(UnknownOutcome):
        provider.query(order)
    assert len(platform.token_calls) == 1


@pytest.mark.parametrize(
    "said",
    [
        Said(401, b'{"error":"invalid_client"}'), Said(400, b'{"error":"invalid_scope"}'), Said(500),
        Said(200, b"<html>"),
        Said(302, headers={"Location": "https://example.com/"}), Said(200, drop=True), Said(200, b"[]"),
        Said(200, b'{"access_token":"","token_type":"Bearer","expires_in":9}'),
        Said(200, b'{"access_token":"a b","token_type":"Bearer","expires_in":9}'),
        Said(200, b'{"access_token":"x\\r\\nEvil: 1","token_type":"Bearer","expires_in":9}'),
        Said(200, b'{"access_token":["x"],"token_type":"Bearer","expires_in":9}'),
        Said(200, b'{"access_token":"x","token_type":"mac","expires_in":9}'),
        Said(200, b'{"access_token":"x","expires_in":9}'), Said(200, b"[" * 100_000),
    ],
)  # fmt: skip
def test_without_a_token_nothing_was_sent(said, provider, platform, order):
    platform.token_replies.append(said)
    with pytest.raises(NotSent):
        provider.pay("mpgs_checkout", order)
    assert platform.calls == []


@pytest.mark.clock
def test_a_slow_token_and_the_call_share_one_time_limit(provider, platform, order):
    platform.token_replies.append(Said(200, b"{}", delay=1.5))
    started = time.monotonic()
    with time_limit(0.5), pytest.raises(NotSent):
        provider.pay("mpgs_checkout", order)
    assert time.monotonic() - started < 1.2
    platform.token_delay = 0.4
    platform.says(200, order_json(), delay=2.0)
    started = time.monotonic()
    with time_limit(0.8), pytest.raises(UnknownOutcome):
        provider.query(order)
    assert time.monotonic() - started < 1.1


@pytest.mark.clock
def test_one_who_waits_for_a_hanging_token_request_gives_up_in_time(provider, platform, order):
    platform.token_replies += [Said(200, b"{}", delay=1.5)]
    first = ThreadPoolExecutor(1).submit(provider.query, order)
    while not platform.token_calls:
        time.sleep(0.01)
    started = time.monotonic()
    with time_limit(0.3), pytest.raises(NotSent):
        provider.query(order)
    assert time.monotonic() - started < 0.8
    assert isinstance(first.exception(), NotSent)


def test_errors_and_repr_hold_no_secret(provider, platform, order):
    body = f'{{"error":"invalid_client","error_description":"{CLIENT_SECRET}"}}'.encode()
    platform.token_replies.append(Said(401, body))
    with pytest.raises(TokenRefused) as caught:
        provider.query(order)
    assert caught.value.code == "invalid_client"
    assert CLIENT_SECRET not in str(caught.value)
    assert "secret-token" not in repr(_Token("Bearer secret-token", 1.0, 2.0))
    platform.token_replies.append(Said(401, b'{"error":"Bearer abc.def <script>"}'))
    with pytest.raises(NotSent) as odd:
        provider.query(order)
    assert "abc" not in str(odd.value)


def test_the_exchange_log_shows_neither_token_nor_secret(make, platform, order, monkeypatch):
    from paycenter import exchange
    from tests.channels.mpgs.wire import CREATED, WEBHOOK_SECRET

    provider = make(client_auth="body")
    platform.says(201, CREATED)
    rows = []
    monkeypatch.setattr(exchange, "_write", rows.extend)
    with recording() as calls:
        provider.pay("mpgs_checkout", order)
    exchange.record_channel_calls(calls, channel="mpgs", masked_keys=provider.masked_keys)
    written = " ".join(f"{e.request} {e.response} {e.url} {e.error}" for e in rows)
    assert len(rows) == 2
    assert "SESSION0002580462196G6604316I00" in written
    secrets = ("token-1", CLIENT_SECRET, "s3cret", CREATED["successIndicator"], WEBHOOK_SECRET)
    assert [s for s in secrets if str(s) in written] == []


def test_mpgs_refusing_the_password_is_a_refusal_in_words(direct, platform, order):
    platform.says(401, error("INVALID_REQUEST", "Invalid credentials."))
    refused = direct.pay("mpgs_checkout", order)
    assert isinstance(refused, Refused)
    assert refused.message == "Invalid credentials."
    assert len(platform.calls) == 1, "there is no token that could be fetched anew"
