"""The second person: nothing that opens doors takes effect through one person alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import IntegrityError, connection, transaction
from django.utils import timezone, translation

from merchants import changes, services
from merchants.models import AppKey, ChangeRequest, User
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.models import Event
from tests.conftest import World
from tests.factories import HMAC_SECRET, WEBHOOK_SECRET, fresh
from tests.fakes.staff import make_staff

NEW = {"merchant": "fake-merchant", "secret": "the-new-channel-secret"}


@pytest.fixture
def asker(db: None) -> User:
    return make_staff("operator")


@pytest.fixture
def second(db: None) -> User:
    return make_staff("finance")


@pytest.fixture
def change(world: World, asker: User) -> ChangeRequest:
    return changes.account_change_request(account=world.account, config=NEW, user=asker, reason="key rotation")


def test_a_request_changes_nothing_until_somebody_else_confirms(
    world: World, change: ChangeRequest, second: User
) -> None:
    assert fresh(world.account).config["secret"] == "fake-channel-secret"
    changes.change_confirm(change=change, user=second, comment="checked by phone")
    account = fresh(world.account)
    assert account.config["secret"] == NEW["secret"]
    assert account.config_version == world.account.config_version + 1
    assert account.check_ok is None
    done = fresh(change)
    assert (done.state, done.decided_by, done.comment) == ("confirmed", second, "checked by phone")


def test_not_even_a_superuser_confirms_their_own_request(world: World, change: ChangeRequest, asker: User) -> None:
    User.objects.filter(pk=asker.pk).update(is_superuser=True)
    boss = User.objects.get(pk=asker.pk)
    for decide in (changes.change_confirm, changes.change_reject):
        with pytest.raises(TransitionRefused):
            decide(change=change, user=boss)
    assert fresh(change).state == "pending"
    assert fresh(world.account).config["secret"] == "fake-channel-secret"


@pytest.mark.parametrize("role", ["service", "auditor"])
def test_only_some_roles_confirm(world: World, change: ChangeRequest, role: str) -> None:
    with pytest.raises(TransitionRefused):
        changes.change_confirm(change=change, user=make_staff(role))
    assert fresh(world.account).config["secret"] == "fake-channel-secret"


def test_staff_of_the_merchant_never_confirm(world: World, change: ChangeRequest) -> None:
    with pytest.raises(TransitionRefused):
        changes.change_confirm(change=change, user=make_staff("merchant", merchant=world.merchant))


def test_the_database_itself_refuses_one_person_in_both_parts(change: ChangeRequest, asker: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ChangeRequest.objects.filter(pk=change.pk).update(state="confirmed", decided_by=asker)


def test_a_rejected_request_changes_nothing_and_is_final(world: World, change: ChangeRequest, second: User) -> None:
    changes.change_reject(change=change, user=second, comment="not agreed")
    with pytest.raises(TransitionRefused):
        changes.change_confirm(change=change, user=second)
    assert fresh(world.account).config["secret"] == "fake-channel-secret"


def test_only_the_asker_withdraws(change: ChangeRequest, asker: User, second: User) -> None:
    with pytest.raises(TransitionRefused):
        changes.change_withdraw(change=change, user=second)
    changes.change_withdraw(change=change, user=asker)
    assert fresh(change).state == "withdrawn"


def test_a_request_on_a_record_that_changed_since_is_refused(world: World, change: ChangeRequest, second: User) -> None:
    services.account_update_config(
        account=world.account, config={**NEW, "secret": "in between"}, actor="staff:other", confirmed=True
    )
    with pytest.raises(TransitionRefused):
        changes.change_confirm(change=change, user=second)
    assert fresh(world.account).config["secret"] == "in between"


def test_one_request_at_a_time(world: World, change: ChangeRequest, asker: User) -> None:
    with pytest.raises(TransitionRefused):
        changes.account_change_request(account=world.account, config=NEW, user=asker, reason="again")


def test_a_request_that_changes_nothing_is_refused(world: World, asker: User) -> None:
    with pytest.raises(TransitionRefused):
        changes.account_change_request(
            account=world.account, config={"merchant": "fake-merchant", "secret": ""}, user=asker, reason="none"
        )


def test_wrong_parameters_are_refused_when_asking(world: World, asker: User) -> None:
    with pytest.raises(ChannelConfigInvalid):
        changes.account_change_request(
            account=world.account, config={"merchant": "", "secret": "x"}, user=asker, reason="broken"
        )
    assert not ChangeRequest.objects.exists()


def test_secrets_are_shown_nowhere_and_forgotten_once_decided(change: ChangeRequest, second: User) -> None:
    def stored() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM merchants_changerequest")
            rows = cursor.fetchall()
            cursor.execute("SELECT * FROM paycenter_event")
            return str([*rows, *cursor.fetchall()])

    assert NEW["secret"] not in stored()
    assert "fake-channel-secret" not in stored()
    assert change.before == {"secret": "••••••"}
    assert fresh(change).payload["config"]["secret"] == NEW["secret"]
    changes.change_confirm(change=change, user=second)
    assert fresh(change).payload == {}


def test_every_step_is_an_event(change: ChangeRequest, second: User) -> None:
    changes.change_confirm(change=change, user=second)
    rows = Event.objects.filter(object_type="changerequest").order_by("id")
    assert [(e.type, e.actor) for e in rows] == [
        ("changerequest.requested", "staff:operator"), ("changerequest.confirm", "staff:finance"),
    ]  # fmt: skip
    assert rows[0].reason == "key rotation"
    configured = Event.objects.get(type="paymentaccount.configured")
    assert configured.actor == "staff:finance"


def test_addresses_take_effect_on_confirmation(world: World, asker: User, second: User) -> None:
    values = {"notify_url": "https://new.example/n", "return_url": "", "allowed_ips": ["203.0.113.0/24"]}
    change = changes.app_addresses_request(app=world.app, values=values, user=asker, reason="moved")
    assert fresh(world.app).notify_url == world.app.notify_url
    changes.change_confirm(change=change, user=second)
    app = fresh(world.app)
    assert (app.notify_url, app.allowed_ips) == ("https://new.example/n", ["203.0.113.0/24"])


@pytest.mark.parametrize("kind", ["app_hmac", "app_webhook"])
def test_a_new_secret_is_valid_from_the_confirmation_with_the_old_beside_it(
    world: World, asker: User, second: User, kind: str
) -> None:
    change, secret = changes.app_secret_request(app=world.app, kind=kind, user=asker, reason="leaked")
    assert secrets_of(world, kind)[0] != secret
    changes.change_confirm(change=change, user=second)
    old = HMAC_SECRET if kind == "app_hmac" else WEBHOOK_SECRET
    assert secrets_of(world, kind) == (secret, old)


def secrets_of(world: World, kind: str) -> tuple[str, str]:
    """Current and previous."""
    if kind == "app_webhook":
        app: Any = fresh(world.app)
        return app.webhook_secret, app.webhook_secret_previous
    found = dict(AppKey.objects.filter(app=world.app, kind="hmac").values_list("slot", "value"))
    return found["current"], found.get("previous", "")


def test_an_rsa_key_is_shown_by_its_fingerprint(world: World, asker: User, second: User) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    change = changes.app_rsa_request(app=world.app, public_key=pem, user=asker, reason="first key")
    assert change.after["public_key"] == changes.fingerprint(pem)
    changes.change_confirm(change=change, user=second)
    assert AppKey.objects.get(app=world.app, kind="rsa", slot="current").value.strip() == pem.strip()


def test_a_request_that_waited_too_long_is_refused_and_makes_room(
    world: World, change: ChangeRequest, asker: User, second: User, settings: Any
) -> None:
    ChangeRequest.objects.update(requested_at=timezone.now() - timedelta(days=settings.CHANGE_REQUEST_DAYS, seconds=1))
    with translation.override("en"), pytest.raises(TransitionRefused, match="too long"):
        changes.change_confirm(change=change, user=second)
    assert fresh(world.account).config["secret"] == "fake-channel-secret"
    again = changes.account_change_request(account=world.account, config=NEW, user=asker, reason="again")
    assert (fresh(change).state, fresh(change).payload) == ("expired", {})
    changes.change_confirm(change=again, user=second)


def test_an_app_is_taken_into_use_by_two_people(world: World, asker: User, second: User) -> None:
    services.app_update(app=world.app, values={"is_active": False}, actor="staff:operator")
    change = changes.app_open_request(app=world.app, user=asker, reason="back")
    with pytest.raises(TransitionRefused):
        changes.change_confirm(change=change, user=asker)
    assert not fresh(world.app).is_active
    changes.change_confirm(change=change, user=second)
    assert fresh(world.app).is_active


@pytest.mark.django_db(transaction=True)
def test_of_two_who_confirm_at_the_same_moment_one_does(committed_world: World, in_threads: Any) -> None:
    world, people = committed_world, [make_staff("finance", username=f"finance{n}") for n in range(4)]
    change = changes.account_change_request(
        account=world.account, config=NEW, user=make_staff("operator"), reason="rotation"
    )
    outcomes = in_threads(lambda n: changes.change_confirm(change=change, user=people[n]), 4)
    refused = [o for o in outcomes if isinstance(o, TransitionRefused)]
    assert (len(refused), len(outcomes)) == (3, 4)
    assert fresh(world.account).config_version == world.account.config_version + 1
    assert Event.objects.filter(type="changerequest.confirm").count() == 1
