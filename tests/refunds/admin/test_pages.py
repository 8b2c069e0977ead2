"""What the list and the page of a refund show, and to whom."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels.base import PaymentState, RefundResult, RefundState
from paycenter.errors import UnknownOutcome
from paycenter.money import Money
from refunds.admin.mine import ids_between, mine
from refunds.models import WAITING, Refund, RefundPolicy
from refunds.services import refund_request_by_staff
from tests.conftest import World
from tests.factories import fresh
from tests.refunds.admin.conftest import LIST, Desk
from tests.refunds.paying import paid_trade, paid_twice, sweep
from trades.models import Trade

Ask = Callable[..., Refund]
Desks = Callable[..., Desk]


def shown(page: str) -> list[str]:
    """Refund numbers of the list's rows, in order."""
    return re.findall(r'title="(R\d{20}[0-9A-Z]+)"', page)


def rows_of(world: World, ask: Ask) -> dict[str, Refund]:
    states = ("pending_approval", "on_hold", "approved", "failed", "processing", "rejected", "succeeded")
    found = {state: ask(paid_trade(world, 9000), 3000) for state in states}
    for state, refund in found.items():
        values = {"finished_at": timezone.now()} if state == "succeeded" else {}
        Refund.objects.filter(pk=refund.pk).update(state=state, **values)
    return found


def test_the_list_opens_on_what_waits(world: World, policy: RefundPolicy, ask: Ask, desk: Desks) -> None:
    rows, finance = rows_of(world, ask), desk()
    waits = {rows[state].refund_no for state in ("pending_approval", "on_hold", "failed")}
    assert set(shown(finance.list())) == waits
    Refund.objects.filter(pk=rows["processing"].pk).update(needs_attention=True)
    Refund.objects.filter(pk=rows["approved"].pk).update(route="manual")
    waits |= {rows["processing"].refund_no, rows["approved"].refund_no}
    assert set(shown(finance.list())) == waits
    assert shown(finance.list(state="stuck")) == [rows["processing"].refund_no]
    assert shown(finance.list(state="to_pay")) == [rows["approved"].refund_no]
    assert shown(finance.list(state="succeeded")) == [rows["succeeded"].refund_no]
    assert len(shown(finance.list(state="all"))) == len(rows)


def test_what_i_can_decide_stands_first_and_the_oldest_before(
    world: World, policy: RefundPolicy, ask: Ask, desk: Desks
) -> None:
    finance, trade = desk(), paid_trade(world, 90_000)
    own_refund = refund_request_by_staff(trade=trade, abnormal=None, amount=2000, reason="x", user=finance.user)
    signed, young, old = ask(trade, 6000), ask(trade, 2000), ask(trade, 2100)
    Refund.objects.filter(pk=old.pk).update(requested_at=timezone.now() - timedelta(days=3))
    finance.act(signed, "approve")
    page = finance.list()
    assert shown(page) == [r.refund_no for r in (old, young, own_refund, signed)]
    assert page.count(">waits for you<") == 2
    assert "1/2" in page
    assert "3 days" in page.replace("\xa0", " ")
    waiting, own = Refund.objects.filter(WAITING), mine(finance.user)
    assert own is not None
    places = [(low, high) for high in range(5) for low in range(high)]
    assert [ids_between(waiting, own, *place) for place in places] == [
        [r.pk for r in (old, young, own_refund, signed)][low:high] for low, high in places
    ]


def test_any_number_finds_the_refund_whatever_its_state(
    world: World, policy: RefundPolicy, ask: Ask, desk: Desks
) -> None:
    finance, trade = desk(), paid_trade(world, 9000, payer={"phone": "13800004321"})
    refund = ask(trade, 500, number="APP-R-1")
    ask(paid_trade(world, 9000), 500)
    sweep()
    refund = fresh(refund)
    assert refund.channel_refund_no
    numbers = (refund.refund_no, "APP-R-1", refund.channel_refund_no, trade.trade_no, trade.app_order_no,
               refund.attempt.attempt_no, "4321")  # fmt: skip
    for number in numbers:
        assert shown(finance.list(q=f" {number} ")) == [refund.refund_no], number
    for nothing in ("APP-R", "R2026", "%", "x" * 65, "' OR 1=1 --"):
        assert shown(finance.list(q=nothing)) == [], nothing


