"""Payouts by hand on a refund's page: the form, who sees the payee, and the voucher."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from merchants.models import User
from paycenter.staff.files import private_file
from paycenter.staff.tenancy import tenant_of
from paycenter.uploads import ACCEPT, MAX_BYTES
from refunds.approvals import APPROVE_PERMISSION
from refunds.models import Payout, Refund, RefundRoute
from refunds.retrying import SEND_PERMISSION
from refunds.vouchers import VOUCHERS


class PayoutForm(forms.Form):
    """What was paid out, to whom, and the proof. The voucher itself is checked by `paycenter.uploads`."""

    required_css_class: ClassVar[str] = "req"
    reference = forms.CharField(label=_("Reference"), max_length=64, help_text=_("The bank's or the app's number."))
    paid_on = forms.DateField(label=_("Paid out on"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    name = forms.CharField(label=_("Payee"), max_length=64)
    account = forms.CharField(label=_("Payee's account"), max_length=64)
    bank = forms.CharField(label=_("Bank"), max_length=64, required=False)
    voucher = forms.FileField(
        label=_("Voucher"), required=False, widget=forms.FileInput(attrs={"accept": ACCEPT}),
        help_text=_("PDF, PNG or JPEG, at most %(size)d MB.") % {"size": MAX_BYTES // 1024 // 1024},
    )  # fmt: skip

    def __init__(self, *args: Any, refund: Refund, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["paid_on"].initial = timezone.localdate
        self.fields["voucher"].required = refund.route == RefundRoute.MANUAL

    @property
    def payee(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in ("name", "account", "bank") if self.cleaned_data[name]}


def sees_payee(user: User) -> bool:
    """Who pays out or approves sees whom the money goes to; everybody else sees it masked."""
    return tenant_of(user) is None and (user.has_perm(SEND_PERMISSION) or user.has_perm(APPROVE_PERMISSION))


def payee_lines(payout: Payout, *, whole: bool) -> list[tuple[Any, str]]:
    """(word, value) of the payee; masked to the first letter and the last four digits unless `whole`."""
    words = {"name": _("Payee"), "account": _("Payee's account"), "bank": _("Bank")}
    return [
        (word, payout.payee[name] if whole else _masked(name, payout.payee[name]))
        for name, word in words.items() if payout.payee.get(name)
    ]  # fmt: skip


def _masked(name: str, value: str) -> str:
    match name:
        case "name":
            return value[0] + "**"
        case "account":
            return f"•••• {value[-4:]}" if len(value) > 8 else "••••"
        case _:
            return value


def voucher_response(payout: Payout) -> HttpResponse:
    """The voucher as a download that no browser opens by itself. Raises Http404 where there is no file."""
    return private_file(VOUCHERS, payout.voucher, payout.voucher_name or "voucher")
