"""Form fields for lists that people type one thing a line: days, and words with the account they stand for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget

from merchants.models import PaymentAccount
from paycenter.staff.lists import parse_day


class _LinesField(forms.CharField):
    """Cleans to what is stored; `prepare_value` writes it as lines again."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=UnfoldAdminTextareaWidget({"rows": 6}), **kwargs)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(super().has_changed(self.prepare_value(initial), data))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


class DaysField(_LinesField):
    """`2027-02-17` a line ↔ ["2027-02-17"]; each day once, in order."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        lines = _lines(super().clean(value))
        wrong = [line for line in lines if parse_day(line) is None]
        if wrong:
            raise ValidationError(_("Not a day such as 2027-02-17: %(lines)s") % {"lines": ", ".join(wrong[:5])})
        return sorted({str(parse_day(line)) for line in lines})


class SendersField(_LinesField):
    """`word in the purpose = payment number` a line ↔ {"word in the purpose": "payment number"}."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{word} = {number}" for word, number in value.items()) if isinstance(value, dict) else value

    def clean(self, value: Any) -> dict[str, str]:
        parts = [(line, *map(str.strip, line.rpartition("=")[::2])) for line in _lines(super().clean(value))]
        wrong = [line for line, word, number in parts if not (word and number)]
        if wrong:
            raise ValidationError(_("Not “word = payment number”: %(lines)s") % {"lines": ", ".join(wrong[:5])})
        found = {word: number for _line, word, number in parts}
        known = PaymentAccount.objects.filter(payment_no__in=found.values()).values_list("payment_no", flat=True)
        if unknown := sorted(set(found.values()) - set(known)):
            raise ValidationError(_("No payment account has this number: %(numbers)s")
                                  % {"numbers": ", ".join(unknown[:5])})  # fmt: skip
        return found
