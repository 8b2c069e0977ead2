"""Money is whole minor units; what cannot be said exactly is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycenter.errors import MoneyError
from paycenter.money import MAX_MINOR, Money, is_currency, scale_of


@pytest.mark.parametrize(
    ("minor", "currency", "major"),
    [
        (1234, "CNY", "12.34"),
        (1, "CNY", "0.01"),
        (0, "CNY", "0.00"),
        (-5, "CNY", "-0.05"),
        (100, "JPY", "100"),
        (1234, "KWD", "1.234"),
        (5, "KWD", "0.005"),
        (12345, "CLF", "1.2345"),
        (MAX_MINOR, "CNY", "1000000000.00"),
    ],
)
def test_major_units_both_ways(minor: int, currency: str, major: str) -> None:
    assert Money(minor, currency).major == major
    assert Money.from_major(major, currency) == Money(minor, currency)
    assert str(Money(minor, currency)) == f"{currency} {major}"


@given(st.integers(-MAX_MINOR, MAX_MINOR), st.sampled_from(["CNY", "JPY", "KWD", "CLF"]))
def test_nothing_is_lost_on_the_way(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.from_major(money.major, currency) == money
    assert "E" not in money.major.upper()


@pytest.mark.parametrize("text", ["12.3", "12.30", "12.300", " 12.30 ", "1.23E1", Decimal("12.3")])
def test_equal_amounts_in_other_words(text: str | Decimal) -> None:
    assert Money.from_major(text) == Money(1230)


@pytest.mark.parametrize(
    "text",
    [
        "12.345", "0.001", "", "abc", "1,000.00", "¥1", "NaN", "sNaN", "Infinity", "-Infinity", "1e999999",
        "1E+999999999999999999", "1E-999999", "0.1234567890123456789012345678901234567890",
        "123456789012345678901234567890.12", "100000000000000000000000000001.01", None, [], "0x10",
    ],
)  # fmt: skip
def test_what_is_no_exact_amount(text: object) -> None:
    with pytest.raises(MoneyError):
        Money.from_major(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["100.5", "0.5"])
def test_a_currency_without_decimals_has_none(text: str) -> None:
    with pytest.raises(MoneyError):
        Money.from_major(text, "JPY")


@given(st.text(max_size=40))
def test_any_text_is_money_or_a_money_error(text: str) -> None:
    try:
        money = Money.from_major(text)
    except MoneyError:
        return
    assert Decimal(money.major) == Decimal(text)


@pytest.mark.parametrize("minor", [1.0, "1", None, True, Decimal(1)])
def test_only_integers_are_minor_units(minor: object) -> None:
    with pytest.raises(MoneyError):
        Money(minor)  # type: ignore[arg-type]


def test_floats_are_refused_even_where_exact() -> None:
    with pytest.raises(MoneyError):
        Money.from_major(12.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["XXX", "cny", "CN", "CNYY", "", None, 156])
def test_unknown_currencies(code: object) -> None:
    assert not is_currency(code)
    with pytest.raises(MoneyError):
        scale_of(code)  # type: ignore[arg-type]
    with pytest.raises(MoneyError):
        Money(1, code)  # type: ignore[arg-type]


def test_money_is_a_value() -> None:
    assert Money(1) == Money(1, "CNY") != Money(1, "USD")
    assert len({Money(1), Money(1), Money(2)}) == 2
    with pytest.raises(AttributeError):
        Money(1).minor = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        assert Money(1) < Money(2)  # type: ignore[operator]
