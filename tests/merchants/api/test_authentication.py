"""Signing: every sentence of it, and the order in which it is checked."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.utils import timezone

from merchants.api import authentication
from merchants.models import App, AppKey, Nonce
from merchants.tasks import forget_nonces
from tests import factories
from tests.factories import HMAC_SECRET
from tests.fakes.signing import Caller, sign_headers, signed_post, to_json

PATH = "/v1/query/trade"
BODY = {"trade_no": "P20261121000000000000ABCDEFG"}  # signed correctly it answers 40401
SIGNED = (404, 40401)


def outcome(response: Any) -> tuple[int, int]:
    return response.status_code, response.json()["errno"]


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip


# ---- the signature -----------------------------------------------------------------------------
def test_a_request_signed_with_the_secret_is_answered(call: Caller) -> None:
    assert outcome(call(PATH, BODY)) == SIGNED


def test_a_request_signed_with_the_rsa_key_is_answered(call: Caller, world: Any, rsa_key: rsa.RSAPrivateKey) -> None:
    AppKey.objects.create(app=world.app, kind=AppKey.Kind.RSA, value=public_pem(rsa_key))
    assert outcome(Caller(call.client, call.app_id, rsa_key)(PATH, BODY)) == SIGNED


def test_the_documented_example_by_hand(call: Caller, world: Any) -> None:
    """Computed here line by line, apart from the helper that other tests sign with."""
    import hashlib
    import hmac

    body = b'{"trade_no":"P20261121000000000000ABCDEFG"}'
    stamp = str(int(time.time()))
    text = b"POST\n/v1/query/trade?trace=a%20b\n" + stamp.encode() + b"\nnonce-0001\n" + body + b"\n"
    signature = base64.b64encode(hmac.new(HMAC_SECRET.encode(), text, hashlib.sha256).digest()).decode()
    headers = {
        "X-App-Id": world.app.app_id, "X-Timestamp": stamp, "X-Nonce": "nonce-0001", "X-Sign-Type": "HMAC-SHA256",
        "X-Signature": signature,
    }  # fmt: skip
    found = call.client.post("/v1/query/trade?trace=a%20b", data=body, content_type="application/json", headers=headers)
    assert outcome(found) == SIGNED


@pytest.mark.parametrize("kind", ["hmac", "rsa"])
def test_the_previous_key_is_accepted_beside_the_current_one(
    call: Caller, world: Any, rsa_key: rsa.RSAPrivateKey, kind: str
) -> None:
    other = rsa.generate_private_key(65537, 2048)
    AppKey.objects.filter(app=world.app).delete()
    values = {"hmac": (HMAC_SECRET, "another-secret"), "rsa": (public_pem(rsa_key), public_pem(other))}[kind]
    for slot, value in zip(("previous", "current"), values, strict=True):
        AppKey.objects.create(app=world.app, kind=kind, slot=slot, value=value)
    secrets = {"hmac": (HMAC_SECRET, "another-secret"), "rsa": (rsa_key, other)}[kind]
    assert [outcome(Caller(call.client, call.app_id, s)(PATH, BODY)) for s in secrets] == [SIGNED, SIGNED]
    AppKey.objects.filter(app=world.app, slot="previous").delete()
    assert outcome(Caller(call.client, call.app_id, secrets[0])(PATH, BODY)) == (401, 40101)


def test_a_key_of_one_type_does_not_verify_the_other(call: Caller, world: Any, rsa_key: rsa.RSAPrivateKey) -> None:
    """The public key's text must not work as an HMAC secret."""
    AppKey.objects.filter(app=world.app).delete()
    AppKey.objects.create(app=world.app, kind=AppKey.Kind.RSA, value=public_pem(rsa_key))
    assert outcome(Caller(call.client, call.app_id, public_pem(rsa_key))(PATH, BODY)) == (401, 40101)


def test_another_apps_secret_does_not_sign_for_this_app(call: Caller, world: Any) -> None:
    other = factories.make_app(world.merchant)
    AppKey.objects.filter(app=other).update(value="")
    AppKey.objects.filter(app=other).delete()
    AppKey.objects.create(app=other, kind=AppKey.Kind.HMAC, value="the-other-secret")
    assert outcome(signed_post(call.client, PATH, BODY, other.app_id, HMAC_SECRET)) == (401, 40101)
    assert outcome(signed_post(call.client, PATH, BODY, world.app.app_id, "the-other-secret")) == (401, 40101)


