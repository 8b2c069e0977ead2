"""A channel that limps is shed: refused at once, probed in the background, back in use by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels.base import CheckResult, Label
from merchants.api.errors import AlreadyPaid, ChannelShed, ChannelUnknown, ContentDiffers
from notifications.models import Alert
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.models import Event
from tests import factories
from tests.conftest import World
from tests.fakes.fakepay import FakeProvider
from trades import shedding
from trades.models import Attempt, ChannelHealth, Trade
from trades.services import trade_pay


def pay(world: World, **values: Any) -> Attempt:
    return trade_pay(app=world.app, order=world.order(), method="fake_qr", **values)


def fail(world: World, times: int, error: Exception | None = None) -> None:
    world.book.fault("pay", *[error or UnknownOutcome("timeout")] * times)
    for _ in range(times):
        with pytest.raises(ChannelUnknown):
            pay(world)


def make_probe_due() -> None:
    ChannelHealth.objects.update(next_probe_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("error", [UnknownOutcome("timeout"), NotSent("refused")])
def test_it_opens_after_five_unknown_outcomes_in_a_row(world: World, error: Exception) -> None:
    fail(world, 5, error)

    with pytest.raises(ChannelShed) as shed:
        pay(world)

    assert shed.value.retry_after is not None
    assert world.book.calls["pay"] == 5, "the refused one never reached the channel"
    assert Alert.objects.filter(kind="channel", severity="critical").count() == 1
    assert Event.objects.filter(type="channel.shed").count() == 1


def test_what_needs_no_channel_is_answered_although_it_is_shed(world: World) -> None:
    paid, answered = world.order(), world.order()
    first = trade_pay(app=world.app, order=paid, method="fake_qr")
    again = trade_pay(app=world.app, order=answered, method="fake_qr")
    world.book.pay(first.attempt_no)
    from trades.querying import attempt_query

    attempt_query(attempt_id=first.pk, actor="test")
    fail(world, 5)

    with pytest.raises(AlreadyPaid):
        trade_pay(app=world.app, order=paid, method="fake_qr")
    with pytest.raises(ContentDiffers):
        trade_pay(app=world.app, order=world.order(app_order_no=paid.app_order_no, subject="x"), method="fake_qr")
    assert trade_pay(app=world.app, order=answered, method="fake_qr").pay == again.pay
    with pytest.raises(ChannelShed):
        pay(world)


def test_counting_a_failure_locks_nothing_over_several_statements(world: World) -> None:
    fail(world, 1)
    with CaptureQueriesContext(connection) as seen:
        shedding.failure_report(world.account, "timeout")
    statements = [query["sql"] for query in seen.captured_queries]
    assert [s for s in statements if "SAVEPOINT" in s or "FOR UPDATE" in s] == []
    assert ChannelHealth.objects.get().failures == 2


def test_stragglers_of_an_open_breaker_touch_no_row(world: World, django_assert_num_queries: Any) -> None:
    fail(world, 5)
    assert shedding.shed_for(world.account) == "unwell"
    with django_assert_num_queries(0):
        shedding.failure_report(world.account, "timeout")


def test_many_failures_at_the_same_moment_open_it_once(
    committed_world: World, in_threads: Callable[..., list[Any]]
) -> None:
    account = committed_world.account

    in_threads(lambda _index: shedding.failure_report(account, "timeout"), 8)

    assert ChannelHealth.objects.get().is_shed
    assert Event.objects.filter(type="channel.shed").count() == 1
    assert Alert.objects.get(kind="channel").count == 1


def test_an_order_refused_at_the_door_leaves_nothing_to_close_and_can_still_be_paid(world: World) -> None:
    shedding.switch_set(account=world.account, switch="off", actor="staff:ann", reason="maintenance tonight")
    order = world.order()
    with pytest.raises(ChannelShed):
        trade_pay(app=world.app, order=order, method="fake_qr")
    assert not Trade.objects.exists()
    assert not Event.objects.filter(type__startswith="trade.").exists()

    shedding.switch_set(account=world.account, switch="auto", actor="staff:ann", reason="done")
    attempt = trade_pay(app=world.app, order=order, method="fake_qr")

    assert attempt.state == "submitted"
    assert Trade.objects.get().app_order_no == order.app_order_no


def test_words_in_between_start_the_count_again(world: World) -> None:
    fail(world, 4)
    pay(world)
    fail(world, 4)
    pay(world)
    assert not ChannelHealth.objects.get().is_shed


def test_payments_the_channel_is_still_working_on_do_not_count(world: World) -> None:
    """A query that ends unknown ("in process", say) is no sign that sending does not work."""
    from trades.querying import attempt_query

    attempt = pay(world)
    world.book.fault("query", *[UnknownOutcome("in process")] * 6)
    for _ in range(6):
        attempt_query(attempt_id=attempt.pk, actor="test")
    assert pay(world).state == "submitted"


def test_another_account_is_not_touched(world: World) -> None:
    other = factories.make_account(world.merchant)
    mine = {"payment_no": world.account.payment_no}
    world.book.fault("pay", *[UnknownOutcome("timeout")] * 5)
    for _ in range(5):
        with pytest.raises(ChannelUnknown):
            pay(world, **mine)
    with pytest.raises(ChannelShed):
        pay(world, **mine)
    assert pay(world, payment_no=other.payment_no).state == "submitted"


def test_only_the_probe_brings_it_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = pay(world)
    fail(world, 5)
    from trades.querying import attempt_query

    attempt_query(attempt_id=attempt.pk, actor="test")  # a real call that goes well
    with pytest.raises(ChannelShed):
        pay(world)
    unwell = CheckResult(ok=False, message=Label("无应答", "no answer"))
    with monkeypatch.context() as patched:
        patched.setattr(FakeProvider, "check", lambda self: unwell)
        make_probe_due()
        assert shedding.probe_due() == 1
        with pytest.raises(ChannelShed):
            pay(world)
    next_probe = ChannelHealth.objects.get().next_probe_at
    assert next_probe is not None
    assert next_probe <= timezone.now() + timedelta(seconds=20)
    make_probe_due()
    assert shedding.probe_due() == 1
    assert pay(world).state == "submitted"
    assert shedding.probe_due() == 0
    assert Event.objects.filter(type="channel.recovered").count() == 1


def test_the_switch_by_hand(world: World) -> None:
    shedding.switch_set(account=world.account, switch="off", actor="staff:ann", reason="maintenance tonight")
    with pytest.raises(ChannelShed):
        pay(world)
    assert shedding.shed_for(world.account) == "by_hand"
    shedding.switch_set(account=world.account, switch="on", actor="staff:ann", reason="done")
    fail(world, 6)
    shedding.switch_set(account=world.account, switch="auto", actor="staff:ann", reason="back to normal")
    with pytest.raises(ChannelShed):
        pay(world)
    with pytest.raises(ValueError, match="maybe"):
        shedding.switch_set(account=world.account, switch="maybe", actor="staff:ann", reason="")


@pytest.mark.clock
def test_at_most_so_many_at_a_time_and_waiting_repeats_count(
    committed_world: World, in_threads: Callable[..., list[Any]], settings: Any
) -> None:
    settings.CHANNEL_CONCURRENCY = 4
    world = committed_world
    world.book.hooks["pay"] = lambda _order: time.sleep(1.0)
    same = world.order()

    def call(index: int) -> Any:
        started = time.monotonic()
        order = same if index < 6 else world.order()
        try:
            return trade_pay(app=world.app, order=order, method="fake_qr")
        except ChannelShed:
            assert time.monotonic() - started < 0.8, "refused at once"
            raise

    answers = in_threads(call, 10)

    assert sum(isinstance(a, Attempt) for a in answers) == 4
    assert sum(isinstance(a, ChannelShed) for a in answers) == 6
    assert pay(world).state == "submitted", "every place was given back"


def test_calls_of_other_processes_count_too(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CHANNEL_CONCURRENCY = 3
    monkeypatch.setattr(shedding, "_COUNT_ALL_FROM", 0)
    for _ in range(3):
        attempt = pay(world)
        Attempt.objects.filter(pk=attempt.pk).update(in_flight_until=timezone.now() + timedelta(seconds=9))
    with pytest.raises(ChannelShed):
        pay(world)


def test_a_healthy_channel_costs_one_read_a_second(world: World, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        shedding.shed_for(world.account)
        shedding.shed_for(world.account)
        shedding.success_report(world.account)
