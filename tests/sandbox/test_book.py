"""The rules of money below every stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.book import Book, NewPayment, NotPossible, serial_number
from sandbox.records import Payment, PaymentState, RefundState
from sandbox.store import Store

NOW = 1_800_000_000.0


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def book(store: Store, clock: Clock) -> Book:
    return Book(store, clock, refund_delay=5)


def new(order_no: str = "N1", state: PaymentState = PaymentState.UNPAID, amount: int = 100) -> NewPayment:
    return NewPayment(
        channel="x", account="m", order_no=order_no, trade_no="T" + order_no, scene="qr", amount=amount, currency="CNY",
        subject="s", notify_url="", code="C" + order_no, code_expires_at=NOW + 50, expires_at=NOW + 100, state=state,
        request="r", extra={"a": "中"},
    )  # fmt: skip


def paid(book: Book, amount: int = 100) -> Payment:
    return book.pay(book.add(new(amount=amount)), payer="p")


def test_an_order_is_found_by_each_of_its_names(book: Book) -> None:
    made = book.add(new(), attempt_no="ATTEMPT")
    assert made.extra == {"a": "中"}
    for found in (book.find("x", "m", "N1"), book.find_trade("x", "m", "TN1"), book.find_code("x", "CN1"),
                  book.find_attempt("ATTEMPT")):  # fmt: skip
        assert found == made
    assert book.find("x", "other", "N1") is None
    assert book.find_attempt("N1") is None, "controls use the alias where there is one"


def test_a_number_is_used_once_unless_nobody_scanned_it(book: Book) -> None:
    book.add(new("N1"))
    with pytest.raises(NotPossible):
        book.add(new("N1"))
    book.add(new("N2", PaymentState.UNSCANNED, amount=1))
    assert book.add(new("N2", PaymentState.UNSCANNED, amount=2)).amount == 2


def test_is_paid_once(book: Book) -> None:
    once = paid(book)
    assert (once.state, once.total, once.payer) == (PaymentState.PAID, 100, "p")
    with pytest.raises(NotPossible, match="paid"):
        book.pay(once, payer="p")
    with pytest.raises(NotPossible, match="paid"):
        book.close(once)


def test_what_was_closed_or_expired_is_not_paid(book: Book, clock: Clock) -> None:
    closed = book.close(book.add(new("N1")))
    with pytest.raises(NotPossible, match="closed"):
        book.pay(closed, payer="p")
    waiting = book.add(new("N2"))
    clock.now = NOW + 100
    with pytest.raises(NotPossible, match="closed"):
        book.pay(waiting, payer="p")
    assert book.payment(waiting.id).closed_at == NOW + 100


def test_an_unscanned_order_never_comes_to_exist_after_its_expiry(book: Book, clock: Clock) -> None:
    page = book.add(new(state=PaymentState.UNSCANNED))
    with pytest.raises(NotPossible, match="unscanned"):
        book.pay(page, payer="p")
    clock.now = NOW + 100
    assert book.payment(page.id).state is PaymentState.UNSCANNED
    assert book.waiting() == []
    with pytest.raises(NotPossible, match="expired"):
        book.scan(page)


def test_refunds_never_exceed_what_was_really_paid(book: Book) -> None:
    order = book.pay(book.add(new(amount=100)), amount=60, payer="p")
    book.add_refund(order, refund_no="R1", channel_refund_no="1", amount=40)
    for amount in (21, 0, -1):
        with pytest.raises(NotPossible):
            book.add_refund(order, refund_no="R2", channel_refund_no="2", amount=amount)
    failed = book.add_refund(order, refund_no="R3", channel_refund_no="3", amount=20)
    assert book.refunded(order) == 60
    book.settle(failed, RefundState.FAIL)
    assert book.refunded(order) == 40
    assert book.refunded(order, settled=True) == 0, "nothing has arrived yet"


def test_a_refund_is_due_after_the_delay_unless_it_shall_wait(book: Book, clock: Clock) -> None:
    order = paid(book)
    book.set_outcome("R2", "pending")
    for number in ("R1", "R2"):
        book.add_refund(order, refund_no=number, channel_refund_no=number, amount=10)
    assert book.due_refunds() == []
    clock.now = NOW + 5
    assert [r.refund_no for r in book.due_refunds()] == ["R1"]


def test_writes_together_happen_all_or_none(book: Book, store: Store) -> None:
    order = book.add(new())

    class Killed(Exception):
        pass

    def pay_and_die() -> None:
        with store.together():
            book.pay(order, payer="p")
            with store.together():
                book.set_outcome("R", "fail")
            raise Killed

    with pytest.raises(Killed):
        pay_and_die()
    assert book.payment(order.id).state is PaymentState.UNPAID
    assert book.outcome("R") is None
    with store.together():
        book.pay(order, payer="p")
    assert book.payment(order.id).state is PaymentState.PAID


def test_a_channels_numbers_have_28_digits_and_the_beijing_day() -> None:
    number = serial_number(1_798_736_400.0, "22001")  # 2026-12-31 17:00 UTC is the next day in Beijing
    assert len(number) == 28
    assert number.startswith("2027010122001")
    assert number != serial_number(1_798_736_400.0, "22001")


def test_neither_secrets_nor_keys_show_in_what_is_printed() -> None:
    from sandbox.channel import Contract
    from sandbox.records import Account

    account = Account("x", "k", "n", "p", {"app_private_key": "HIDDEN"}, {"private_key": "HIDDEN"})
    assert "HIDDEN" not in repr(account)
    assert "HIDDEN" not in repr(replace(account, name="other"))
    assert "HIDDEN" not in repr(Contract("k", {"a": "HIDDEN"}, {"b": "HIDDEN"}))