@pytest.mark.parametrize(
    ("header", "value"), [("X-Nonce", "another-nonce"), ("X-Timestamp", None), ("X-Signature", "AAAA")]
)
def test_every_signed_header_is_covered(call: Caller, header: str, value: str | None) -> None:
    changed = {header: value or str(int(time.time()) + 5)}  # now, not when the tests were collected
    assert outcome(call(PATH, BODY, headers=changed)) == (401, 40101)


def test_body_query_and_path_are_covered(call: Caller) -> None:
    raw = to_json(BODY)
    headers = sign_headers("POST", PATH, raw, call.app_id, HMAC_SECRET)

    def send(path: str, body: bytes) -> tuple[int, int]:
        return outcome(call.client.post(path, data=body, content_type="application/json", headers=headers))

    assert send(PATH, raw + b" ") == (401, 40101)
    assert send(f"{PATH}?a=1", raw) == (401, 40101)
    assert send("/v1/close", raw) == (401, 40101)
    assert send(PATH, raw) == SIGNED


def test_the_body_is_taken_raw_not_parsed_and_written_again(call: Caller) -> None:
    raw = b'{ "trade_no" :\t"P20261121000000000000ABCDEFG" }\r\n'
    assert outcome(call(PATH, raw)) == SIGNED


def test_the_path_is_taken_as_sent_on_the_wire_where_the_server_tells(call: Caller) -> None:
    wire = "/v1/query/%74rade?x=%41&y=+%E4%BD%A0"
    assert outcome(signed_post(call.client, wire, BODY, call.app_id, HMAC_SECRET)) == SIGNED
    # gunicorn's name for it, and the absolute form that a proxy may send
    assert outcome(call(PATH, BODY, REQUEST_URI="", RAW_URI=PATH)) == SIGNED
    assert outcome(call(PATH, BODY, REQUEST_URI=f"http://center.example{PATH}")) == SIGNED


def test_without_the_servers_word_the_query_is_still_the_raw_one(call: Caller) -> None:
    path = f"{PATH}?x=%41&y=+%E4%BD%A0"
    headers = sign_headers("POST", path, to_json(BODY), call.app_id, HMAC_SECRET)
    found = call.client.post(path, data=to_json(BODY), content_type="application/json", headers=headers)
    assert outcome(found) == SIGNED


# ---- headers present and well formed ---------------------------------------------------------------
@pytest.mark.parametrize("name", ["X-App-Id", "X-Timestamp", "X-Nonce", "X-Sign-Type", "X-Signature"])
def test_a_missing_header_is_named(call: Caller, name: str) -> None:
    found = call(PATH, BODY, headers={name: None})
    assert outcome(found) == (401, 40101)
    assert name in found.json()["msg"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-App-Id", ""), ("X-App-Id", "A" * 33), ("X-App-Id", "\u7269"), ("X-Timestamp", "now"), ("X-Timestamp", ""),
        ("X-Timestamp", "-5"), ("X-Timestamp", "1.5"), ("X-Timestamp", "9" * 30), ("X-Timestamp", " 1"),
        ("X-Timestamp", "\u0661\u0662"), ("X-Nonce", "short12"), ("X-Nonce", "n" * 65), ("X-Nonce", "has space"),
        ("X-Nonce", "plus+plus"), ("X-Nonce", "nonce-001\u00e9"), ("X-Sign-Type", "HMAC"),
        ("X-Sign-Type", "hmac-sha256"),
        ("X-Sign-Type", "RSA"), ("X-Sign-Type", "none"), ("X-Signature", ""), ("X-Signature", "not base64!"),
        ("X-Signature", "QUJD\u00e9"), ("X-Signature", "QUJ"),
    ],
)  # fmt: skip
def test_a_malformed_header_is_named_and_no_nonce_spent(call: Caller, name: str, value: str) -> None:
    found = call(PATH, BODY, headers={name: value})
    assert outcome(found) == (401, 40101)
    assert name in found.json()["msg"]
    assert not Nonce.objects.exists()


@pytest.mark.parametrize("nonce", ["12345678", "n" * 64, "aZ09_-aZ09_-"])
def test_nonces_at_the_ends_of_what_is_allowed(call: Caller, nonce: str) -> None:
    assert outcome(call(PATH, BODY, nonce=nonce)) == SIGNED


# ---- app known --------------------------------------------------------------------------------
def test_an_unknown_app_and_one_switched_off_look_alike(call: Caller, world: Any) -> None:
    unknown = signed_post(call.client, PATH, BODY, "APP00000000", HMAC_SECRET).json()
    App.objects.filter(pk=world.app.pk).update(is_active=False)
    assert call(PATH, BODY).json() == unknown
    assert unknown["errno"] == 40101


