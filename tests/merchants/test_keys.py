"""Rotating an app's keys: current and previous, what each signs, and the trace it leaves."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.db import connection

from channels.base.keys import KeyProblem
from merchants import keys
from merchants.models import App, AppKey
from paycenter.models import Event
from tests import factories
from tests.factories import HMAC_SECRET, WEBHOOK_SECRET
from tests.fakes.signing import Caller


@pytest.fixture
def app(db: None) -> App:
    return factories.make_app()


def stored(app: App, kind: str) -> dict[str, str]:
    return dict(AppKey.objects.filter(app=app, kind=kind).values_list("slot", "value"))


def pem(private: Any) -> str:
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip


def test_a_new_secret_makes_the_present_one_previous(app: App) -> None:
    keys.app_key_rotate(app=app, kind="hmac", value="second", actor="staff:alice")
    assert stored(app, "hmac") == {"current": "second", "previous": HMAC_SECRET}
    keys.app_key_rotate(app=app, kind="hmac", value="third", actor="staff:alice")
    assert stored(app, "hmac") == {"current": "third", "previous": "second"}


def test_calls_signed_with_current_and_previous_pass_and_the_one_before_does_not(client: Any, app: App) -> None:
    for secret in ("second", "third"):
        keys.app_key_rotate(app=app, kind="hmac", value=secret, actor="staff:alice")
    status = {
        secret: Caller(client, app.app_id, secret)("/v1/query/trade", {"trade_no": "X"}).status_code
        for secret in (HMAC_SECRET, "second", "third")
    }
    assert status == {HMAC_SECRET: 401, "second": 404, "third": 404}
    assert keys.app_key_forget_previous(app=app, kind="hmac", actor="staff:alice") is True
    assert Caller(client, app.app_id, "second")("/v1/query/trade", {"trade_no": "X"}).status_code == 401
    assert keys.app_key_forget_previous(app=app, kind="hmac", actor="staff:alice") is False


def test_the_types_rotate_apart(app: App) -> None:
    key = rsa.generate_private_key(65537, 2048)
    keys.app_key_rotate(app=app, kind="rsa", value=pem(key), actor="staff:alice")
    assert stored(app, "hmac") == {"current": HMAC_SECRET}
    assert stored(app, "rsa") == {"current": pem(key)}


def test_an_rsa_key_is_taken_in_any_usual_form_and_stored_in_one(app: App) -> None:
    key = rsa.generate_private_key(65537, 2048)
    bare = "".join(pem(key).splitlines()[1:-1])
    keys.app_key_rotate(app=app, kind="rsa", value=bare, actor="staff:alice")
    assert stored(app, "rsa") == {"current": pem(key)}


@pytest.mark.parametrize(
    "value",
    [
        lambda: pem(rsa.generate_private_key(65537, 1024)),
        lambda: pem(ec.generate_private_key(ec.SECP256R1())),
        lambda: "nonsense",
        lambda: "",
    ],
)
def test_a_key_that_cannot_be_used_is_refused(app: App, value: Any) -> None:
    with pytest.raises(KeyProblem):
        keys.app_key_rotate(app=app, kind="rsa", value=value(), actor="staff:alice")
    assert stored(app, "rsa") == {}
    assert not Event.objects.filter(type="app.key_rotated").exists()


def test_the_present_key_again_does_not_push_out_the_previous(app: App) -> None:
    keys.app_key_rotate(app=app, kind="hmac", value="second", actor="staff:alice")
    with pytest.raises(KeyProblem, match="present key"):
        keys.app_key_rotate(app=app, kind="hmac", value="second", actor="staff:alice")
    assert stored(app, "hmac") == {"current": "second", "previous": HMAC_SECRET}


def test_webhook_secrets_overlap_until_the_previous_is_forgotten(app: App) -> None:
    keys.webhook_secret_rotate(app=app, secret="whsec_bmV3", actor="staff:alice")
    fresh = App.objects.get(pk=app.pk)
    assert (fresh.webhook_secret, fresh.webhook_secret_previous) == ("whsec_bmV3", WEBHOOK_SECRET)
    assert (app.webhook_secret, app.webhook_secret_previous) == ("whsec_bmV3", WEBHOOK_SECRET)
    assert keys.webhook_secret_forget_previous(app=app, actor="staff:alice") is True
    assert App.objects.get(pk=app.pk).webhook_secret_previous == ""
    assert keys.webhook_secret_forget_previous(app=app, actor="staff:alice") is False


def test_each_change_leaves_an_event_without_the_secret(app: App) -> None:
    keys.app_key_rotate(app=app, kind="hmac", value="very-secret-one", actor="staff:alice", reason="yearly")
    keys.app_key_forget_previous(app=app, kind="hmac", actor="staff:bob")
    keys.webhook_secret_rotate(app=app, secret="whsec_very", actor="staff:alice")
    events = Event.objects.filter(object_type="app").order_by("id")
    assert [(e.type, e.actor, e.detail["kind"]) for e in events] == [
        ("app.key_rotated", "staff:alice", "hmac"),
        ("app.key_forgotten", "staff:bob", "hmac"),
        ("app.key_rotated", "staff:alice", "webhook"),
    ]
    assert events[0].reason == "yearly"
    assert "very" not in str(list(events.values()))


def test_secrets_are_stored_encrypted(app: App) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM merchants_appkey")
        assert HMAC_SECRET not in str(cursor.fetchall())
