"""The program that writes taken orders, and what becomes of an order when a program dies."""

from __future__ import annotations

import os
import signal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.db import OperationalError

from cashier.intake import writer as writers
from cashier.intake.figures import waiting_since
from cashier.intake.stream import OrderStream
from cashier.intake.taking import cashier_order_take
from cashier.intake.writer import Writer
from cashier.management.commands import write_orders
from cashier.models import CashierOrder
from merchants.models import App
from notifications.backlogs import watch_backlogs
from notifications.models import Alert, BacklogLimit
from paycenter.metrics import render
from paycenter.models import Event
from tests.conftest import World
from tests.fakes.forking import forked, status_of
from trades.models import Trade


def take(world: World, **order: Any) -> CashierOrder:
    return cashier_order_take(app=world.app, order=world.order(**order), display=[])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_of(work: Any) -> int:
    """How a process ended that did this."""
    return os.waitstatus_to_exitcode(status_of(work))


def test_a_bad_row_spoils_nobody_elses(stream: OrderStream, world: World) -> None:
    pages = [take(world, amount=0 if at == 7 else 100) for at in range(20)]
    bad = pages.pop(7)
    assert Writer(stream).drain() == 20
    assert {page.token for page in pages} == set(CashierOrder.objects.values_list("token", flat=True))
    assert Trade.objects.count() == Event.objects.filter(type="trade.created").count() == 19
    told = Event.objects.get(type="trade.given_up")
    assert (told.trade_no, told.public) == (bad.trade.trade_no, False)
    alert = Alert.objects.get()
    assert (alert.kind, alert.severity, alert.trade_no) == ("fault", "critical", bad.trade.trade_no)
    assert stream.facts().length == 0
    assert len(stream.given_up(9)) == 1
    # The app is not stuck with it.
    assert take(world, app_order_no=bad.trade.app_order_no).token != bad.token


def test_given_up_orders_are_written_once_what_was_wrong_is_mended(
    stream: OrderStream, world: World, settings: Any
) -> None:
    page, keys = take(world, payer={"phone": "13800001234"}), settings.ENCRYPTION_KEYS
    redis.Redis.from_url(settings.ORDER_STREAM_URL).xadd("paycenter:{orders}:taken", {"order": "{}"})
    settings.ENCRYPTION_KEYS = ["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]
    Writer(stream).drain()
    assert not Trade.objects.exists()
    settings.ENCRYPTION_KEYS = keys
    said = StringIO()
    for option in ("again", "drain", "status"):
        call_command("write_orders", f"--{option}", stdout=said)
    assert said.getvalue().splitlines() == [
        "1 are in the stream again", "1 written", "0 in the stream, the oldest for 0 s; 1 given up",
    ]
    assert CashierOrder.objects.get().token == page.token


def test_a_number_that_another_call_opened_unseen_leads_to_that_order(
    stream: OrderStream, world: World, settings: Any
) -> None:
    """Only where Redis was away for one process and not for another: the payer's address must work all the same."""
    taken = take(world, app_order_no="A1")
    settings.ORDER_STREAM = "off"
    from trades.services import trade_open

    there = trade_open(app=world.app, order=world.order(app_order_no="A1"))
    Writer(stream).drain()
    assert CashierOrder.objects.get(token=taken.token).trade == there
    assert Event.objects.get(type="trade.page_added").detail == {"answered_as": taken.trade.trade_no}


def test_a_writer_killed_between_commit_and_acknowledgement(
    stream: OrderStream, committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [take(committed_world) for _ in range(30)]
    with monkeypatch.context() as patched:
        patched.setattr(OrderStream, "done", lambda *_: die())
        assert end_of(Writer(stream, batch=10).drain) == -signal.SIGKILL
    assert Trade.objects.count() == 10
    assert stream.facts().length == 30
    late = Writer(stream, left_behind=3600)
    assert late.write_some(wait=0) == 20  # those of the dead one are not touched before their time
    assert Writer(stream, left_behind=0).drain() == 10
    assert {page.token for page in pages} == set(CashierOrder.objects.values_list("token", flat=True))
    assert Trade.objects.count() == Event.objects.filter(type="trade.created").count() == 30
    assert stream.facts().length == 0


def test_a_writer_killed_inside_its_transaction(
    stream: OrderStream, committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [take(committed_world) for _ in range(5)]
    with monkeypatch.context() as patched:
        patched.setattr("cashier.intake.storing.trade_created", lambda *_, **__: die())
        assert end_of(Writer(stream).drain) == -signal.SIGKILL
    assert not Trade.objects.exists()
    assert Writer(stream, left_behind=0).drain() == 5
    assert CashierOrder.objects.count() == len(pages)


def test_a_web_process_killed_after_its_answers(stream: OrderStream, committed_world: World, tmp_path: Path) -> None:
    answers = tmp_path / "answers"

    def serve() -> None:
        with answers.open("w", buffering=1) as file:
            while True:
                page = take(committed_world)
                file.write(f"{page.trade.trade_no} {page.token}\n")
                if file.tell() > 2_000:
                    die()

    assert end_of(serve) == -signal.SIGKILL
    given = [line.split() for line in answers.read_text().splitlines()]
    Writer(stream).drain()
    found = {page.token: page.trade.trade_no for page in CashierOrder.objects.select_related("trade")}
    assert len(given) > 20
    assert {token: trade_no for trade_no, token in given}.items() <= found.items()


def test_the_program_ends_when_asked_and_finishes_what_it_has(stream: OrderStream, committed_world: World) -> None:
    pages = [take(committed_world) for _ in range(5)]
    read, write = os.pipe()

    class Telling(Writer):
        def write_some(self, *, wait: float) -> int:
            found = super().write_some(wait=wait)
            if found:
                os.write(write, b"!")
            return found

    def program() -> None:
        write_orders.run(Telling(stream))
        os._exit(0)

    pid = forked(program)
    assert os.read(read, 1) == b"!"
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert CashierOrder.objects.count() == len(pages)


def test_a_database_that_fails_loses_nothing(
    stream: OrderStream, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(world)
    writer = Writer(stream, left_behind=0)

    def broken(_orders: Any) -> Any:
        raise OperationalError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(writers, "store", broken)
        with pytest.raises(OperationalError):
            writer.write_some(wait=0)
    assert stream.facts().length == 1
    assert writer.drain() == 1
    assert not Alert.objects.exists()


def test_an_app_that_is_gone_is_given_up(stream: OrderStream, world: World) -> None:
    take(world)
    App.objects.all().delete()
    Writer(stream).drain()
    assert Alert.objects.get().key == "order-given-up"
    assert len(stream.given_up(9)) == 1


def test_figures_and_an_alert_when_nobody_writes(stream: OrderStream, world: World, settings: Any) -> None:
    assert waiting_since() is None
    take(world)
    assert b"paycenter_order_stream_length 1.0" in render()
    assert waiting_since() is not None
    BacklogLimit.objects.filter(name="order_stream").update(seconds=0)
    assert watch_backlogs() == 0  # not yet a second late
    settings.ORDER_STREAM = "off"
    assert b"paycenter_order_stream_length" not in render()
