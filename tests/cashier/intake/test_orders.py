"""An order that is only in the stream: its payer and its app see no difference."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from cashier.intake import stream as streams
from cashier.intake.stream import OrderStream
from cashier.intake.taking import cashier_order_take, is_taking
from cashier.intake.writer import Writer
from cashier.models import CashierOrder
from cashier.services import cashier_order_create
from deploy.checks.services import free_port
from merchants.api.errors import ContentDiffers, NotPermitted, OrderClosed
from merchants.models import AppMerchant
from paycenter.combining import Combiner
from paycenter.models import Event
from tests import factories
from tests.cashier.conftest import Cashier
from tests.conftest import World
from tests.fakes.signing import Caller
from trades.models import Attempt, Trade
from trades.services import trade_pay

PATH = "/v1/cashier/orders"
ROWS = [{"label": "Room", "value": "3-1201"}]


def take(world: World, **order: Any) -> CashierOrder:
    return cashier_order_take(app=world.app, order=world.order(**order), display=ROWS)


def test_it_is_answered_before_it_is_a_row_and_written_later(stream: OrderStream, call: Caller, world: World) -> None:
    order = {
        "merchant_no": world.merchant.merchant_no, "app_order_no": "A1", "amount": 1234, "subject": "Fee",
        "detail": {"b": 1.0, "a": [True, None]}, "attach": "附", "payer": {"phone": "13800001234"},
        "client_ip": "10.1.2.3", "funding": "credit", "business_no": "B1", "expire_in": 600, "display": ROWS,
    }  # fmt: skip
    data = call(PATH, order).json()["data"]
    assert (data["state"], data["app_order_no"]) == ("waiting", "A1")
    assert not Trade.objects.exists()
    assert "13800001234" not in stream.find("order", f"{world.app.pk}:{world.merchant.merchant_no}:A1").text  # type: ignore[union-attr]

    assert Writer(stream).drain() == 1
    page = CashierOrder.objects.get()
    assert data["cashier_url"].endswith(f"/c/{page.token}")
    assert data["qr_url"].endswith(f"/q/{page.code}")
    assert page.display == ROWS
    in_stream = page.trade
    cashier_order_create(app=world.app, order=_order_of(world, order), display=ROWS)
    beside = Trade.objects.get(app_order_no="A2")
    unlike = {"id", "trade_no", "app_order_no", "created_at", "expire_at", "next_close_at", "payer"}
    assert _values(in_stream, unlike) == _values(beside, unlike)
    assert in_stream.payer == beside.payer == {"phone": "13800001234"}
    events = Event.objects.filter(type="trade.created").order_by("id")
    assert [(e.actor, e.public, e.data["trade_no"]) for e in events] == [
        (f"app:{world.app.app_id}", True, trade.trade_no) for trade in (in_stream, beside)
    ]


def _order_of(world: World, given: dict[str, Any]) -> Any:
    own = {name: value for name, value in given.items() if name not in ("merchant_no", "display")}
    return world.order(**own | {"app_order_no": "A2"})


def _values(trade: Trade, unlike: set[str]) -> dict[str, Any]:
    return {f.attname: getattr(trade, f.attname) for f in Trade._meta.concrete_fields if f.attname not in unlike}


@pytest.mark.parametrize("way", ["page", "status", "code", "number", "order"])
def test_payer_and_app_find_it_at_once(stream: OrderStream, call: Caller, cashier: Cashier, way: str) -> None:
    cashier.offer("fake_qr")
    page = take(cashier.world)
    trade = page.trade
    if way in ("page", "status", "code"):
        path = {"page": f"/c/{page.token}", "status": f"/c/{page.token}/status", "code": f"/q/{page.code}"}[way]
        found = cashier.client.get(path)
        assert found.status_code == (303 if way == "code" else 200)
        assert way != "code" or found.headers["Location"] == f"/c/{page.token}"
    else:
        by_order = {"app_order_no": trade.app_order_no, "merchant_no": trade.merchant.merchant_no}
        found = call("/v1/query/trade", {"trade_no": trade.trade_no} if way == "number" else by_order)
        assert found.json()["data"]["trade_no"] == trade.trade_no
        assert found.json()["data"]["state"] == "waiting"
    assert Writer(stream).drain() == 1  # it was written because of that: the writer finds it there
    assert (Trade.objects.count(), CashierOrder.objects.count(), Event.objects.count()) == (1, 1, 1)
    assert stream.facts().length == 0


def test_no_channel_is_called_before_the_row_is_there(stream: OrderStream, cashier: Cashier) -> None:
    cashier.offer("fake_qr")
    page = take(cashier.world)
    seen = []
    cashier.world.book.hooks["pay"] = lambda order: seen.append(Trade.objects.get().trade_no)
    assert cashier.pay(page, "fake_qr").headers["Location"] == f"/c/{page.token}/go"
    assert seen == [page.trade.trade_no]


def test_it_is_paid(stream: OrderStream, cashier: Cashier, paid: Callable[[CashierOrder], None]) -> None:
    cashier.offer("fake_qr")
    page = take(cashier.world)
    cashier.pay(page, "fake_qr")
    paid(CashierOrder.objects.get())
    Writer(stream).drain()
    assert Trade.objects.get().state == "paid"
    assert not stream.given_up(9)


def test_gopay_on_its_number_pays_the_same_trade(stream: OrderStream, world: World) -> None:
    order = world.order()
    page = cashier_order_take(app=world.app, order=order, display=[])
    attempt = trade_pay(app=world.app, order=order, method="fake_qr")
    assert attempt.trade.trade_no == page.trade.trade_no
    Writer(stream).drain()
    assert Trade.objects.get().current_attempt == attempt


def test_closing_it(stream: OrderStream, call: Caller, world: World) -> None:
    page = take(world)
    assert call("/v1/close", {"trade_no": page.trade.trade_no}).json()["data"]["state"] == "closed"
    with pytest.raises(OrderClosed):
        take(world, app_order_no=page.trade.app_order_no)
    Writer(stream).drain()
    assert Trade.objects.get().state == "closed"


@pytest.mark.parametrize("written", [False, True])
def test_the_same_order_again(stream: OrderStream, world: World, written: bool) -> None:
    first = take(world, app_order_no="A1")
    if written:
        Writer(stream).drain()
    again = take(world, app_order_no="A1")
    assert (again.token, again.code, again.trade.trade_no) == (first.token, first.code, first.trade.trade_no)
    cheaper = take(world, app_order_no="A1", amount=99)
    assert (cheaper.token, cheaper.trade.amount) == (first.token, 99)
    with pytest.raises(ContentDiffers):
        take(world, app_order_no="A1", subject="Something else")
    Writer(stream).drain()
    assert Trade.objects.get().amount == 99


def test_another_app_does_not_find_it(stream: OrderStream, world: World, client: Any) -> None:
    page = take(world)
    other = factories.make_app(world.merchant)
    found = Caller(client, other.app_id, factories.HMAC_SECRET)("/v1/query/trade", {"trade_no": page.trade.trade_no})
    assert found.json()["errno"] == 40401


def test_who_may_not_collect_is_refused_as_ever(stream: OrderStream, world: World) -> None:
    AppMerchant.objects.update(is_active=False)
    with pytest.raises(NotPermitted):
        take(world)
    assert stream.facts().length == 0


def test_an_order_that_the_database_is_opening_is_not_taken(stream: OrderStream, world: World) -> None:
    """Between gopay's look for the order and its row nobody else may answer for it."""
    assert stream.claim(f"{world.app.pk}:{world.merchant.merchant_no}:A1") is None
    take(world, app_order_no="A1")
    assert Trade.objects.get().app_order_no == "A1"
    assert stream.facts().length == 0


