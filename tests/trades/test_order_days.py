"""A channel whose order numbers begin anew each day: yesterday's words never count for today's order.

With the real bank provider: its notices and returns name the day, and so must the attempt.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from django.db import transaction
from django.test import Client

from channels.bank.provider import BankProvider
from channels.base import keys
from channels.base.config import clean_config
from merchants.models import PaymentAccount
from notifications.models import Alert
from tests import factories
from tests.channels.bank.wire import BRANCH, CO_NO, form, notice_fields, signed
from tests.conftest import World
from trades.models import Attempt, ChannelCounter
from trades.services import trade_pay


@pytest.fixture(scope="module")
def bank_key() -> RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(params=["6", "10"])
def account(request: pytest.FixtureRequest, world: World, bank_key: RSAPrivateKey) -> PaymentAccount:
    raw = {
        "branch_id": BRANCH, "co_no": CO_NO, "order_no_digits": request.param, "gateway_url": "http://127.0.0.1:1/bank",
        "merchant_private_key": keys.private_key_pem(rsa.generate_private_key(65537, 2048)),
        "bank_public_key": keys.public_key_pem(bank_key.public_key()),
    }  # fmt: skip
    config = clean_config(BankProvider, raw, datetime.now().astimezone())
    return factories.make_account(world.merchant, methods=("bank_pc", "bank_app"), channel="bank", config=config)


def start(world: World, method: str = "bank_pc") -> Attempt:
    return trade_pay(app=world.app, order=world.order(), method=method)


def a_day_earlier(attempt: Attempt) -> Attempt:
    """As if it had been sent yesterday; numbers of today begin anew."""
    sent_at = attempt.sent_at - timedelta(days=1)
    day = (datetime.strptime(attempt.order_day, "%Y%m%d") - timedelta(days=1)).strftime("%Y%m%d")
    with transaction.atomic():
        Attempt.objects.filter(pk=attempt.pk).update(sent_at=sent_at, order_day=day)
        ChannelCounter.objects.all().delete()
    return Attempt.objects.get(pk=attempt.pk)


def notice_of(attempt: Attempt, key: RSAPrivateKey, **changes: str | None) -> str:
    paid = {"BillNo": attempt.channel_order_no, "Date": attempt.order_day, "Amount": attempt.money.major}
    return form(signed(notice_fields(**(paid | changes)), key))


def post(attempt: Attempt, body: str) -> Any:
    url = f"/notify/{attempt.method}/{attempt.attempt_no}"
    return Client().post(url, body, content_type="application/x-www-form-urlencoded")


def state(attempt: Attempt) -> str:
    return str(Attempt.objects.get(pk=attempt.pk).trade.state)


def test_the_number_the_bank_sees_is_its_own(world: World, account: PaymentAccount) -> None:
    first, second = start(world), start(world, "bank_app")
    digits = int(account.config["order_no_digits"])
    assert [a.channel_order_no for a in (first, second)] == [f"{n:0{digits}d}" for n in (1, 2)]
    assert first.pay is not None
    assert second.pay is not None
    sent = first.pay["fields"], second.pay["params"]
    for attempt, fields in zip((first, second), sent, strict=True):
        assert (fields["BillNo"], fields["Date"]) == (attempt.channel_order_no, attempt.order_day)
        assert fields["NoticeUrl"].endswith(f"/notify/{attempt.method}/{attempt.attempt_no}")


def test_a_genuine_notice_pays(world: World, account: PaymentAccount, bank_key: RSAPrivateKey) -> None:
    attempt = start(world)
    answer = post(attempt, notice_of(attempt, bank_key))
    assert (answer.status_code, answer.content) == (200, b"SUCCESS")
    assert state(attempt) == "paid"


def test_yesterdays_genuine_notice_does_not_pay_todays_order_of_the_same_number(
    world: World, account: PaymentAccount, bank_key: RSAPrivateKey
) -> None:
    yesterday = a_day_earlier(start(world))
    today = start(world)
    assert (today.channel_order_no, today.order_day) != (yesterday.channel_order_no, yesterday.order_day)
    assert today.channel_order_no == yesterday.channel_order_no
    notice = notice_of(yesterday, bank_key)

    assert post(today, notice).content == b"FAIL"
    assert (state(today), state(yesterday)) == ("paying", "paying")
    assert Alert.objects.filter(kind="security", severity="critical").exists()

    assert post(yesterday, notice).content == b"SUCCESS"
    assert (state(today), state(yesterday)) == ("paying", "paid")


def test_yesterdays_return_does_not_move_todays_order(
    world: World, account: PaymentAccount, bank_key: RSAPrivateKey
) -> None:
    yesterday = a_day_earlier(start(world))
    today = start(world)
    query = notice_of(yesterday, bank_key, MsgType="return", NoticeNo=None, OrderStatus=None)
    Client().get(f"/return/bank_pc/{today.attempt_no}?{query}")
    assert (state(today), state(yesterday)) == ("paying", "paying")
    Client().get(f"/return/bank_pc/{yesterday.attempt_no}?{query}")
    assert (state(today), state(yesterday)) == ("paying", "confirming")
