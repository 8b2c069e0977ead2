"""Nonces that are forgotten, certificates that are renewed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.db import connection
from django.utils import timezone

from merchants import checking, tasks
from merchants.models import Nonce, PaymentAccount
from paycenter.errors import ChannelConfigInvalid, NotSent, UnknownOutcome
from tests import factories


class Certificate(NamedTuple):
    serial: str
    pem: str


class Renewing:
    """A provider whose channel renews its certificates."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.asked = 0

    def refresh_certificates(self) -> list[Certificate]:
        # A test runs in one transaction of its own; nothing may have opened another.
        assert not connection.savepoint_ids, "the channel is called inside a transaction"
        self.asked += 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        checking, "account_store_fetched", lambda *, account, values: found.append((account.payment_no, values))
    )
    return found


def speak(monkeypatch: pytest.MonkeyPatch, providers: dict[str, Any]) -> None:
    monkeypatch.setattr(checking, "provider_of", lambda account: providers[account.payment_no])


def test_renewed_certificates_are_stored_joined(db: None, monkeypatch: pytest.MonkeyPatch, stored: Any) -> None:
    account = factories.make_account(factories.make_merchant())
    speak(monkeypatch, {account.payment_no: Renewing([Certificate("1", "PEM1\n"), Certificate("2", "PEM2\n")])})
    assert tasks.refresh_certificates() == 1
    assert stored == [(account.payment_no, {"platform_certificates": "PEM1\nPEM2\n"})]


def test_none_listed_keeps_what_is_stored(db: None, monkeypatch: pytest.MonkeyPatch, stored: Any) -> None:
    account = factories.make_account(factories.make_merchant())
    speak(monkeypatch, {account.payment_no: Renewing([])})
    assert tasks.refresh_certificates() == 1
    assert stored == []


def test_channels_that_renew_nothing_are_not_asked(world: Any, stored: Any) -> None:
    assert tasks.refresh_certificates() == 0
    assert stored == []


@pytest.mark.parametrize("state", ["draft", "review", "closed"])
def test_accounts_that_were_never_active_or_are_closed_are_not_asked(
    db: None, monkeypatch: pytest.MonkeyPatch, stored: Any, state: str
) -> None:
    account = factories.make_account(factories.make_merchant(), state=state)
    provider = Renewing([Certificate("1", "PEM1")])
    speak(monkeypatch, {account.payment_no: provider})
    assert tasks.refresh_certificates() == 0
    assert provider.asked == 0


def test_a_suspended_account_is_asked_because_its_notifications_still_arrive(
    db: None, monkeypatch: pytest.MonkeyPatch, stored: Any
) -> None:
    account = factories.make_account(factories.make_merchant(), state="suspended")
    speak(monkeypatch, {account.payment_no: Renewing([Certificate("1", "PEM1")])})
    assert tasks.refresh_certificates() == 1
    assert [number for number, _ in stored] == [account.payment_no]


@pytest.mark.parametrize("trouble", [NotSent("down"), UnknownOutcome("500"), ChannelConfigInvalid({}), KeyError("x")])
def test_one_accounts_trouble_does_not_stop_the_others(
    db: None, monkeypatch: pytest.MonkeyPatch, stored: Any, trouble: Exception
) -> None:
    first, second = (factories.make_account(factories.make_merchant()) for _ in range(2))
    good = Renewing([Certificate("1", "PEM1")])
    speak(monkeypatch, {first.payment_no: Renewing(trouble), second.payment_no: good})
    assert tasks.refresh_certificates() == 2
    assert [number for number, _ in stored] == [second.payment_no]
    assert PaymentAccount.objects.get(pk=first.pk).state == "active"


def test_nonces_are_forgotten_in_batches_and_the_living_stay(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    app = factories.make_app()
    now = timezone.now()
    for number in range(7):
        Nonce.objects.create(app=app, nonce=f"old-{number}", expires_at=now - timedelta(hours=1))
    Nonce.objects.create(app=app, nonce="just-over", expires_at=now - timedelta(seconds=5))
    Nonce.objects.create(app=app, nonce="living", expires_at=now + timedelta(seconds=5))
    monkeypatch.setattr(tasks, "_BATCH", 3)
    assert tasks.forget_nonces() == 7
    assert set(Nonce.objects.values_list("nonce", flat=True)) == {"just-over", "living"}
