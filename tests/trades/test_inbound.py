"""Notifications and returns at the public addresses, as channels and browsers send them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from notifications.models import Alert, Notification
from paycenter.models import Event, Exchange
from tests import factories
from tests.conftest import World
from trades.models import AbnormalPayment, Attempt, Trade
from trades.services import trade_pay


def start(world: World, method: str = "fake_qr", **order: Any) -> Attempt:
    return trade_pay(app=world.app, order=world.order(**order), method=method)


def post(attempt: Attempt, claim: dict[str, Any] | bytes, *, method: str = "") -> Any:
    body = claim if isinstance(claim, bytes) else json.dumps(claim)
    url = f"/notify/{method or attempt.method}/{attempt.attempt_no}"
    return Client().post(url, body, content_type="application/json")


def test_a_genuine_notification_pays_and_is_acknowledged_in_the_channels_way(world: World) -> None:
    attempt = start(world)
    world.book.pay(attempt.attempt_no)

    answer = post(attempt, world.book.notification(attempt.attempt_no))

    assert (answer.status_code, answer.content) == (200, b"fake-ok")
    assert Trade.objects.get().state == "paid"
    assert world.book.calls == {"pay": 1}, "no outbound call is made inside a notification"
    exchange = Exchange.objects.get(operation="notify")
    assert exchange.trade_no == attempt.trade.trade_no
    assert "fake-channel-secret" not in exchange.request + exchange.response


def test_sent_twice_it_makes_one_transition_and_one_message(world: World) -> None:
    attempt = start(world)
    for _ in range(3):
        assert post(attempt, world.book.notification(attempt.attempt_no)).status_code == 200
    assert Event.objects.filter(type="trade.paid").count() == 1
    assert Notification.objects.filter(type="trade.paid").count() == 1


REFUSED = {
    "forged signature": {"secret": "guess"},
    "another merchant": {"merchant": "somebody-else"},
    "another order": {"order_no": "A20260101000000000000OTHERXX"},
}


@pytest.mark.parametrize("claim", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_this_orders_changes_nothing_and_alerts(world: World, claim: dict[str, str]) -> None:
    attempt = start(world)
    before = Event.objects.count()

    answer = post(attempt, {**world.book.notification(attempt.attempt_no), **claim})

    assert (answer.status_code, answer.content) == (400, b"fake-no")
    assert Trade.objects.get().state == "paying"
    assert Event.objects.count() == before
    assert Alert.objects.filter(kind="security", severity="critical", trade_no=attempt.trade.trade_no).exists()


def test_another_orders_genuine_notification_pays_neither(world: World) -> None:
    mine, other = start(world), start(world)
    world.book.pay(other.attempt_no)

    assert post(mine, world.book.notification(other.attempt_no)).status_code == 400

    assert set(Trade.objects.values_list("state", flat=True)) == {"paying"}


@pytest.mark.parametrize("claim", [{"amount": 1}, {"currency": "USD"}])
def test_another_amount_is_acknowledged_and_kept_unverified(world: World, claim: dict[str, Any]) -> None:
    attempt = start(world)

    answer = post(attempt, world.book.notification(attempt.attempt_no, **claim))

    assert answer.status_code == 200
    assert Trade.objects.get().state == "paying"
    assert AbnormalPayment.objects.get().state == "unverified"


@pytest.mark.parametrize("state", ["unpaid", "closed", "failed"])
def test_a_late_lesser_word_never_moves_a_paid_trade_back(world: World, state: str) -> None:
    attempt = start(world)
    post(attempt, world.book.notification(attempt.attempt_no))

    assert post(attempt, world.book.notification(attempt.attempt_no, state=state)).status_code == 200

    trade = Trade.objects.get()
    assert (trade.state, trade.paid_amount) == ("paid", trade.amount)


def test_late_and_duplicate_money_is_acknowledged_and_kept(world: World) -> None:
    from trades.closing import trade_close

    late = start(world)
    trade_close(trade=late.trade, actor="test")
    first = start(world, "fake_page", app_order_no="TWICE")
    second = start(world, app_order_no="TWICE")
    for attempt in (late, first, second):
        assert post(attempt, world.book.notification(attempt.attempt_no)).content == b"fake-ok"

    assert sorted(AbnormalPayment.objects.values_list("kind", "state")) == [("duplicate", "open"), ("late", "open")]
    assert Notification.objects.filter(type="trade.duplicate_paid").count() == 2
    assert factories.fresh(late.trade).state == "closed"
    assert factories.fresh(first.trade).paid_amount == first.amount


def test_an_unsigned_webhook_only_makes_a_query_due(world: World) -> None:
    attempt = start(world)
    Attempt.objects.update(next_query_at=None)

    assert post(attempt, {"hint": True, "order_no": attempt.attempt_no}).status_code == 200

    assert Trade.objects.get().state == "paying"
    assert factories.fresh(attempt).next_query_at is not None


def test_a_hint_about_a_closed_attempt_finds_late_money(world: World) -> None:
    """A channel that signs nothing only hints; its hint after the closing may be all we ever hear."""
    from paycenter.errors import UnknownOutcome
    from trades.closing import trade_close
    from trades.sweeps import query_due

    attempt = start(world)
    trade_close(trade=attempt.trade, actor="test")
    world.book.pay(attempt.attempt_no)
    post(attempt, {"hint": True, "order_no": attempt.attempt_no})
    world.book.fault("query", UnknownOutcome("silent"))
    query_due()
    Attempt.objects.filter(next_query_at__isnull=False).update(next_query_at=attempt.created_at)
    query_due()
    assert AbnormalPayment.objects.get().kind == "late"
    assert factories.fresh(attempt).next_query_at is None


def test_a_hint_about_nothing_costs_one_query(world: World) -> None:
    from trades.closing import trade_close
    from trades.sweeps import query_due

    attempt = start(world)
    trade_close(trade=attempt.trade, actor="test")
    asked = world.book.calls["query"]
    post(attempt, {"hint": True, "order_no": attempt.attempt_no})
    assert (query_due(), query_due()) == (1, 0)
    assert world.book.calls["query"] == asked + 1
    assert factories.fresh(attempt).state == "closed"


def test_a_refund_notice_at_the_payment_address_is_no_payment(world: World) -> None:
    attempt = start(world)
    answer = post(attempt, world.book.notification(attempt.attempt_no, refund_no="R1"))
    assert answer.status_code == 200
    assert Trade.objects.get().state == "paying"
    assert Alert.objects.filter(key=f"refund-of-nothing:{attempt.attempt_no}").exists(), "no money, no refund"


@pytest.mark.parametrize("body", [b"", b"\x00\xff", b"[]", b"null", b"<xml/>", b"{" * 5000])
def test_bytes_that_are_no_message_are_refused_not_a_crash(world: World, body: bytes) -> None:
    attempt = start(world)
    assert post(attempt, body).status_code == 400
    assert Trade.objects.get().state == "paying"


def test_addresses_that_name_nothing(world: World) -> None:
    attempt = start(world)
    assert post(attempt, world.book.notification(attempt.attempt_no), method="fake_page").status_code == 404
    assert Client().post("/notify/fake_qr/NOPE").status_code == 404
    big = Client().post(f"/notify/fake_qr/{attempt.attempt_no}", b"x" * (1024 * 1024 + 1), content_type="a/b")
    assert big.status_code == 413


class TestReturn:
    def test_it_goes_on_to_the_app_with_the_numbers_and_decides_nothing(self, world: World) -> None:
        attempt = start(world, "fake_page", return_url="https://app.example/back?x=1")

        answer = Client().get(f"/return/fake_page/{attempt.attempt_no}?any=thing")

        assert answer.status_code == 303
        trade = Trade.objects.get()
        assert answer["Location"] == (
            f"https://app.example/back?x=1&trade_no={trade.trade_no}&app_order_no={trade.app_order_no}"
        )
        assert trade.state == "confirming"
        assert world.book.calls == {"pay": 1}

    def test_an_explicit_not_paid_takes_confirming_back(self, world: World) -> None:
        from trades.querying import attempt_query

        attempt = start(world)
        Client().get(f"/return/fake_qr/{attempt.attempt_no}")
        attempt_query(attempt_id=attempt.pk, actor="test")
        assert Trade.objects.get().state == "paying"

    def test_not_found_is_no_such_word(self, world: World) -> None:
        from trades.querying import attempt_query

        attempt = start(world, "fake_page")
        Client().get(f"/return/fake_page/{attempt.attempt_no}")
        attempt_query(attempt_id=attempt.pk, actor="test")
        assert Trade.objects.get().state == "confirming"

    @pytest.mark.parametrize("query", ["forged=1", "other=1"])
    def test_a_forged_or_foreign_return_changes_nothing(self, world: World, query: str) -> None:
        attempt = start(world, "fake_page", return_url="https://app.example/back")
        answer = Client().get(f"/return/fake_page/{attempt.attempt_no}?{query}")
        assert answer.status_code == 400
        assert Trade.objects.get().state == "paying"

    def test_after_payment_it_leaves_the_trade_paid(self, world: World) -> None:
        attempt = start(world, "fake_page")
        world.book.pay(attempt.attempt_no)
        post(attempt, world.book.notification(attempt.attempt_no))
        answer = Client().post(f"/return/fake_page/{attempt.attempt_no}")
        assert answer.status_code == 200, "without a return address a plain page is shown"
        assert Trade.objects.get().state == "paid"

    def test_an_unknown_address_is_a_page(self, world: World) -> None:
        assert Client().get("/return/fake_page/NOPE").status_code == 404


def test_a_refund_that_names_no_order_and_no_payment_is_nobodys(world: World) -> None:
    attempt = start(world)
    claim = {
        **world.book.notification(attempt.attempt_no, refund_no="R-1", refund_state="succeeded"),
        "order_no": "", "channel_trade_no": None,
    }  # fmt: skip
    assert post(attempt, claim).status_code == 400
    assert Alert.objects.get().kind == "security"
