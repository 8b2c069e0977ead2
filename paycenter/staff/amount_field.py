"""A form field for amounts: people write major units, the program gets minor units. Exact, no floats."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from paycenter.amounts import amount_text
from paycenter.errors import MoneyError
from paycenter.money import MAX_MINOR, Money, scale_of

# 1234.50 or 1,234.50; commas only where they separate thousands.
_AMOUNT = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")


class AmountField(forms.CharField):
    """Cleans to an integer of minor units of `currency`, None for an empty optional box.

    `minimum` and `maximum` are minor units. A value given as `initial` is minor units, too.
    """

    def __init__(self, *, currency: str, minimum: int = 0, maximum: int = MAX_MINOR, **kwargs: Any) -> None:
        attrs = {"inputmode": "decimal", "autocomplete": "off", "class": "pc-num-input"}
        kwargs.setdefault("widget", forms.TextInput(attrs))
        super().__init__(max_length=32, **kwargs)
        self.currency, self.minimum, self.maximum = currency, minimum, maximum

    def prepare_value(self, value: Any) -> Any:
        return Money(value, self.currency).major if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        text = str(super().clean(value)).strip()
        return self._minor(text) if text else None

    def _minor(self, text: str) -> int:
        if not _AMOUNT.fullmatch(text):
            raise ValidationError(_("Please write an amount such as %(example)s.") % {"example": self._example()})
        try:
            minor = Money.from_major(text.replace(",", ""), self.currency).minor
        except MoneyError as exc:
            raise ValidationError(self._too_fine()) from exc
        if minor < self.minimum:
            raise ValidationError(_("At least %(amount)s.") % {"amount": self._text(self.minimum)})
        if minor > self.maximum:
            raise ValidationError(_("At most %(amount)s.") % {"amount": self._text(self.maximum)})
        return minor

    def _too_fine(self) -> Any:
        scale = scale_of(self.currency)
        if scale == 0:
            return _("%(currency)s has no decimals.") % {"currency": self.currency}
        return _("%(currency)s has %(count)d decimals at most.") % {"currency": self.currency, "count": scale}

    def _example(self) -> str:
        return amount_text(Money(125050, self.currency)).number

    def _text(self, minor: int) -> str:
        return str(amount_text(Money(minor, self.currency)))
