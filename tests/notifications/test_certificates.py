"""Certificates that run out are told of in time, once per step, by merchant, account and certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from django.utils import timezone

from channels.base import keys
from merchants.models import Merchant, PaymentAccount
from merchants.onboarding import certificate_expiry
from notifications import certificates
from notifications.certificates import watch_certificates as watch
from notifications.models import Alert
from notifications.tasks import watch_certificates
from paycenter.celery import app
from tests import factories

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@cache
def some_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def certificate(ends_at: datetime, *, name: str = "041@property@1", serial: int = 0xABC123) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Some CA")])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(some_key().public_key())
        .serial_number(serial).not_valid_before(ends_at - timedelta(days=365)).not_valid_after(ends_at)
        .sign(some_key(), hashes.SHA256())
    )  # fmt: skip
    return keys.certificates_pem([made])


@dataclass
class Wall:
    """The clock that the watch reads."""

    now: datetime


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    made = Wall(NOW)
    monkeypatch.setattr(timezone, "now", lambda: made.now)
    return made


Holding = Callable[..., PaymentAccount]


@pytest.fixture
def holding(db: None) -> Holding:
    """An account of WeChat Pay with these certificates, stored as the core stores it."""

    def make(merchant: Merchant | None = None, *, state: str = "active", **config: Any) -> PaymentAccount:
        from channels.base.discovery import provider_for

        ends = certificate_expiry(provider_for("wechat"), config)
        return factories.make_account(
            merchant or factories.make_merchant(name="安居物业"), channel="wechat", config=config, methods=(),
            state=state, certificate_expires_at=ends,
        )  # fmt: skip

    return make


def test_each_step_is_told_once_while_the_days_go_by(holding: Holding, wall: Wall) -> None:
    end = NOW + timedelta(days=40)
    account = holding(merchant_cert=certificate(end))
    told = []
    for hour in range(0, 42 * 24, 6):
        wall.now = NOW + timedelta(hours=hour)
        if watch_certificates():
            alert = Alert.objects.latest("pk")
            told.append(((end - wall.now).days, alert.severity, "expired" in alert.title or "过期" in alert.title))
    assert told == [(30, "warning", False), (7, "critical", False), (1, "critical", False), (0, "critical", True)]
    assert Alert.objects.filter(merchant_no=account.merchant.merchant_no).count() == 4


def test_one_who_comes_late_is_told_what_is_due_now(holding: Holding, wall: Wall) -> None:
    holding(merchant_cert=certificate(NOW + timedelta(days=3)))
    assert (watch(), watch()) == (1, 0)
    assert Alert.objects.get().severity == "critical"


def test_an_alert_names_merchant_account_and_certificate(holding: Holding, wall: Wall) -> None:
    account = holding(merchant_cert=certificate(NOW + timedelta(days=3)))
    watch()
    found = Alert.objects.get(kind="certificate")
    assert account.payment_no in found.title
    assert "2026-11-24" in found.title
    assert found.merchant_no == account.merchant.merchant_no
    for word in ("安居物业", account.payment_no, "041@property@1", "ABC123"):
        assert word in found.text
    assert "证书" in found.text or "certificate" in found.text


def test_each_of_an_accounts_certificates_is_watched(holding: Holding, wall: Wall) -> None:
    """Also the second one, after the first has run out and nobody did anything."""
    holding(
        merchant_cert=certificate(NOW - timedelta(days=9), serial=0xAA),
        platform_certificates=certificate(NOW + timedelta(days=5), serial=0xBB),
    )
    assert watch() == 2
    assert {a.key.rpartition(":")[2] for a in Alert.objects.all()} == {"0", "7"}


def test_a_renewed_certificate_is_watched_afresh(holding: Holding, wall: Wall) -> None:
    account = holding(merchant_cert=certificate(NOW + timedelta(days=20)))
    assert watch() == 1
    renewed = certificate(NOW + timedelta(days=25), serial=0xDEF456)
    account.config = {"merchant_cert": renewed}
    account.certificate_expires_at = NOW + timedelta(days=25)
    account.save()
    assert (watch(), watch()) == (1, 0)
    assert "DEF456" in Alert.objects.latest("pk").text


def test_of_two_that_overlap_the_later_one_counts(holding: Holding, wall: Wall) -> None:
    """A channel that renews its own certificates hands over both for a while."""
    old, new = certificate(NOW + timedelta(days=2), serial=1), certificate(NOW + timedelta(days=300), serial=2)
    account = holding(platform_certificates=old + new)
    assert account.certificate_expires_at == NOW + timedelta(days=300)
    assert watch() == 0


@pytest.mark.parametrize("state", ["closed", "draft"])
def test_accounts_out_of_use_are_left_alone(holding: Holding, wall: Wall, state: str) -> None:
    holding(merchant_cert=certificate(NOW + timedelta(days=1)), state=state)
    assert watch() == 0


def test_a_suspended_account_is_still_watched(holding: Holding, wall: Wall) -> None:
    holding(merchant_cert=certificate(NOW + timedelta(days=1)), state="suspended")
    assert watch() == 1


def test_an_account_without_a_certificate_is_left_alone(holding: Holding, wall: Wall) -> None:
    holding()
    assert watch() == 0


def test_a_channel_whose_folder_is_gone_does_not_stop_the_others(holding: Holding, wall: Wall) -> None:
    gone = holding(merchant_cert=certificate(NOW + timedelta(days=1)))
    PaymentAccount.objects.filter(pk=gone.pk).update(channel="nosuch")
    holding(merchant_cert=certificate(NOW + timedelta(days=1)))
    assert watch() == 1


def test_it_is_told_in_the_installations_language(holding: Holding, wall: Wall, settings: Any) -> None:
    settings.LANGUAGE_CODE = "zh-hans"
    holding(merchant_cert=certificate(NOW + timedelta(days=3)))
    watch()
    found = Alert.objects.get()
    assert "到期" in found.title
    assert "序列号 ABC123" in found.text


def test_beat_runs_it_at_least_daily_and_looks_only_at_what_is_due() -> None:
    (entry,) = [e for e in app.conf.beat_schedule.values() if e["task"] == "notifications.tasks.watch_certificates"]
    assert entry["schedule"] <= 86400
    assert certificates.STEPS[:3] == (30, 7, 1)
