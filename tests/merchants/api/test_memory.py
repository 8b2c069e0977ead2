"""What is suspended or revoked stops working: at once where nothing is remembered, else within the memory's time."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client

from merchants.models import AccountMethod, App, AppKey, AppMerchant, Merchant, PaymentAccount
from merchants.states import MerchantState
from paycenter import memory
from tests import factories
from tests.conftest import World
from tests.fakes.signing import signed_post

SECONDS = 0.5


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"now": 1000.0}
    monkeypatch.setattr(memory, "time", SimpleNamespace(monotonic=lambda: now["now"]))
    return now


def gopay(world: World) -> int:
    body = {
        "merchant_no": world.merchant.merchant_no, "method": "fake_qr", "amount": 100, "subject": "fee",
        "app_order_no": factories.make_order(world.merchant).app_order_no,
    }  # fmt: skip
    return int(signed_post(Client(), "/v1/gopay", body, world.app.app_id, factories.HMAC_SECRET).json()["errno"])


STOPS: dict[str, tuple[Callable[[World], Any], int]] = {
    "app": (lambda w: App.objects.filter(pk=w.app.pk).update(is_active=False), 40101),
    "key": (lambda w: AppKey.objects.filter(app=w.app).delete(), 40101),
    "address": (lambda w: App.objects.filter(pk=w.app.pk).update(allowed_ips=["203.0.113.0/24"]), 40301),
    "link": (lambda w: AppMerchant.objects.filter(app=w.app).update(is_active=False), 40302),
    "merchant": (lambda w: Merchant.objects.filter(pk=w.merchant.pk).update(state=MerchantState.SUSPENDED), 40302),
    "account": (
        lambda w: PaymentAccount.objects.filter(pk=w.account.pk).update(state=MerchantState.SUSPENDED), 40302,
    ),
    "method": (lambda w: AccountMethod.objects.filter(account=w.account).update(is_active=False), 40302),
}  # fmt: skip


@pytest.mark.parametrize("what", STOPS)
def test_it_stops_within_the_memorys_time(
    committed_world: World, settings: Any, clock: dict[str, float], what: str
) -> None:
    settings.CONFIGURATION_MEMORY = SECONDS
    stop, errno = STOPS[what]
    assert gopay(committed_world) == 0
    stop(committed_world)
    clock["now"] += SECONDS + 0.001
    assert gopay(committed_world) == errno


@pytest.mark.parametrize("what", STOPS)
def test_it_stops_at_once_without_a_memory(committed_world: World, settings: Any, what: str) -> None:
    settings.CONFIGURATION_MEMORY = 0
    stop, errno = STOPS[what]
    assert gopay(committed_world) == 0
    stop(committed_world)
    assert gopay(committed_world) == errno


def test_what_was_not_there_is_looked_for_again(committed_world: World, settings: Any) -> None:
    """Who is just being set up need not wait."""
    settings.CONFIGURATION_MEMORY = 60
    AppMerchant.objects.update(is_active=False)
    assert gopay(committed_world) == 40302
    AppMerchant.objects.update(is_active=True)
    assert gopay(committed_world) == 0


def test_what_a_transaction_sees_is_not_remembered(world: World, settings: Any) -> None:
    """It may never be committed."""
    settings.CONFIGURATION_MEMORY = 60
    assert gopay(world) == 0
    App.objects.update(is_active=False)
    assert gopay(world) == 40101
