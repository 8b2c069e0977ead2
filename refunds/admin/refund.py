"""A refund's page, and what is done on it or with many at once. Every rule is in the services."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from merchants.api.errors import NotPossible
from paycenter.errors import TransitionRefused
from paycenter.staff.acts import Answer, written_reason
from paycenter.staff.amount_field import AmountField
from paycenter.staff.display import money
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import actor_of
from paycenter.uploads import UploadRefused
from refunds.admin import bulk, facts
from refunds.admin.acts import ACTS, MOVES_MONEY, act_run, reader, reason_not
from refunds.admin.listing import RefundListing
from refunds.admin.payouts import PayoutForm, sees_payee, voucher_response
from refunds.approvals import refund_amount_change, refuse_amount_change
from refunds.models import Payout, Refund
from refunds.payouts import payout_enter, refuse_enter
from refunds.selectors import load_refund
from refunds.sending import refund_ask
from refunds.vouchers import VOUCHERS


class AmountForm(forms.Form):
    """Another amount, in major units of the refund's currency, and why."""

    reason = forms.CharField(label=_("Reason"), min_length=2, max_length=300)

    def __init__(self, *args: Any, refund: Refund, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["amount"] = AmountField(
            label=_("Amount"), currency=refund.currency, minimum=1, initial=refund.amount
        )
        self.order_fields(("amount", "reason"))


@admin.register(Refund)
class RefundAdmin(RefundListing):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        views = (
            ("bulk/", self.bulk_view, "bulk"),
            ("<path:object_id>/act/<slug:act>/", self.act_view, "act"),
            ("<path:object_id>/ask/", self.ask_view, "ask"),
            ("<path:object_id>/amount/", self.amount_view, "amount"),
            ("<path:object_id>/payout/", self.payout_view, "payout"),
            ("<path:object_id>/voucher/<int:payout_id>/", self.voucher_view, "voucher"),
        )
        own = [path(route, wrap(view), name=self.view_name(name)) for route, view, name in views]
        return [*own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        return self._page(request, self._whole(request, object_id))

    @sensitive(when=lambda _page, _request, act, **_more: act in MOVES_MONEY)
    def act_view(self, request: HttpRequest, object_id: str, act: str) -> HttpResponse:
        """Decide, send again, check a payout. POST only; the services check who and whether."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        refund = self._whole(request, object_id)
        if act not in ACTS:
            raise Http404
        comment = written_reason(request)
        seen = bulk.amount_seen(request.POST.get("amount", ""))
        if ACTS[act].sees_amount and seen is None:
            messages.error(request, gettext("Please look at the refund again."))
        else:
            run = partial(act_run, act, refund=refund, user=reader(request), comment=comment, seen=seen)
            _say(request, run, gettext("Done."))
        return self._back(refund)

    def ask_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the channel now; its answer is done what it says, and shown next to what is known here."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        refund = self._whole(request, object_id)
        reason = facts.why_not_ask(refund, reader(request))
        if reason:
            messages.error(request, reason)
            return self._back(refund)
        asked = refund_ask(refund_id=refund.pk, actor=actor_of(reader(request)))
        return self._page(request, load_refund(refund.pk), answer=facts.answer_facts(refund, asked))

    def amount_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Another amount for what was not sent yet; its approvals are void."""
        refund = self._whole(request, object_id)
        reason = reason_not(refuse_amount_change, refund, reader(request))
        if reason:
            messages.error(request, reason)
            return self._back(refund)
        form = AmountForm(request.POST or None, refund=refund)
        if request.method == "POST" and form.is_valid():
            run = partial(refund_amount_change, refund=refund, amount=form.cleaned_data["amount"], user=reader(request),
                          reason=form.cleaned_data["reason"])  # fmt: skip
            if _say(request, run, gettext("The amount is changed; it is approved afresh.")):
                return self._back(refund)
        intro = gettext("It is %(money)s now. Approvals given so far become void, and you cannot approve it yourself.")
        return self._form(request, refund, form, gettext("Change the amount"),
                          intro % {"money": money(refund.amount, refund.currency)})  # fmt: skip

    def payout_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Enter what was paid out by hand or booked to a balance."""
        refund = self._whole(request, object_id)
        reason = reason_not(refuse_enter, refund, reader(request))
        if reason:
            messages.error(request, reason)
            return self._back(refund)
        form = PayoutForm(request.POST or None, request.FILES or None, refund=refund)
        if request.method == "POST" and form.is_valid() and self._enter(request, refund, form):
            return self._back(refund)
        intro = gettext("Pay out %(money)s first, then enter it here. Somebody else checks it.")
        return self._form(request, refund, form, gettext("Enter the payout"),
                          intro % {"money": money(refund.amount, refund.currency)}, multipart=True)  # fmt: skip

    @sensitive(looking=True)
    def voucher_view(self, request: HttpRequest, object_id: str, payout_id: int) -> HttpResponse:
        """The voucher of one of this refund's payouts, for who may see the payee."""
        refund = self.fetch(request, object_id)
        if not sees_payee(reader(request)):
            raise PermissionDenied
        payout = Payout.objects.filter(refund_id=refund.pk, pk=payout_id).exclude(voucher="").first()
        if payout is None:
            raise Http404
        return voucher_response(payout)

    @sensitive(when=lambda _page, request, **_more: request.POST.get("decision") in MOVES_MONEY)
    def bulk_view(self, request: HttpRequest) -> HttpResponse:
        """One decision over many refunds; what became of each is shown."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        decision = request.POST.get("decision", "")
        comment = written_reason(request)
        chosen = request.POST.getlist("refund")
        problem = bulk.problem_of(decision, comment, chosen)
        if problem:
            messages.error(request, problem)
            return HttpResponseRedirect(reverse(f"admin:{self.view_name('changelist')}"))
        rows = bulk.decide(self.get_queryset(request), decision, chosen, user=reader(request), comment=comment)
        context = self.page_context(
            request, title=gettext("Result"), act=ACTS[decision], rows=rows, comment=comment,
            done=sum(row.done for row in rows), refused=sum(not row.done for row in rows),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/refund_result.html", context)

    def _whole(self, request: HttpRequest, object_id: str) -> Refund:
        """The refund with everything its page and the services read. Raises Http404, PermissionDenied."""
        return load_refund(self.fetch(request, object_id).pk)

    def _page(self, request: HttpRequest, refund: Refund, answer: Answer | None = None) -> Any:
        """`answer` is what the channel has just said, where it was asked."""
        context = self.page_context(
            request, refund, title=refund.refund_no, answer=answer, **facts.page_facts(refund, reader(request))
        )
        return TemplateResponse(request, "admin/pc/refund.html", context)

    def _form(self, request: HttpRequest, refund: Refund, form: forms.Form, title: str, intro: str,
              *, multipart: bool = False) -> HttpResponse:  # fmt: skip
        context = self.page_context(
            request, refund, title=title, forms=[form], submit=title, intro=intro, multipart=multipart,
            cancel=reverse(f"admin:{self.view_name('change')}", args=[refund.pk]),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/form.html", context)

    def _back(self, refund: Refund) -> HttpResponse:
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[refund.pk]))

    def _enter(self, request: HttpRequest, refund: Refund, form: PayoutForm) -> bool:
        upload, voucher = form.cleaned_data["voucher"], None
        try:
            voucher = VOUCHERS.store(name=upload.name, chunks=upload.chunks()) if upload else None
        except UploadRefused as exc:
            form.add_error("voucher", str(exc))
            return False
        run = partial(
            payout_enter, refund=refund, user=reader(request), reference=form.cleaned_data["reference"],
            payee=form.payee, paid_on=form.cleaned_data["paid_on"], voucher=voucher,
        )  # fmt: skip
        entered = _say(request, run, gettext("Entered. Somebody else has to check it."))
        if voucher is not None and not entered:
            VOUCHERS.drop(voucher.path)
        return entered


def _say(request: HttpRequest, run: Callable[[], Any], done: str) -> bool:
    """Run it and tell the person how it went; whether it was done."""
    try:
        run()
    except TransitionRefused as exc:
        messages.error(request, str(exc))
    except NotPossible:
        messages.error(request, gettext("This is not possible in its present state."))
    else:
        messages.success(request, done)
        return True
    return False
