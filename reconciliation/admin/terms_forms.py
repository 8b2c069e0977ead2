"""The forms that ask for another fee rate or other settlement terms. What goes together is the service's to judge."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from channels.base.discovery import methods_of, providers
from merchants.forms import method_label, say
from merchants.models import PaymentAccount
from paycenter.staff.amount_field import AmountField
from reconciliation.admin.terms_words import SHOWN_CURRENCY, rate_label, terms_label
from reconciliation.settlement.changing import LONGEST_DAYS_AFTER, RATE_FIELDS, TERMS_FIELDS
from reconciliation.settlement.models import ROUNDINGS, SettlementCalendar

_AMOUNTS_HELP = _("In other currencies the same number of smallest units counts.")


class _AccountForm(forms.Form):
    account = forms.ModelChoiceField(
        label=_("Payment account"), queryset=PaymentAccount.objects.none(), empty_label=_("Choose …")
    )

    def __init__(self, *args: Any, accounts: QuerySet[PaymentAccount], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].queryset = accounts  # type: ignore[attr-defined]


class RateForm(_AccountForm):
    """What a channel charges, in percent and major units; `values()` is what is stored."""

    method = forms.ChoiceField(label=_("Pay method"), required=False)
    from_day = forms.DateField(
        label=_("Takes effect on"), widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text=_("Days that were compared already stay as they are until they are compared again."),
    )  # fmt: skip
    ratio = forms.DecimalField(
        min_value=Decimal(0), max_value=Decimal(100), max_digits=7, decimal_places=4,
        help_text=_("Of each payment, as the contract with the channel says: 0.6 for six yuan of a thousand."),
    )  # fmt: skip
    rounding = forms.ChoiceField(choices=ROUNDINGS)
    fixed = AmountField(currency=SHOWN_CURRENCY, required=False)
    least = AmountField(currency=SHOWN_CURRENCY, required=False)
    most = AmountField(currency=SHOWN_CURRENCY, required=False, help_text=_AMOUNTS_HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["method"].choices = _method_choices()  # type: ignore[attr-defined]
        for name in RATE_FIELDS:
            self.fields["ratio" if name == "ppm" else name].label = rate_label(name)
        self.fields["ratio"].unit = "%"  # type: ignore[attr-defined]
        self.fields["from_day"].initial = timezone.localdate

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        account, method = found.get("account"), found.get("method")
        if account and method and method not in {m.code for m in methods_of(account.channel)}:
            raise ValidationError({"method": _("This account's channel has no such method.")})
        return found

    def values(self) -> dict[str, Any]:
        """As the service stores them; empty boxes are nothing."""
        given = self.cleaned_data
        return {"ppm": int(given["ratio"] * 10_000), "rounding": given["rounding"], "fixed": given["fixed"] or 0,
                "least": given["least"] or 0, "most": given["most"]}  # fmt: skip


class TermsForm(_AccountForm):
    """When an account's money arrives."""

    days_after = forms.IntegerField(min_value=0, max_value=LONGEST_DAYS_AFTER)
    working_days = forms.TypedChoiceField(
        choices=[("1", _("working days")), ("0", _("all days"))], coerce=lambda value: value == "1"
    )
    calendar = forms.ModelChoiceField(
        queryset=SettlementCalendar.objects.order_by("name"), required=False,
        empty_label=_("weekends are free, no other holidays"), help_text=_("Counts for working days only."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in TERMS_FIELDS:
            self.fields[name.removesuffix("_id")].label = terms_label(name)

    def values(self) -> dict[str, Any]:
        """As the service stores them."""
        given = self.cleaned_data
        calendar = given["calendar"] if given["working_days"] else None
        return {"days_after": given["days_after"], "working_days": given["working_days"],
                "calendar_id": calendar.pk if calendar else None}  # fmt: skip


def _method_choices() -> list[Any]:
    """Grouped by channel; first what holds for every method."""
    groups = [
        (say(provider.name), [(m.code, method_label(m.code)) for m in methods_of(code)])
        for code, provider in sorted(providers().items())
    ]
    return [("", _("every method without a rate of its own")), *groups]
