"""What people write as an amount, and what the program makes of it: exact, or a message at the box."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from paycenter.money import MAX_MINOR, Money, scale_of
from paycenter.staff.amount_field import AmountField

CURRENCIES = st.sampled_from(["JPY", "CNY", "KWD"])


@given(CURRENCIES, st.integers(0, MAX_MINOR), st.booleans(), st.sampled_from(["", " "]))
def test_every_amount_comes_back_as_it_was_shown(currency: str, minor: int, grouped: bool, space: str) -> None:
    field = AmountField(currency=currency)
    shown = field.prepare_value(minor)
    assert shown == Money(minor, currency).major
    whole, point, decimals = shown.partition(".")
    text = f"{int(whole):,}{point}{decimals}" if grouped else shown
    assert field.clean(space + text + space) == minor


@given(CURRENCIES, st.integers(0, 10**15), st.integers(0, 6))
def test_any_decimal_is_exact_or_refused(currency: str, digits: int, places: int) -> None:
    value = Decimal(digits).scaleb(-places)
    field = AmountField(currency=currency)
    minor = value.scaleb(scale_of(currency))
    fits = minor == minor.to_integral_value() and minor <= MAX_MINOR
    if fits:
        assert field.clean(f"{value:f}") == int(minor)
    else:
        with pytest.raises(ValidationError):
            field.clean(f"{value:f}")


@given(CURRENCIES, st.text(max_size=40))
def test_any_other_text_gives_a_message_and_never_an_error(currency: str, text: str) -> None:
    class Form(forms.Form):
        amount = AmountField(currency=currency, required=False)

    form = Form({"amount": text})
    if form.is_valid():
        assert form.cleaned_data["amount"] is None or 0 <= form.cleaned_data["amount"] <= MAX_MINOR
    else:
        assert all(form.errors["amount"])


@pytest.mark.parametrize(
    "text",
    ["1e3", "1_000", "NaN", "Infinity", "-1", "+1", "1,00", "1,0000", ",5", ".5", "1.", "1.2.3", "¥1", "１２", "0x10",
     "1 000", "9" * 31, "1\x000"],
)  # fmt: skip
def test_nothing_is_guessed(text: str) -> None:
    with pytest.raises(ValidationError):
        AmountField(currency="CNY").clean(text)


@pytest.mark.parametrize(
    ("currency", "text", "message"),
    [
        ("CNY", "1.005", "CNY has 2 decimals at most."), ("JPY", "1.5", "JPY has no decimals."),
        ("KWD", "1.0005", "KWD has 3 decimals at most."), ("CNY", "0", "At least ¥0.01."),
        ("CNY", "100.01", "At most ¥100.00."), ("CNY", "", "This field is required."),
        ("CNY", "ten", "Please write an amount such as 1,250.50."),
    ],
)  # fmt: skip
def test_the_message_stands_at_the_box(currency: str, text: str, message: str) -> None:
    class Form(forms.Form):
        amount = AmountField(currency=currency, minimum=1, maximum=10_000)

    with translation.override("en"):
        assert Form({"amount": text}).errors["amount"] == [message]