def test_a_page_of_the_list_costs_the_same_however_many_rows(
    world: World, policy: RefundPolicy, ask: Ask, desk: Desks
) -> None:
    finance = desk()
    ask(paid_trade(world, 9000), 3000)
    finance.list()
    with CaptureQueriesContext(connection) as few:
        finance.list()
    for _number in range(6):
        ask(paid_trade(world, 9000), 3000)
    with CaptureQueriesContext(connection) as many:
        assert len(shown(finance.list())) == 7
    assert len(many) == len(few)
    counted = [q["sql"] for q in many if "COUNT(*)" in q["sql"] and "refunds_refund" in q["sql"]]
    assert all("LIMIT" in sql for sql in counted)


def test_hints_say_where_to_look_twice(world: World, policy: RefundPolicy, ask: Ask, desk: Desks) -> None:
    finance = desk()
    quiet = ask(paid_trade(world, 90_000), 3000)
    Trade.objects.filter(pk=quiet.trade_id).update(paid_at=timezone.now() - timedelta(days=9))
    for _number in range(10):
        ask(paid_trade(world, 9000), 1001)
    Refund.objects.exclude(pk=quiet.pk).update(requested_at=timezone.now() - timedelta(days=8))
    assert "Look twice" not in finance.page(quiet)

    trade = paid_trade(world, 3000, payer={"phone": "13800004321"})
    last = [ask(trade, amount) for amount in (900, 900, 1100)][-1]
    assert "2 earlier, ¥18.00" in finance.list()
    page = finance.page(last)
    assert "this is refund number 3 of the same trade" in page
    assert "3 refunds went to payers with phone tail 4321" in page
    assert "give back 96 % of the payment" in page
    assert "within a minute of the payment" in page
    large = ask(paid_trade(world, 90_000), 6000)
    assert "5 times the app&#x27;s usual refund" in finance.page(large)
    chips = finance.list()
    for short in ("3× this week", "payer 3× this week", "3 small parts", "right after payment", "5× the usual"):
        assert short in chips, short


def test_money_paid_twice_by_somebody_else_is_named(world: World, policy: RefundPolicy, ask: Ask, desk: Desks) -> None:
    finance = desk()
    trade, abnormal = paid_twice(world, 8000)
    refund = ask(trade, 8000, attempt_no=abnormal.attempt.attempt_no)
    assert "another payer" not in finance.page(refund)
    for attempt, payer in ((trade.settled_attempt, "payer-1"), (abnormal.attempt, "payer-2")):
        attempt.payer_id = payer
        attempt.save(update_fields=["payer_id"])
    page = finance.page(refund)
    assert "came from another payer" in page
    assert "Abnormal payment: paid twice" in page


def test_the_page_shows_sums_numbers_decisions_and_the_channels_words(
    world: World, policy: RefundPolicy, trade: Trade, ask: Ask, desk: Desks
) -> None:
    finance, refund = desk(), ask(trade, 4000, number="APP-R-7")
    other = ask(trade, 500)
    finance.act(refund, "approve", reason="lease ended")
    refused = RefundResult(state=RefundState.FAILED, refund_no="", code="NOT_ENOUGH", message="balance too low")
    world.book.fault("refund", refused, refused)
    sweep()
    page = finance.page(refund)
    for text in (refund.refund_no, "APP-R-7", "¥40.00", "¥100.00", "lease ended", "Staff fin", "NOT_ENOUGH",
                 "balance too low", "refund failed", other.refund_no, trade.trade_no, "Refund failed",
                 "the channel refuses it", "The channel no longer accepts this number"):  # fmt: skip
        assert text in page, text


def test_the_difference_that_stopped_it_is_said_in_words(
    world: World, policy: RefundPolicy, ask: Ask, desk: Desks
) -> None:
    finance, given, unpaid = desk(), paid_trade(world, 9000), paid_trade(world, 9000)
    refunds = [ask(given, 1000), ask(unpaid, 1000)]
    world.book.tells_sums = True
    world.book.give_back(given.settled_attempt.attempt_no, "console-1", Money(8500))
    world.book.payments[unpaid.settled_attempt.attempt_no].state = PaymentState.CLOSED
    sweep()
    assert [fresh(r).state for r in refunds] == ["on_hold", "on_hold"]
    assert "gave some of it back already" in finance.page(refunds[0])
    assert re.search(r"the channel says \w+, the center says paid", finance.page(refunds[1]))


