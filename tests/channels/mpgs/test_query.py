"""Retrieve Order, the one source of truth: every status, exact amounts, and whose order it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from channels.base import CloseOutcome, PaymentState
from channels.mpgs.provider import MpgsProvider
from channels.mpgs.reading import STATES
from paycenter.errors import UnknownOutcome
from paycenter.money import Money
from tests.channels.mpgs.wire import MERCHANT, ORDER_NO, error, order_json, record

UNPAID = {"totalCapturedAmount": 0, "totalAuthorizedAmount": 0}


def test_a_paid_order_is_read_in_full(provider, order, platform):
    platform.says(200, order_json())
    result = provider.query(order)
    assert (result.state, result.order_no, result.amount) == (PaymentState.PAID, ORDER_NO, Money(12345))
    assert result.channel_trade_no == ORDER_NO
    assert result.paid_at == datetime(2026, 11, 21, 6, 24, 32, 156000, tzinfo=UTC), "not when the order was made"
    assert (result.payer_id, result.funding) == ("512345xxxxxx0008", "CREDIT")
    assert (result.channel_state, result.refunded, result.message) == ("CAPTURED", Money(0), "")
    (asked,) = platform.calls
    assert (asked.method, asked.path, asked.body) == ("GET", f"/payments/{ORDER_NO}", b"")


def test_mpgs_itself_has_another_address(direct, order, platform):
    platform.says(200, order_json())
    assert direct.query(order).state is PaymentState.PAID
    assert platform.calls[0].path == f"/api/rest/version/72/merchant/{MERCHANT}/order/{ORDER_NO}"


@pytest.mark.parametrize("word", ["INITIATED", "AUTHENTICATION_INITIATED", "AUTHENTICATION_NOT_NEEDED", "AUTHENTICATED",
                                  "AUTHENTICATION_UNSUCCESSFUL", "FAILED"])  # fmt: skip
@pytest.mark.parametrize("result", ["SUCCESS", "FAILURE", "PENDING"])
def test_not_paid_yet_and_never_failed_for_good(word, result, provider, order, platform, clock):
    """A declined payer may try another card until the session ends, and a little after, being on the way."""
    for _ in range(2):
        platform.says(200, order_json(status=word, result=result, **UNPAID))
        found = provider.query(order)
        assert (found.state, found.channel_state, found.amount) == (PaymentState.UNPAID, word, None)
        clock.forward(7200)


@pytest.mark.parametrize(
    "word", ["CAPTURED", "PARTIALLY_REFUNDED", "REFUNDED", "EXCESSIVELY_REFUNDED", "REFUND_REQUESTED"]
)
def test_paid_and_perhaps_refunded_since(word, provider, order, platform):
    platform.says(200, order_json(status=word, totalRefundedAmount=23.4))
    found = provider.query(order)
    assert (found.state, found.amount, found.refunded) == (PaymentState.PAID, Money(12345), Money(2340))
    assert found.message == ""


@pytest.mark.parametrize("word", ["DISPUTED", "CHARGEBACK_PROCESSED", "DISBURSED", "FUNDING"])
def test_paid_and_somebody_has_to_look_at_it(word, provider, order, platform):
    platform.says(200, order_json(status=word))
    found = provider.query(order)
    assert found.state is PaymentState.PAID
    assert word in found.message


def test_voided_is_closed(provider, order, platform):
    platform.says(200, order_json(status="CANCELLED"))
    assert provider.query(order).state is PaymentState.CLOSED


@pytest.mark.parametrize("word", ["AUTHORIZED", "VERIFIED", "captured", "SOMETHING_NEW", "", None, 7, ["CAPTURED"]])
def test_other_words_decide_nothing(word, provider, order, platform):
    """Also AUTHORIZED: the money is held and may still be taken."""
    platform.says(200, order_json(status=word))
    with pytest.raises(UnknownOutcome):
        provider.query(order)


def test_the_table_has_the_statuses_that_are_tested_here():
    assert len(STATES) == 17
    assert not {"AUTHORIZED", "VERIFIED"} & set(STATES)


@pytest.mark.parametrize(
    ("captured", "currency", "amount"),
    [
        (123.45, "CNY", Money(12345)), (0.29, "USD", Money(29)), (1, "USD", Money(100)),
        (100, "JPY", Money(100, "JPY")),
        (1.005, "KWD", Money(1005, "KWD")), (1000000000.01, "USD", Money(100_000_000_001)), ("5.50", "USD", Money(550)),
    ],
)  # fmt: skip
def test_json_numbers_are_read_exactly(captured, currency, amount, provider, order, platform):
    platform.says(200, order_json(totalCapturedAmount=captured, currency=currency))
    assert provider.query(order).amount == Money(amount.minor, currency)


def test_a_number_with_needless_zeros_is_no_other_number(provider, order, platform):
    platform.says(200, b'{"id":"%s","merchant":"%s","result":"SUCCESS","status":"CAPTURED","currency":"JPY",'
                       b'"totalCapturedAmount":100.00}' % (ORDER_NO.encode(), MERCHANT.encode()))  # fmt: skip
    assert provider.query(order).amount == Money(100, "JPY")


def test_a_part_that_was_captured_is_reported_as_what_it_is(provider, order, platform):
    platform.says(200, order_json(status="PARTIALLY_CAPTURED", totalCapturedAmount=23.45))
    found = provider.query(order)
    assert (found.state, found.amount) == (PaymentState.PAID, Money(2345))
    platform.says(200, order_json(totalCapturedAmount=200))
    assert provider.query(order).amount == Money(20000), "never the amount that was asked for"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "20261121A0000000000000000002"}, {"id": None}, {"merchant": "20230212"}, {"merchant": None},
        {"totalCapturedAmount": None}, {"totalCapturedAmount": 0}, {"totalCapturedAmount": -1},
        {"totalCapturedAmount": True}, {"totalCapturedAmount": "a lot"}, {"totalCapturedAmount": [1]},
        {"totalCapturedAmount": 1.234}, {"totalCapturedAmount": 1e999999}, {"currency": None}, {"currency": "???"},
        {"currency": ["CNY"]}, {"result": "PENDING"}, {"result": "UNKNOWN"}, {"result": "ERROR"}, {"result": None},
    ],
)  # fmt: skip
def test_a_success_that_is_not_clearly_about_this_payment_is_unknown(changes, provider, order, platform):
    platform.says(200, order_json(**changes))
    with pytest.raises(UnknownOutcome):
        provider.query(order)


def test_a_number_too_large_to_be_one_is_unknown(provider, order, platform):
    body = b'{"id":"%s","merchant":"%s","result":"SUCCESS","status":"CAPTURED","currency":"CNY",'
    body += b'"totalCapturedAmount":%s}'
    for number in (b"1e999999999", b"9" * 5000, b"1.0e-99999999", b"Infinity", b"NaN"):
        platform.says(200, body % (ORDER_NO.encode(), MERCHANT.encode(), number))
        with pytest.raises(UnknownOutcome):
            provider.query(order)


@pytest.mark.parametrize(
    "transactions",
    [None, [], {}, "x", [1], [record("PAYMENT", "FAILURE", "2026-11-21T06:24:32Z")],
     [record("PAYMENT", "SUCCESS", "yesterday")], [record("PAYMENT", "SUCCESS", "2026-11-21T06:24:32")],
     [{"result": "SUCCESS", "transaction": {"type": "CAPTURE"}, "timeOfRecord": 7}]],
)  # fmt: skip
def test_without_a_readable_time_the_payment_is_still_seen(transactions, provider, order, platform):
    platform.says(200, order_json(transaction=transactions, sourceOfFunds="?", totalRefundedAmount="?"))
    found = provider.query(order)
    assert (found.state, found.paid_at, found.payer_id, found.refunded) == (PaymentState.PAID, None, None, None)


def test_unable_to_find_is_400_and_not_found(provider, order, platform):
    platform.says(400, error("INVALID_REQUEST", f"Unable to find order {ORDER_NO} for merchant {MERCHANT}"))
    found = provider.query(order)
    assert (found.state, found.order_no) == (PaymentState.NOT_FOUND, ORDER_NO)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, error("INVALID_REQUEST", f"Unable to find order {ORDER_NO} for merchant {MERCHANT}")),
        (400, error("INVALID_REQUEST", f"Unable to find order {ORDER_NO}9 for merchant {MERCHANT}")),
        (400, error("INVALID_REQUEST", "Unsupported value for 'version = 80'")),
        (400, error("SERVER_BUSY", f"Unable to find order {ORDER_NO} for merchant {MERCHANT}")),
        (400, b""), (400, {"error": 7}), (400, {"error": {"cause": 7, "explanation": 7}}), (401, b""), (404, b"<html>"),
        (429, b""), (500, order_json()), (201, b"x"), (204, b""), (302, order_json()),
    ],
)  # fmt: skip
def test_answers_that_say_nothing_about_the_order_are_unknown(status, body, provider, order, platform):
    platform.says(status, body)
    with pytest.raises(UnknownOutcome):
        provider.query(order)


def test_there_is_no_close(provider, order, platform):
    assert not MpgsProvider.can_close
    assert provider.close(order).outcome is CloseOutcome.UNSUPPORTED
    assert platform.asked == []
