"""Compiled statements find and write what the ORM would."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from cashier.models import CashierOrder
from merchants.channels import _ACCOUNTS, _LINK
from merchants.services import app_update
from notifications.models import Notification, NotificationState
from notifications.selectors import _OF_TRADE, notify_state_of
from paycenter import compiled
from paycenter.models import Event, Exchange
from paycenter.transitions import events_together, lock, record_event
from tests import factories
from tests.conftest import World
from trades.locking import find_attempt, load_attempt, lock_attempt
from trades.models import Attempt, Trade
from trades.opening import open_new
from trades.services import trade_pay


def columns(record: models.Model) -> dict[str, Any]:
    return {field.attname: getattr(record, field.attname) for field in record._meta.concrete_fields}


@pytest.fixture
def paid_for(world: World) -> Attempt:
    order = world.order(
        detail={"b": 1, "a": [1.5, "é"]}, payer={"phone": "13800001234"}, client_ip="2001:db8::1", attach="x"
    )
    return trade_pay(app=world.app, order=order, method="fake_qr")


def test_a_row_is_read_as_the_orm_reads_it(paid_for: Attempt) -> None:
    read = load_attempt(paid_for.pk)
    assert columns(read) == columns(Attempt.objects.get(pk=paid_for.pk))
    assert columns(read.trade) == columns(Trade.objects.get(pk=read.trade_id))
    assert (read.trade.app, read.trade.merchant, read.account) == (paid_for.trade.app, paid_for.trade.merchant,
                                                                   paid_for.account)  # fmt: skip
    assert read.account.config == paid_for.account.config
    assert read.trade.app.webhook_secret == factories.WEBHOOK_SECRET


def test_values_are_read_as_the_orm_reads_them(paid_for: Attempt) -> None:
    def query(number: str) -> Any:
        names = ("detail", "payer", "created_at", "paid_at", "amount", "current_attempt__method", "app__app_id")
        return Trade.objects.filter(trade_no=number).values_list(*names)

    number = paid_for.trade.trade_no
    read = compiled.SelectValues(query, number=str)
    assert tuple(read.first(number=number) or ()) == query(number).get()


@pytest.mark.parametrize("stored", [None, {}, {"é": [1, 1.5, -0.0, 10**30, True, None]}, [], "text", "", 7, False])
def test_json_is_read_as_the_orm_reads_it(paid_for: Attempt, stored: Any) -> None:
    def query(key: int) -> Any:
        return CashierOrder.objects.filter(pk=key).values_list("display", "trade__payer", "trade__current_attempt_id")

    order = CashierOrder.objects.create(trade=paid_for.trade, token="t", code="c", display=stored or [])
    CashierOrder.objects.filter(pk=order.pk).update(display=models.Value(stored, models.JSONField()))
    read = compiled.SelectValues(query, key=int)
    for found in (read.first(key=order.pk), read.alone(key=order.pk)):
        assert repr(tuple(found or ())) == repr(query(order.pk).get())


def test_json_with_space_around_it_is_read_too() -> None:
    """As SQLite stores what is written there by hand."""
    column = SimpleNamespace(target=models.JSONField())
    assert [compiled._decoded(text, column, connection) for text in (" [1]", "wrong")] == [[1], "wrong"]


def test_a_query_may_fix_numbers_and_words_only(world: World) -> None:
    assert compiled.Select(lambda pk: Trade.objects.filter(pk=pk, amount=5, state="paid"), pk=int).rows(pk=1) == []
    for wrong in (True, "it's", b"x"):
        with pytest.raises(TypeError):
            compiled._literal(wrong)


def test_nothing_is_read_where_the_transaction_is_lost(paid_for: Attempt) -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            load_attempt(paid_for.pk)


def test_related_rows_cost_no_further_statement(paid_for: Attempt, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        read = load_attempt(paid_for.pk)
        assert read.trade.event_fields() == paid_for.trade.event_fields()
        assert read.account.channel == "fakepay"


def test_a_new_row_is_what_was_given(world: World, paid_for: Attempt) -> None:
    trade = Trade.objects.get(pk=paid_for.trade_id)
    assert (trade.detail, trade.payer, trade.client_ip) == (
        {"b": 1, "a": [1.5, "é"]}, {"phone": "13800001234"}, "2001:db8::1"
    )  # fmt: skip
    assert columns(paid_for) == columns(Attempt.objects.get(pk=paid_for.pk))


def test_what_is_not_there(world: World) -> None:
    assert find_attempt("A0", "fake_qr") is None
    with pytest.raises(Attempt.DoesNotExist):
        load_attempt(-1)
    with transaction.atomic(), pytest.raises(Trade.DoesNotExist):
        lock_attempt(-1, -1)


def test_the_same_order_twice_is_refused_by_the_database(world: World) -> None:
    order = world.order()
    open_new(world.app, world.merchant, order)
    with pytest.raises(IntegrityError), transaction.atomic():
        open_new(world.app, world.merchant, order)
    assert Trade.objects.count() == 1


def test_an_update_of_a_row_that_is_gone_is_noticed(paid_for: Attempt) -> None:
    paid_for.pk = -1
    with pytest.raises(Attempt.DoesNotExist):
        compiled.update(paid_for, ["error_code"])


def test_an_update_writes_the_named_fields_only(paid_for: Attempt) -> None:
    paid_for.error_code, paid_for.error_message = "E", "not written"
    compiled.update(paid_for, ["error_code"])
    written = Attempt.objects.get(pk=paid_for.pk)
    assert (written.error_code, written.error_message) == ("E", "")


def test_rows_are_locked_inside_a_transaction_only(committed_world: World) -> None:
    trade = trade_pay(app=committed_world.app, order=committed_world.order(), method="fake_qr").trade
    with transaction.atomic():
        assert lock(Trade, pk=trade.pk) == trade
    if connection.features.has_select_for_update:
        with pytest.raises(TransactionManagementError):
            lock(Trade, pk=trade.pk)


def test_each_value_goes_where_its_name_stands(world: World) -> None:
    found = _ACCOUNTS.rows(method="fake_qr", merchant=world.merchant.pk, channel="fakepay")
    assert found == [world.account]
    assert _ACCOUNTS.rows(method="fakepay", merchant=world.merchant.pk, channel="fake_qr") == []
    link = _LINK.first(merchant_no=world.merchant.merchant_no, app=world.app.pk)
    assert link is not None
    assert link.merchant == world.merchant


def test_a_query_that_changes_a_value_is_not_compiled(db: None) -> None:
    query = compiled.Select(lambda name: Event.objects.filter(type__startswith=name), name=str)
    with pytest.raises(TypeError):
        query.first(name="trade")


def test_states_stand_in_the_statement() -> None:
    assert "'active'" in _ACCOUNTS._compile().sql
    assert "%s" not in _OF_TRADE._compile().sql.replace("%s", "", 1)


def test_several_rows_get_their_keys_in_order(db: None) -> None:
    events = [Event(type=f"t{n}", created_at=timezone.now(), object_type="x", actor="a") for n in range(3)]
    compiled.insert(*events, empty=("seq", "hash"))
    stored = list(Event.objects.order_by("id").values_list("pk", "type", "seq", "hash"))
    assert stored == [(event.pk, event.type, None, "") for event in events]


def test_events_written_together_keep_their_order(world: World, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1), events_together():
        for number in range(3):
            record_event(world.merchant, f"t{number}", actor="a", detail={"n": number})
    assert list(Event.objects.order_by("id").values_list("type", "detail")) == [(f"t{n}", {"n": n}) for n in range(3)]


def test_a_block_that_fails_writes_no_event(world: World) -> None:
    def failing() -> None:
        with events_together():
            record_event(world.merchant, "t", actor="a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    record_event(world.merchant, "later", actor="a")
    assert list(Event.objects.values_list("type", flat=True)) == ["later"]


def test_the_newest_message_tells_the_state(world: World) -> None:
    def message(number: int, state: str) -> None:
        Notification.objects.create(
            webhook_id=f"m{number}", app=world.app, type="trade.paid", url="http://x/", host="x", body="{}",
            trade_no="P1", state=state, created_at=timezone.now(),
        )  # fmt: skip

    message(1, NotificationState.DELIVERED)
    message(2, NotificationState.PENDING)
    assert notify_state_of("P1")["notify_state"] == "pending"
    assert notify_state_of("P2") == {"notify_state": None, "notified_at": None}


def test_a_history_of_changes_is_kept(world: World) -> None:
    app_update(app=world.app, values={"name": "renamed"}, actor="staff:x")
    assert list(world.app.history.values_list("name", flat=True)) == ["renamed", world.app.name]


def test_nobody_listens_to_what_every_payment_writes(db: None) -> None:
    for model in (Trade, Attempt, Event, Exchange, Notification):
        assert not compiled._is_listened_to(model)
