"""query/bill: an app's day, page by page, with fees and what was reconciled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from paycenter.money import Money
from reconciliation.api.query_bill import QueryBill
from refunds.external import external_refund_record
from tests import factories
from tests.conftest import World
from tests.factories import HMAC_SECRET
from tests.fakes.declared import assert_as_declared
from tests.fakes.signing import Caller
from tests.reconciliation.conftest import DAY, NOON, reconcile, row_of
from trades.models import Attempt

PATH = "/v1/query/bill"


@pytest.fixture(autouse=True)
def _published(published: Any) -> None:
    """Every test here reads bills."""


def ask(call: Caller, world: World, **more: Any) -> Any:
    answer = call(PATH, {"merchant_no": world.merchant.merchant_no, "date": str(DAY), **more})
    if answer.status_code == 200:
        assert_as_declared(QueryBill, answer.json()["data"])
    return answer


def data(call: Caller, world: World, **more: Any) -> Any:
    answer = ask(call, world, **more)
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def gave_back(attempt: Attempt, amount: int) -> None:
    """The channel's console refunds some of it."""
    money = Money(amount, "CNY")
    external_refund_record(attempt=attempt, channel_request_no="RX", amount=money, actor="t", finished_at=NOON)


def test_a_day_shows_payments_and_refunds_with_fees(call: Caller, world: World, paid: Any) -> None:
    attempt, other = paid(amount=1000), paid(amount=500)
    gave_back(attempt, 300)
    before = data(call, world)
    assert [(row["kind"], row["amount"], row["fee"], row["reconciled"]) for row in before["rows"]] == [
        ("payment", 1000, None, False), ("payment", 500, None, False), ("refund", 300, None, False),
    ]  # fmt: skip
    from tests.fakes import bills

    back = bills.line(kind="refund", refund_no="RX", amount=300, fee=-2, at=NOON.isoformat())
    reconcile(world, [row_of(attempt, fee=6), row_of(other, amount=501, fee=3), back])
    found = data(call, world)
    assert [(row["amount"], row["fee"], row["reconciled"]) for row in found["rows"]] == [
        (1000, 6, True), (500, 3, False), (300, -2, True),
    ]  # fmt: skip
    assert found["totals"] == {"CNY": {"count": 3, "paid": 1500, "refunded": 300, "fee": 7}}
    first = found["rows"][0]
    assert first["trade_no"] == attempt.trade.trade_no
    assert first["attempt_no"] == attempt.attempt_no
    assert first["payment_no"] == world.account.payment_no
    assert first["occurred_at"] == "2026-11-20T12:00:00.000+08:00"
    assert found["next_cursor"] is None


def test_pages_join_without_gap_or_repetition(call: Caller, world: World, paid: Any) -> None:
    made = [paid(amount=100 + n) for n in range(5)]
    gave_back(made[0], 9)
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        page = data(call, world, limit=2, cursor=cursor)
        assert page["totals"]["CNY"]["count"] == 6
        seen += [row["amount"] for row in page["rows"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert seen == [100, 101, 102, 103, 104, 9]
    assert pages == 3


def test_the_day_is_the_merchants(call: Caller, world: World, paid: Any) -> None:
    at = datetime(2026, 11, 19, 22, 0, tzinfo=UTC)  # the 20th in China, the 19th in London
    paid(at=at)
    assert len(data(call, world)["rows"]) == 1
    type(world.merchant).objects.update(timezone="Europe/London")
    assert data(call, world)["rows"] == []
    assert len(data(call, world, date="2026-11-19")["rows"]) == 1


def test_other_apps_and_accounts_are_left_out(call: Caller, world: World, paid: Any, client: Any) -> None:
    paid()
    other = factories.make_app(world.merchant)
    theirs = Caller(client, other.app_id, HMAC_SECRET)
    assert data(theirs, world)["rows"] == []
    assert data(theirs, world)["totals"] == {}
    second = factories.make_account(world.merchant)
    assert data(call, world, payment_no=second.payment_no)["rows"] == []
    assert len(data(call, world, payment_no=world.account.payment_no)["rows"]) == 1


def test_a_merchant_or_account_that_is_not_the_apps_is_refused(call: Caller, world: World) -> None:
    stranger = factories.make_account(factories.make_merchant())
    assert ask(call, world, merchant_no="M9").json()["errno"] == 40302
    assert ask(call, world, merchant_no=stranger.merchant.merchant_no).json()["errno"] == 40302
    assert ask(call, world, payment_no=stranger.payment_no).json()["errno"] == 40302


def test_a_suspended_merchants_bill_is_still_shown(call: Caller, world: World, paid: Any) -> None:
    paid()
    type(world.merchant).objects.update(state="suspended")
    type(world.account).objects.update(state="suspended")
    assert len(data(call, world)["rows"]) == 1


@pytest.mark.parametrize(
    "date", ["2026-13-01", "20261120", "2026-11-20T00:00:00Z", "１２", 20261120, "1999-01-01", None]
)
def test_a_day_is_written_as_a_day(call: Caller, world: World, date: Any) -> None:
    answer = ask(call, world, date=date)
    assert (answer.status_code, set(answer.json()["data"]["errors"])) == (400, {"date"})


def test_a_cursor_of_something_else_is_refused(call: Caller, world: World, paid: Any, client: Any) -> None:
    paid(), paid()
    cursor = data(call, world, limit=1)["next_cursor"]
    other = Caller(client, factories.make_app(world.merchant).app_id, HMAC_SECRET)
    for caller, more in (
        (call, {"cursor": cursor[:-2]}), (call, {"cursor": "x"}), (call, {"cursor": "订单"}),
        (call, {"cursor": cursor, "date": "2026-11-19"}), (other, {"cursor": cursor}),
    ):  # fmt: skip
        answer = ask(caller, world, **more)
        assert (answer.status_code, set(answer.json()["data"]["errors"])) == (400, {"cursor"}), more


def test_a_position_out_of_this_world_is_refused(call: Caller, world: World) -> None:
    from reconciliation.api.cursor import encode_position
    from reconciliation.ledger import Position

    question = f"bill\n{world.app.app_id}\n{world.merchant.merchant_no}\n{DAY}\n"
    cursor = encode_position(question, Position(1, "p", 10**30, 1))
    assert ask(call, world, cursor=cursor).json()["errno"] == 40001