# ---- source address --------------------------------------------------------------------------
def allow(world: Any, *networks: str) -> None:
    App.objects.filter(pk=world.app.pk).update(allowed_ips=list(networks))


def test_only_listed_source_addresses_may_call(call: Caller, world: Any) -> None:
    allow(world, "203.0.113.0/24", "2001:db8::/32")
    assert outcome(call(PATH, BODY, REMOTE_ADDR="203.0.113.9")) == SIGNED
    assert outcome(call(PATH, BODY, REMOTE_ADDR="2001:db8::7")) == SIGNED
    assert outcome(call(PATH, BODY, REMOTE_ADDR="::ffff:203.0.113.9")) == SIGNED
    assert outcome(call(PATH, BODY, REMOTE_ADDR="203.0.114.9")) == (403, 40301)


def test_a_forwarded_address_counts_only_from_our_own_proxy(call: Caller, world: Any, settings: Any) -> None:
    allow(world, "203.0.113.9")
    spoofed = {"REMOTE_ADDR": "198.51.100.1", "headers": {"X-Forwarded-For": "203.0.113.9"}}
    assert outcome(call(PATH, BODY, **spoofed)) == (403, 40301)
    settings.TRUSTED_PROXIES = ["198.51.100.1"]
    assert outcome(call(PATH, BODY, **spoofed)) == SIGNED
    appended = {"REMOTE_ADDR": "198.51.100.1", "headers": {"X-Forwarded-For": "203.0.113.9, 192.0.2.66"}}
    assert outcome(call(PATH, BODY, **appended)) == (403, 40301)


@pytest.mark.parametrize("stored", [["nonsense"], [""], [None], {"a": 1}])
def test_a_list_that_cannot_be_read_lets_nobody_in(call: Caller, world: Any, stored: Any) -> None:
    App.objects.filter(pk=world.app.pk).update(allowed_ips=stored)
    assert outcome(call(PATH, BODY)) == (403, 40301)


# ---- timestamp --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("off", "expected"), [(-300, SIGNED), (300, SIGNED), (-301, (401, 40102)), (301, (401, 40102))]
)
def test_the_timestamp_may_be_300_seconds_off(call: Caller, off: int, expected: tuple[int, int]) -> None:
    with time_machine.travel(1_795_000_000.7, tick=False):
        assert outcome(call(PATH, BODY, timestamp=1_795_000_000 + off)) == expected


@pytest.mark.parametrize("stamp", [0, 99_999_999_999])
def test_absurd_timestamps_are_outside(call: Caller, stamp: int) -> None:
    assert outcome(call(PATH, BODY, timestamp=stamp)) == (401, 40102)


# ---- nonce -----------------------------------------------------------------------------------
def test_a_nonce_is_accepted_once(call: Caller) -> None:
    assert outcome(call(PATH, BODY, nonce="nonce-1234")) == SIGNED
    assert outcome(call(PATH, BODY, nonce="nonce-1234")) == (401, 40103)
    assert outcome(call("/v1/close", {"trade_no": "X"}, nonce="nonce-1234")) == (401, 40103)


def test_apps_do_not_share_nonces(call: Caller, world: Any) -> None:
    other = factories.make_app(world.merchant)
    assert outcome(call(PATH, BODY, nonce="nonce-1234")) == SIGNED
    assert outcome(signed_post(call.client, PATH, BODY, other.app_id, HMAC_SECRET, nonce="nonce-1234")) == SIGNED


def test_a_nonce_is_not_stored_before_the_signature_is_right(call: Caller) -> None:
    bad = signed_post(call.client, PATH, BODY, call.app_id, "wrong-secret", nonce="nonce-1234")
    assert outcome(bad) == (401, 40101)
    assert not Nonce.objects.exists()
    assert outcome(call(PATH, BODY, nonce="nonce-1234")) == SIGNED


@pytest.mark.parametrize("body", [b"not json", b'{"unknown": 1}'])
def test_a_nonce_is_spent_whatever_the_outcome(call: Caller, body: bytes) -> None:
    assert outcome(call(PATH, body, nonce="nonce-1234")) == (400, 40001)
    assert outcome(call(PATH, BODY, nonce="nonce-1234")) == (401, 40103)


