"""The form of a refund policy. It checks what each box holds; what goes together is the service's to judge."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from merchants.models import Role
from paycenter.staff.amount_field import AmountField
from refunds.admin.policy_words import field_word, shown_currency
from refunds.models import LatePayment, OtherMoney, RefundPolicy
from refunds.policies import POLICY_FIELDS, approving_roles

_NUMBERS = {
    "approval_hours": (1, 8760, _("hours")), "window_days": (1, 3650, _("days")),
    "spacing_seconds": (0, 86_400, _("seconds")),
}  # fmt: skip
_GROUPS = (
    (_("Without approval"), ("automatic_up_to", "daily_ceiling")),
    (_("With approval"), ("one_approval_up_to", "approver_roles", "approval_hours")),
    (_("Limits"), ("window_days", "spacing_seconds")),
    (_("Money that arrived wrongly"),
     ("late_payment", "duplicate_payment", "wrong_payment", "abnormal_automatic_up_to")),
)  # fmt: skip
_HELP = {
    "late_payment": _("The right amount, but after the order was closed. Reviving makes the order paid."),
    "duplicate_payment": _("The order had been paid already."),
    "wrong_payment": _("It can never pay its order."),
}


class PolicyForm(forms.Form):
    """A policy for one currency, or for every currency that has none of its own (`currency` blank).

    Amounts are written in major units; `cleaned_data` holds what is stored.
    """

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = shown_currency(currency)
        for name in POLICY_FIELDS:
            field = self._field(name)
            field.label = field_word(name)
            field.help_text = RefundPolicy._meta.get_field(name).help_text or _HELP.get(name, "")  # type: ignore[union-attr]
            self.fields[name] = field

    def _field(self, name: str) -> forms.Field:
        if name == "approver_roles":
            names = dict(Role.choices)
            choices = [(role, names[role]) for role in approving_roles()]
            return forms.MultipleChoiceField(choices=choices, widget=forms.CheckboxSelectMultiple)
        if name == "late_payment":
            return forms.ChoiceField(choices=LatePayment.choices)
        if name in ("duplicate_payment", "wrong_payment"):
            return forms.ChoiceField(choices=OtherMoney.choices)
        if name in _NUMBERS:
            low, high, unit = _NUMBERS[name]
            number = forms.IntegerField(min_value=low, max_value=high)
            number.unit = unit  # type: ignore[attr-defined]  # shown behind the box
            return number
        return AmountField(currency=self.currency, required=name != "daily_ceiling")

    def columns(self) -> list[list[tuple[Any, list[BoundField]]]]:
        """Two columns of (title, boxes), in the order people think about them."""
        groups = [(title, [self[name] for name in names]) for title, names in _GROUPS]
        return [groups[:2], groups[2:]]
