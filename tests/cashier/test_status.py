"""What an open page polls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cashier.models import CashierOrder
from cashier.selectors import Phase, phase_of
from tests import factories
from tests.cashier.conftest import Cashier
from trades.closing import trade_close
from trades.models import Trade
from trades.states import AttemptState, TradeState


def test_status_costs_one_query(cashier: Cashier, django_assert_num_queries: Any) -> None:
    page = cashier.open()
    with django_assert_num_queries(1):
        answer = cashier.get(page, "/status")
    assert answer.json()["phase"] == "open"


def test_unchanged_status_is_304_without_a_body(cashier: Cashier, django_assert_num_queries: Any) -> None:
    page = cashier.open()
    etag = cashier.get(page, "/status").headers["ETag"]
    with django_assert_num_queries(1):
        again = cashier.get(page, "/status", **{"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_status_follows_the_order_to_its_end(cashier: Cashier, paid: Callable[[CashierOrder], None]) -> None:
    cashier.offer("fake_qr")
    page = cashier.open()
    seen = [cashier.get(page, "/status")]
    cashier.pay(page, "fake_qr")
    seen.append(cashier.get(page, "/status"))
    paid(page)
    seen.append(cashier.get(page, "/status"))
    assert [s.json()["phase"] for s in seen] == ["open", "open", "paid"]
    assert [s.json()["final"] for s in seen] == [False, False, True]
    assert len({s.headers["ETag"] for s in seen}) == 3
    assert seen[1].json()["attempt"].endswith("-submitted")


def test_changed_amount_changes_what_is_watched(cashier: Cashier) -> None:
    page = cashier.open(app_order_no="A1", amount=100)
    before = cashier.get(page, "/status").json()["view"]
    cashier.open(app_order_no="A1", amount=90)
    assert cashier.get(page, "/status").json()["view"] != before


def test_status_of_closed_and_expired_orders(cashier: Cashier) -> None:
    closed, expired = cashier.open(), cashier.open()
    trade_close(trade=closed.trade, actor="test")
    factories.expire(expired.trade)
    assert cashier.get(closed, "/status").json()["phase"] == "closed"
    over = cashier.get(expired, "/status").json()
    assert (over["phase"], over["final"]) == ("expired", False)


def test_order_being_closed_takes_no_more_attempts(cashier: Cashier) -> None:
    page = cashier.open()
    Trade.objects.update(close_requested_at=timezone.now() - timedelta(seconds=1))
    assert cashier.get(page, "/status").json()["phase"] == "expired"


def test_unknown_status_ends_the_polling(cashier: Cashier) -> None:
    answer = cashier.client.get(f"/c/{'x' * 43}/status")
    assert (answer.status_code, answer.json()["final"]) == (404, True)


def test_status_tells_nothing_about_the_order_and_is_never_stored(cashier: Cashier) -> None:
    page = cashier.open(subject="Private matter")
    answer = cashier.get(page, "/status")
    assert set(answer.json()) == {"phase", "final", "view", "attempt", "expire_at"}
    assert "Private" not in answer.content.decode()
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("verb", ["post", "put", "delete"])
def test_status_only_reads(cashier: Cashier, verb: str) -> None:
    page = cashier.open()
    assert getattr(cashier.client, verb)(f"/c/{page.token}/status").status_code == 405


@pytest.mark.parametrize(
    ("state", "attempt", "over", "phase"),
    [
        (TradeState.WAITING, "", False, Phase.OPEN),
        (TradeState.WAITING, AttemptState.FAILED, False, Phase.OPEN),
        (TradeState.PAYING, AttemptState.CREATED, False, Phase.OPEN),
        (TradeState.PAYING, AttemptState.SUBMITTED, False, Phase.OPEN),
        (TradeState.PAYING, AttemptState.UNKNOWN, False, Phase.CONFIRMING),
        (TradeState.PAYING, AttemptState.UNKNOWN, True, Phase.CONFIRMING),
        (TradeState.CONFIRMING, AttemptState.SUBMITTED, False, Phase.CONFIRMING),
        (TradeState.CONFIRMING, AttemptState.SUBMITTED, True, Phase.CONFIRMING),
        (TradeState.PAYING, AttemptState.SUBMITTED, True, Phase.EXPIRED),
        (TradeState.PAID, AttemptState.SUCCEEDED, True, Phase.PAID),
        (TradeState.CLOSED, AttemptState.UNKNOWN, True, Phase.CLOSED),
        (TradeState.FAILED, AttemptState.FAILED, False, Phase.FAILED),
    ],
)
def test_phase_by_states(state: str, attempt: str, over: bool, phase: Phase) -> None:
    assert phase_of(state, attempt, is_over=over) is phase


def test_nobody_is_shown_a_page_for_a_state_of_a_newer_program() -> None:
    with pytest.raises(KeyError):
        phase_of("split", "", is_over=False)
