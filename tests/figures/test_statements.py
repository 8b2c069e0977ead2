"""How many statements the hot paths cost. A ratchet: they may fall, not rise. `make figures` prints them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cashier.services import cashier_order_create
from tests import factories
from tests.conftest import World
from tests.factories import HMAC_SECRET
from tests.fakes.signing import signed_post

# Statements including BEGIN and COMMIT, with everything that is cached for a second already cached. Of a
# notification's, one looks for refunds that were told of before this payment: the money must not be given back twice.
AT_MOST = {"gopay": 16, "notify": 11, "cashier status": 1}


def statements(work: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as seen:
        answer = work()
    assert answer.status_code == 200, answer.content
    return len(seen)


def gopay(world: World) -> Any:
    body = {
        "merchant_no": world.merchant.merchant_no, "method": "fake_qr", "amount": 100, "subject": "fee",
        "app_order_no": factories.make_order(world.merchant).app_order_no,
    }  # fmt: skip
    return signed_post(Client(), "/v1/gopay", body, world.app.app_id, HMAC_SECRET)


def measured(world: World) -> dict[str, int]:
    attempt_no = gopay(world).json()["data"]["attempt_no"]
    claim = json.dumps(world.book.notification(attempt_no))
    page = cashier_order_create(app=world.app, order=world.order(), display=[])
    return {
        "gopay": statements(lambda: gopay(world)),
        "notify": statements(
            lambda: Client().post(f"/notify/fake_qr/{attempt_no}", claim, content_type="application/json")
        ),
        "cashier status": statements(lambda: Client().get(f"/c/{page.token}/status")),
    }


def test_statements_of_the_hot_paths(committed_world: World, settings: Any) -> None:
    settings.CONFIGURATION_MEMORY = 60
    counts = measured(committed_world)
    for name, count in counts.items():
        print(f"statements of {name}: {count}")
    assert {name: count for name, count in counts.items() if count > AT_MOST[name]} == {}