def test_asking_the_channel_shows_its_answer_next_to_ours(
    world: World, policy: RefundPolicy, trade: Trade, ask: Ask, desk: Desks
) -> None:
    refund, clerk = ask(trade, 1000), desk("clerk", "service")
    assert "It was not sent to the channel yet." in clerk.post(refund, "ask").content.decode()
    world.book.refunds_wait = True
    sweep()
    assert fresh(refund).state == "processing"
    assert "still under way" in clerk.post(refund, "ask").content.decode()
    world.book.end_refund(refund.refund_no)
    page = clerk.post(refund, "ask").content.decode()
    assert "Booked: the money went back." in page
    assert "differs" in page
    assert f"RF{refund.refund_no}" in page
    assert fresh(refund).state == "succeeded"
    assert "Nothing new." in clerk.post(refund, "ask").content.decode()


def test_a_silent_channel_is_said_to_be_silent(
    world: World, policy: RefundPolicy, trade: Trade, ask: Ask, desk: Desks
) -> None:
    refund, finance = ask(trade, 1000), desk()
    world.book.refunds_wait = True
    sweep()
    world.book.fault("query_refund", UnknownOutcome("lost"))
    assert "no usable answer" in finance.post(refund, "ask").content.decode()
    assert fresh(refund).state == "processing"


@pytest.mark.parametrize("role", ["auditor", "operator"])
def test_asking_is_for_those_who_work_with_refunds(
    world: World, policy: RefundPolicy, trade: Trade, ask: Ask, desk: Desks, role: str
) -> None:
    refund = ask(trade, 1000)
    sweep()
    before = world.book.calls["query_refund"]
    assert "Your role may not do this." in desk("other", role).post(refund, "ask").content.decode()
    assert world.book.calls["query_refund"] == before


def test_a_failed_refund_is_sent_again_or_left(
    world: World, policy: RefundPolicy, trade: Trade, ask: Ask, desk: Desks
) -> None:
    refund, finance = ask(trade, 1000), desk()
    short = RefundResult(state=RefundState.FAILED, refund_no="", code="SHORT", resendable=True)
    world.book.fault("refund", short)
    sweep()
    assert "Please give a comment." in finance.act(refund, "send_again", reason="")
    assert fresh(refund).state == "failed"
    assert "Your role may not do this." in desk("clerk", "service").act(refund, "send_again")
    finance.act(refund, "send_again")
    sweep()
    assert fresh(refund).state == "succeeded"
    assert world.book.refunded(trade.settled_attempt.attempt_no) == 1000


def test_the_trade_and_the_abnormal_payment_show_their_refunds(
    world: World, policy: RefundPolicy, ask: Ask, desk: Desks
) -> None:
    finance = desk()
    trade, abnormal = paid_twice(world, 8000)
    mine = ask(trade, 1500)
    second = ask(trade, 2500, attempt_no=abnormal.attempt.attempt_no)
    page = finance.client.get(f"/admin/trades/trade/{trade.pk}/change/").content.decode()
    assert mine.refund_no in page
    assert second.refund_no in page
    page = finance.client.get(f"/admin/trades/abnormalpayment/{abnormal.pk}/change/").content.decode()
    assert second.refund_no in page
    assert mine.refund_no not in page
    events = finance.client.get("/admin/paycenter/event/", {"q": mine.refund_no}).content.decode()
    assert "Refund asked for" in events


def test_the_overview_counts_what_waits(world: World, policy: RefundPolicy, ask: Ask, desk: Desks) -> None:
    rows_of(world, ask)
    page = desk().client.get("/admin/").content.decode()
    for title, link in (("Refunds to approve", "pending_approval"), ("Failed refunds", "failed"),
                        ("Stuck refunds", "stuck"), ("Payouts to check", "to_check")):  # fmt: skip
        assert title in page
        assert f"{LIST}?state={link}" in page
    assert "Refunds to approve" not in desk("aud", "auditor").client.get("/admin/").content.decode()


def test_events_of_other_records_keep_their_own_words(
    world: World, policy: RefundPolicy, trade: Trade, ask: Ask, desk: Desks
) -> None:
    ask(trade, 500)
    sweep()
    page = desk().client.get(f"/admin/trades/trade/{trade.pk}/change/").content.decode()
    assert "submitted → succeeded" in page
    assert "being refunded → refunded" in page
