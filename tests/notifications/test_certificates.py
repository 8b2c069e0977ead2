"""Certificates that run out are told of in time, once per step."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from merchants.models import PaymentAccount
from notifications.models import Alert
from notifications.tasks import watch_certificates
from tests import factories
from tests.conftest import World


def ending_in(account: PaymentAccount, **span: float) -> None:
    PaymentAccount.objects.filter(pk=account.pk).update(certificate_expires_at=timezone.now() + timedelta(**span))


def test_each_step_is_told_once_and_grows_serious(world: World) -> None:
    now = timezone.now()
    told = []
    for days in (31, 29.5, 20, 6.5, 0.5, -1):
        # The certificate's end stays, the time goes on: the end is moved and the earlier alerts with it.
        Alert.objects.filter(key__startswith="certificate:").delete()
        PaymentAccount.objects.filter(pk=world.account.pk).update(certificate_expires_at=now + timedelta(days=days))
        raised = watch_certificates()
        assert watch_certificates() == 0
        found = Alert.objects.filter(kind="certificate").first()
        told.append((raised, found.severity if found else "", found.key.rpartition(":")[2] if found else ""))
    assert told == [
        (0, "", ""), (1, "warning", "30"), (1, "warning", "30"), (1, "critical", "7"), (1, "critical", "1"),
        (1, "critical", "0"),
    ]  # fmt: skip


def test_an_alert_names_the_account_and_its_merchant(world: World) -> None:
    ending_in(world.account, days=3)
    watch_certificates()
    found = Alert.objects.get(kind="certificate")
    assert world.account.payment_no in found.title
    assert found.merchant_no == world.merchant.merchant_no


@pytest.mark.parametrize("state", ["closed", "draft"])
def test_accounts_out_of_use_are_left_alone(world: World, state: str) -> None:
    account = factories.make_account(world.merchant, state=state)
    ending_in(account, days=1)
    assert watch_certificates() == 0


def test_an_account_without_a_certificate_is_left_alone(world: World) -> None:
    assert watch_certificates() == 0
