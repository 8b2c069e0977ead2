"""query/settle: batches, and the app's own lines in them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciliation.api.query_settle import QuerySettle
from reconciliation.models import SettlementBatch
from reconciliation.settlement.models import SettlementTerms
from tests.conftest import World
from tests.fakes.declared import assert_as_declared
from tests.fakes.signing import Caller
from tests.reconciliation.conftest import DAY, reconcile, row_of

PATH = "/v1/query/settle"


@pytest.fixture(autouse=True)
def _terms(published: Any, world: World) -> None:
    SettlementTerms.objects.create(account=world.account, days_after=1)


def ask(call: Caller, world: World, **more: Any) -> Any:
    body = {"merchant_no": world.merchant.merchant_no, "date_from": "2026-11-20", "date_to": "2026-11-30", **more}
    return call(PATH, body)


def test_batches_and_their_lines_page_by_page(call: Caller, world: World, paid: Any) -> None:
    rows = [row_of(paid(amount=100 + n), fee=1) for n in range(3)]
    reconcile(world, rows)
    SettlementBatch.objects.update(received=299)
    found = ask(call, world, limit=2).json()["data"]
    assert_as_declared(QuerySettle, found)
    batch = SettlementBatch.objects.get()
    assert found["batches"] == [{
        "batch_no": batch.batch_no, "date": str(DAY + timedelta(days=3)), "payment_no": world.account.payment_no,
        "currency": "CNY", "expected": 303, "received": 299, "fee": 3, "difference": -1, "state": "expected",
    }]  # fmt: skip
    assert [line["amount"] for line in found["lines"]] == [100, 101]
    assert {line["batch_no"] for line in found["lines"]} == {batch.batch_no}
    rest = ask(call, world, limit=2, cursor=found["next_cursor"]).json()["data"]
    assert ([line["amount"] for line in rest["lines"]], rest["next_cursor"]) == ([102], None)


def test_no_batches_no_lines(call: Caller, world: World, paid: Any) -> None:
    paid()
    assert ask(call, world).json()["data"] == {"batches": [], "lines": [], "next_cursor": None}


@pytest.mark.parametrize(("first", "last"), [("2026-11-20", "2026-11-19"), ("2026-01-01", "2026-12-31")])
def test_the_days_are_in_order_and_not_too_many(call: Caller, world: World, first: str, last: str) -> None:
    answer = ask(call, world, date_from=first, date_to=last)
    assert (answer.json()["errno"], set(answer.json()["data"]["errors"])) == (40001, {"date_to"})
