"""Asking for a refund as staff, on the page of a trade or of an abnormal payment. Somebody else approves it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from channels.base.discovery import provider_for
from merchants.api.errors import NotPossible, RefundExceeds
from merchants.roles import only_looks
from paycenter.errors import TransitionRefused
from paycenter.staff.acts import Act, Section, adds_to_page, adds_view
from paycenter.staff.amount_field import AmountField
from paycenter.staff.display import money, state_chip
from paycenter.staff.tenancy import tenant_of
from refunds.abnormal import policy_wish
from refunds.leaving import going_back
from refunds.models import LatePayment, Refund, RefundRoute
from refunds.policies import policy_for
from refunds.services import ASK_PERMISSION, refund_request_by_staff
from refunds.sums import Source
from trades.admin.acting import why_not_role
from trades.models import AbnormalPayment, Trade
from trades.refund_port import GOING_BACK
from trades.states import AbnormalState, TradeState


class AskForm(forms.Form):
    """How much, why and which way; `version` is the payment's as it stood when the form was made."""

    reason = forms.CharField(label=_("Reason"), min_length=2, max_length=128)
    route = forms.ChoiceField(label=_("Which way"))
    version = forms.IntegerField(widget=forms.HiddenInput)
    field_order = ("amount", "reason", "route", "version")

    def __init__(self, *args: Any, source: Source, **kwargs: Any) -> None:
        left = source.refundable_amount
        super().__init__(*args, **kwargs)
        self.initial = {"amount": left, "version": source.version}
        self.fields["amount"] = AmountField(
            label=_("Amount"), currency=source.currency, minimum=1, maximum=max(left, 1),
            help_text=_("Refundable: %(amount)s") % {"amount": money(left, source.currency)},
        )  # fmt: skip
        self.fields["route"].choices = _routes(source)  # type: ignore[attr-defined]
        self.order_fields(self.field_order)


def _routes(source: Source) -> list[tuple[str, Any]]:
    """Ways the money can go back; the way it came only where the channel gives back on a call."""
    attempt = source.settled_attempt if isinstance(source, Trade) else source.attempt
    direct = attempt is not None and provider_for(attempt.channel).can_refund
    return [choice for choice in RefundRoute.choices if direct or choice[0] != RefundRoute.ORIGINAL]


def why_not_refund(source: Source) -> str:
    """Why nothing of this payment can be asked back now, in words; "" when something can."""
    if isinstance(source, Trade):
        if source.state != TradeState.PAID:
            return gettext("Nothing was paid.")
    elif source.state == AbnormalState.UNVERIFIED:
        return gettext("The channel itself has not confirmed this money yet.")
    elif source.state == AbnormalState.VOID:
        return gettext("There was no such money.")
    elif source.state == AbnormalState.ACCEPTED:
        return gettext("The money was kept.")
    if not source.refundable_amount:
        return gettext("Nothing is left to refund.")
    if going_back(source) >= source.refundable_amount:
        return str(GOING_BACK)
    return ""


