"""Amounts as people read and type them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from cashier.amounts import entered_amount
from paycenter.amounts import amount_text
from paycenter.errors import MoneyError
from paycenter.money import MAX_MINOR, Money


@pytest.mark.parametrize(
    ("money", "shown"),
    [
        (Money(1, "CNY"), "¥0.01"),
        (Money(123456, "CNY"), "¥1,234.56"),
        (Money(MAX_MINOR, "CNY"), "¥1,000,000,000.00"),
        (Money(100, "USD"), "$1.00"),
        (Money(1234, "JPY"), "1,234 JPY"),
        (Money(1234567, "KWD"), "1,234.567 KWD"),
        (Money(-50, "CNY"), "−¥0.50"),
        (Money(-1234567, "KWD"), "−1,234.567 KWD"),
    ],
)
def test_amount_reads_as_its_currency_does(money: Money, shown: str) -> None:
    assert str(amount_text(money)) == shown


def test_yen_are_never_shown_with_the_yuan_sign_alone() -> None:
    assert amount_text(Money(5, "JPY")).symbol == ""
    assert amount_text(Money(5, "CNY")).symbol == "¥"


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12", "CNY", 1200),
        ("12.5", "CNY", 1250),
        ("12.50", "CNY", 1250),
        (" 0.01 ", "CNY", 1),
        ("1,234.56", "CNY", 123456),
        ("１２。５０", "CNY", 1250),
        ("１２．５", "CNY", 1250),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("1000000000", "CNY", MAX_MINOR),
    ],
)
def test_entered_amount_is_exact(text: str, currency: str, minor: int) -> None:
    assert entered_amount(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency", "reason"),
    [
        ("", "CNY", "such as 128.00"),
        ("abc", "CNY", "such as 128.00"),
        ("1e3", "CNY", "such as 128.00"),
        ("-5", "CNY", "such as 128.00"),
        ("+5", "CNY", "such as 128.00"),
        ("NaN", "CNY", "such as 128.00"),
        ("1_000", "CNY", "such as 128.00"),
        ("12,34", "CNY", "such as 128.00"),
        ("1.", "CNY", "such as 128.00"),
        (".5", "CNY", "such as 128.00"),
        ("٣", "CNY", "such as 128.00"),
        ("x", "JPY", "such as 128."),
        ("0", "CNY", "more than zero"),
        ("0.00", "CNY", "more than zero"),
        ("1.234", "CNY", "At most 2 decimals"),
        ("1.2345", "KWD", "At most 3 decimals"),
        ("1.5", "JPY", "no decimals"),
        ("1000000000.01", "CNY", "too large: at most ¥1,000,000,000.00"),
        ("9" * 30, "CNY", "such as 128.00"),
    ],
)
def test_entered_amount_says_what_is_wrong(text: str, currency: str, reason: str) -> None:
    with translation.override("en"), pytest.raises(MoneyError, match=reason):
        entered_amount(text, currency)


def test_reasons_are_told_in_chinese_too() -> None:
    with translation.override("zh-hans"), pytest.raises(MoneyError, match="金额必须大于零"):
        entered_amount("0", "CNY")


@given(st.integers(1, MAX_MINOR), st.sampled_from(["CNY", "JPY", "KWD"]))
def test_what_is_shown_can_be_typed_back(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert entered_amount(amount_text(money).number, currency) == money


@given(st.text(max_size=25))
def test_any_text_is_an_amount_or_a_told_mistake(text: str) -> None:
    with suppress(MoneyError):
        assert 1 <= entered_amount(text, "CNY").minor <= MAX_MINOR