def test_a_nonce_is_kept_until_its_timestamp_cannot_pass_and_then_forgotten(call: Caller, world: Any) -> None:
    stamp = int(time.time()) + 200
    call(PATH, BODY, nonce="nonce-1234", timestamp=stamp)
    kept = Nonce.objects.get(app=world.app)
    assert kept.expires_at == datetime.fromtimestamp(stamp + 300, UTC)
    assert forget_nonces() == 0
    Nonce.objects.create(app=world.app, nonce="old-nonce", expires_at=timezone.now() - timedelta(minutes=5))
    assert forget_nonces() == 1
    assert list(Nonce.objects.values_list("nonce", flat=True)) == ["nonce-1234"]


def test_a_replay_after_the_nonce_was_forgotten_fails_by_its_timestamp(call: Caller) -> None:
    stamp = int(time.time())
    call(PATH, BODY, nonce="nonce-1234", timestamp=stamp)
    with time_machine.travel(stamp + 400, tick=False):
        forget_nonces()
        assert not Nonce.objects.exists()
        assert outcome(call(PATH, BODY, nonce="nonce-1234", timestamp=stamp)) == (401, 40102)


def test_of_many_requests_with_one_nonce_at_once_one_passes(committed_world: Any, in_threads: Any) -> None:
    app = committed_world.app

    def send(_number: int = 0) -> tuple[int, int]:
        return outcome(signed_post(Client(), PATH, BODY, app.app_id, HMAC_SECRET, nonce="nonce-1234"))

    found = in_threads(send, 8)
    assert sorted(found) == sorted([SIGNED] + [(401, 40103)] * 7)


# ---- the order of checks -------------------------------------------------------------------------
def test_of_several_faults_the_first_in_the_contracts_order_is_answered(call: Caller, world: Any) -> None:
    """Each step repairs the fault that was answered; all later ones are still there."""
    allow(world, "203.0.113.9")
    call(PATH, BODY, nonce="spent-nonce", REMOTE_ADDR="203.0.113.9")
    late, now = int(time.time()) - 1000, int(time.time())
    bad_body = {"amount": "x"}

    def send(app_id: str, secret: str, stamp: int, nonce: str, **more: Any) -> int:
        found = signed_post(call.client, "/v1/gopay", bad_body, app_id, secret, timestamp=stamp, nonce=nonce, **more)
        return int(found.json()["errno"])

    good = {"REMOTE_ADDR": "203.0.113.9"}
    assert send("APP0", "wrong", late, "bad nonce") == 40101  # malformed header
    assert send("APP0", "wrong", late, "spent-nonce") == 40101  # unknown app
    assert send(call.app_id, "wrong", late, "spent-nonce") == 40301
    assert send(call.app_id, "wrong", late, "spent-nonce", **good) == 40102
    assert send(call.app_id, "wrong", now, "spent-nonce", **good) == 40101  # signature
    assert send(call.app_id, HMAC_SECRET, now, "spent-nonce", **good) == 40103
    assert send(call.app_id, HMAC_SECRET, now, "fresh-nonce", **good) == 40001


def test_permission_is_looked_at_after_the_body(call: Caller, order: dict[str, Any]) -> None:
    stranger = {**order, "merchant_no": "M404"}
    assert outcome(call("/v1/gopay", {**stranger, "amount": 0})) == (400, 40001)
    assert outcome(call("/v1/gopay", stranger)) == (403, 40302)


# ---- what it costs -------------------------------------------------------------------------------
def test_authentication_takes_three_statements(
    committed_world: Any, client: Client, django_assert_num_queries: Any
) -> None:
    """App, its keys, the nonce; then this call's own look-up, and the log row."""
    with django_assert_num_queries(5):
        found = signed_post(client, PATH, BODY, committed_world.app.app_id, HMAC_SECRET)
    assert outcome(found) == SIGNED


def test_a_stranger_costs_one_statement_and_the_log_row(
    committed_world: Any, client: Client, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2):
        signed_post(client, PATH, BODY, "APP00000000", HMAC_SECRET)


def test_a_public_key_is_parsed_once_per_process(
    call: Caller, world: Any, rsa_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    AppKey.objects.create(app=world.app, kind=AppKey.Kind.RSA, value=public_pem(rsa_key))
    authentication._public_key.cache_clear()
    parsed: list[str] = []
    real = authentication.keys.parse_public_key
    monkeypatch.setattr(authentication.keys, "parse_public_key", lambda pem: (parsed.append(pem), real(pem))[1])
    signer = Caller(call.client, call.app_id, rsa_key)
    assert [outcome(signer(PATH, BODY)) for _ in range(3)] == [SIGNED] * 3
    assert len(parsed) == 1