@adds_view(Trade, "refund")
def refund_trade_view(page: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask for a refund of a paid trade."""
    trade = page.fetch(request, object_id)
    return _ask_view(page, request, trade, trade, None)


@adds_view(AbnormalPayment, "refund")
def refund_abnormal_view(page: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask that an abnormal payment goes back."""
    row = page.fetch(request, object_id)
    return _ask_view(page, request, row, row.trade, row)


def _ask_view(
    page: Any, request: HttpRequest, source: Source, trade: Trade, abnormal: AbnormalPayment | None
) -> HttpResponse:
    if not request.user.has_perm(ASK_PERMISSION):
        raise PermissionDenied
    back = reverse(f"admin:{page.view_name('change')}", args=[source.pk])
    why_not = why_not_refund(source)
    form = AskForm(request.POST or None, source=source)
    if request.method == "POST" and not why_not and form.is_valid():
        refund = _ask(request, form, trade, abnormal)
        if refund is not None:
            messages.success(request, gettext("Asked for. Somebody else has to approve it."))
            return HttpResponseRedirect(reverse("admin:refunds_refund_change", args=[refund.pk]))
    context = page.page_context(
        request, source, title=gettext("Ask for a refund"), form=form, trade=trade, why_not=why_not, cancel=back,
        sums=_sums(source), state_chip=state_chip(source),
    )  # fmt: skip
    return TemplateResponse(request, "admin/pc/ask_refund.html", context)


def _ask(request: HttpRequest, form: AskForm, trade: Trade, abnormal: AbnormalPayment | None) -> Refund | None:
    values = form.cleaned_data
    try:
        return refund_request_by_staff(
            trade=trade, abnormal=abnormal, amount=values["amount"], reason=values["reason"], route=values["route"],
            seen_version=values["version"], user=request.user,  # type: ignore[arg-type]
        )  # fmt: skip
    except TransitionRefused as exc:
        form.add_error(None, str(exc))
    except RefundExceeds as exc:
        currency = trade.currency if abnormal is None else abnormal.currency
        left = money((exc.data or {}).get("refundable"), currency)
        form.add_error("amount", gettext("At most %(amount)s.") % {"amount": left})
    except NotPossible:
        form.add_error(None, gettext("This payment cannot be refunded in its present state."))
    return None


def _sums(source: Source) -> list[tuple[Any, str]]:
    paid = source.paid_amount if isinstance(source, Trade) else source.amount
    rows = [(_("Paid"), paid), (_("Refunded"), source.refunded_amount), (_("Refunding"), source.refunding_amount),
            (_("Refunded outside"), source.external_refunded), (_("Refundable"), source.refundable_amount)]  # fmt: skip
    return [(label, money(amount, source.currency)) for label, amount in rows if amount or label == _("Refundable")]


@adds_to_page(Trade)
def ask_on_trade(request: HttpRequest, trade: Any) -> list[Act | Section]:
    """The button that leads to the form, and why it cannot be pressed; tenants and who only looks do nothing here."""
    stranger = tenant_of(request.user) is not None and not request.user.has_perm(ASK_PERMISSION)
    if stranger or only_looks(request.user):
        return []
    why_not = why_not_role(request.user, ASK_PERMISSION) or why_not_refund(trade)
    url = reverse("admin:trades_trade_refund", args=[trade.pk])
    return [Act(label=gettext("Ask for a refund"), url=url, why_not=why_not, icon="undo", order=40)]


@adds_to_page(AbnormalPayment)
def ask_on_abnormal(request: HttpRequest, row: Any) -> list[Act | Section]:
    """Giving it back in one dialog, and what the policy says of such money while it is not decided."""
    found: list[Act | Section] = []
    if request.user.has_perm(ASK_PERMISSION) and row.state not in (AbnormalState.VOID, AbnormalState.ACCEPTED):
        found += _giving_back(row)
    wish = _wish_word(row)
    return [*found, Section("admin/pc/abnormal_policy.html", {"wish": wish}, order=5)] if wish else found


def _giving_back(row: AbnormalPayment) -> list[Act | Section]:
    label = gettext("Refund %(amount)s") % {"amount": money(row.refundable_amount, row.currency)}
    tone = "" if row.acceptance_asked_by_id else "primary"  # somebody asks for the opposite
    why_not = why_not_refund(row)
    if why_not:
        return [Act(label=gettext("Refund"), why_not=why_not, icon="undo", order=10)]
    action = reverse("admin:trades_abnormalpayment_refund", args=[row.pk])
    data = {"form": AskForm(source=row, auto_id="refund-%s"), "action": action}
    return [
        Act(label=label, dialog="dialog-refund", tone=tone, icon="undo", order=10),
        Section("admin/pc/ask_refund_dialog.html", data, order=90),
    ]


def _wish_word(row: AbnormalPayment) -> str:
    """What the policy says of such money, while it still matters."""
    if row.state not in (AbnormalState.UNVERIFIED, AbnormalState.OPEN):
        return ""
    wish = policy_wish(policy_for(row.trade.app, row.trade.merchant, row.currency), row)
    return str(dict(LatePayment.choices).get(wish, wish))