@pytest.mark.parametrize("why", ["off", "away", "full", "behind"])
def test_the_database_takes_it_where_the_stream_does_not(
    stream: OrderStream, world: World, settings: Any, why: str
) -> None:
    if why == "off":
        settings.ORDER_STREAM = "off"
    elif why == "away":
        settings.ORDER_STREAM_URL = f"redis://127.0.0.1:{free_port()}/0"
    else:
        take(world)
        settings.ORDER_STREAM_LIMIT = 1 if why == "full" else 100
        settings.ORDER_STREAM_OLDEST = -1.0 if why == "behind" else 60
    page = take(world)
    assert Trade.objects.get().trade_no == page.trade.trade_no
    assert stream.facts().length == (1 if why in ("full", "behind") else 0)


def test_taken_or_not_is_not_known(stream: OrderStream, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis took it and its answer was lost: the order is there once, under the numbers that are answered."""
    shared = streams.stream()
    really = shared._take

    def lost(**given: Any) -> None:
        really(**given)
        raise TimeoutError

    monkeypatch.setattr(shared, "_take", lost)
    page = take(world)
    assert stream.facts().length == 1
    assert Writer(stream).drain() == 1
    assert CashierOrder.objects.get().token == page.token
    assert Trade.objects.get().trade_no == page.trade.trade_no
    assert not stream.given_up(9)


def test_what_cannot_be_found_out_is_not_denied(
    stream: OrderStream, call: Caller, cashier: Cashier, settings: Any
) -> None:
    page = take(cashier.world)
    settings.ORDER_STREAM_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert call("/v1/query/trade", {"trade_no": page.trade.trade_no}).json()["errno"] == 50001
    assert cashier.get(page).status_code == 503
    assert trade_pay(app=cashier.world.app, order=cashier.world.order(), method="fake_qr").trade.state == "paying"
    Writer(stream).drain()
    assert cashier.get(page).status_code == 200


def test_drain_takes_none_and_still_knows_those_in_it(stream: OrderStream, cashier: Cashier, settings: Any) -> None:
    page = take(cashier.world)
    settings.ORDER_STREAM = "drain"
    take(cashier.world)
    assert stream.facts().length == 1
    assert cashier.get(page).status_code == 200


def test_auto_goes_by_how_long_writes_wait(stream: OrderStream, settings: Any) -> None:
    settings.ORDER_STREAM, settings.ORDER_STREAM_WAIT = "auto", 0.01
    Combiner.forget_all()
    assert not is_taking()
    writes: Combiner[float, float] = Combiner(lambda item: item, lambda items: items)
    for _ in range(20):
        writes._note_wait(0.1)
    assert is_taking()
    for _ in range(60):
        writes._note_wait(0.0)
    assert not is_taking()


def test_both_doors_at_once(
    stream: OrderStream, committed_world: World, in_threads: Callable[..., list[Any]]
) -> None:
    """Calls for the same few orders, as cashier orders and as gopay, while a writer runs: each order is one trade, and
    every answer leads to it."""
    world, orders = committed_world, [committed_world.order() for _ in range(4)]
    writer = Writer(stream)

    def one(at: int) -> Any:
        order = orders[at % 4]
        if at == 15:
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                writer.write_some(wait=0.02)
            return None
        if at % 8 >= 6:
            return order, trade_pay(app=world.app, order=order, method="fake_qr").trade.trade_no, None
        page = cashier_order_take(app=world.app, order=order, display=ROWS)
        return order, page.trade.trade_no, page.token

    answers = [answer for answer in in_threads(one, 16) if answer is not None]
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    writer.drain()
    assert Trade.objects.count() == 4
    for order, trade_no, token in answers:
        trade = Trade.objects.get(app_order_no=order.app_order_no)
        assert trade_no == trade.trade_no
        assert token in (None, trade.cashier_order.token)
    assert not stream.given_up(9)
    assert Attempt.objects.count() == 2
