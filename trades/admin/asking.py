"""Asking the channel live about a trade's payments. Its answer is applied on the normal path and shown beside ours."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from channels.base import PaymentState, QueryResult
from merchants.roles import only_looks
from paycenter import trail
from paycenter.staff.acts import Act, Answer, adds_to_page, adds_view
from paycenter.staff.display import money
from paycenter.staff.tenancy import actor_of, tenant_of
from paycenter.transitions import record_event
from trades.admin.acting import why_not_role
from trades.locking import load_attempt
from trades.models import Attempt, Trade
from trades.querying import attempt_query
from trades.states import AttemptState

ASK_PERMISSION = "trades.ask_trade"
ASKED_AT_ONCE = 3  # attempts, the newest: each may take the channel's whole time limit


@adds_to_page(Trade)
def ask_on_trade(request: HttpRequest, trade: Any) -> list[Act]:
    """The button of the center's staff who do something; disabled for whose role may not do this, and while nothing
    was sent to a channel."""
    if tenant_of(request.user) is not None or only_looks(request.user):
        return []
    url = reverse("admin:trades_trade_ask", args=[trade.pk])
    why_not = why_not_role(request.user, ASK_PERMISSION)
    if not why_not and not _sent(trade).exists():
        why_not = _("Nothing was sent to a channel yet.")
    return [Act(_("Ask the channel"), url=url, post=True, why_not=why_not, icon="contact_support", order=30)]


@adds_view(Trade, "ask")
def ask_view(page: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask about the newest attempts now and do what the channel says. POST only."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    trade = page.fetch(request, object_id)
    page.require(request, ASK_PERMISSION)
    asked = list(_sent(trade).order_by("-id").values_list("pk", flat=True)[:ASKED_AT_ONCE])
    if not asked:
        return HttpResponseRedirect(reverse("admin:trades_trade_change", args=[trade.pk]))
    answers = [_ask(pk, actor_of(request.user)) for pk in asked]
    response: HttpResponse = page.trade_page(request, page.fetch(request, object_id), answers=answers)
    return response


def _sent(trade: Trade) -> QuerySet[Attempt]:
    return Attempt.objects.filter(trade=trade).exclude(state=AttemptState.CREATED)


def _ask(attempt_id: int, actor: str) -> Answer:
    before = load_attempt(attempt_id)
    word = attempt_query(attempt_id=attempt_id, actor=actor)
    after = load_attempt(attempt_id)
    trail.compare(before, after)
    state = word.state.value if word is not None else "no_answer"
    record_event(after, "attempt.asked", actor=actor, detail={"word": state})
    return answer_of(before, word, after)


def answer_of(before: Attempt, word: QueryResult | None, after: Attempt) -> Answer:
    """The channel's answer in one form for all channels, next to what was known here before it was asked."""
    if word is None:
        silent = _("The channel gave no usable answer. Nothing was changed.")
        return Answer([], silent, good=False, of=before.attempt_no)
    rows = [row for row in _rows(before, word) if row[1] or row[2]]
    changed = after.state != before.state
    if changed:
        outcome = _("Done as the channel says: %(state)s.") % {"state": after.get_state_display()}
    elif any(differs for *_both, differs in rows):
        outcome = _("It differs, and nothing could be changed by itself.")
    else:
        outcome = _("Both sides agree.")
    return Answer(rows, outcome, good=changed or not any(row[3] for row in rows), of=before.attempt_no)


def _rows(before: Attempt, word: QueryResult) -> list[tuple[Any, str, str, bool]]:
    paid = before.state == AttemptState.SUCCEEDED
    amount = before.paid_amount if paid else before.amount
    ours = money(amount, (before.paid_currency if paid else before.currency) or before.currency)
    theirs = money(word.amount.minor, word.amount.currency) if word.amount is not None else ""
    own, other = before.channel_trade_no or "", word.channel_trade_no or ""
    return [
        (_("State"), before.get_state_display(), _word(word.state), before.state not in _SAME[word.state]),
        (_("Amount"), ours, theirs, bool(theirs) and theirs != ours),
        (_("channel's number"), own, other, bool(own and other) and own != other),
        (_("Paid at"), _time(before.paid_at), _time(word.paid_at), False),
        (_("Refunded"), "", money(word.refunded.minor, word.refunded.currency) if word.refunded else "", False),
        (_("channel's word"), before.channel_state, " ".join(filter(None, (word.channel_state, word.message))), False),
    ]


# Our states with which each word of a channel agrees. It knows nothing of what was never paid there.
_OPEN = (AttemptState.SUBMITTED, AttemptState.UNKNOWN)
_ENDED = (AttemptState.CLOSED, AttemptState.FAILED)
_SAME = {
    PaymentState.NOT_FOUND: (*_OPEN, *_ENDED), PaymentState.UNPAID: _OPEN,
    PaymentState.PAID: (AttemptState.SUCCEEDED,), PaymentState.CLOSED: _ENDED, PaymentState.FAILED: _ENDED,
}  # fmt: skip


def _word(state: PaymentState) -> str:
    return {
        PaymentState.NOT_FOUND: _("has no such payment"), PaymentState.UNPAID: _("not paid"),
        PaymentState.PAID: _("paid"), PaymentState.CLOSED: _("closed"), PaymentState.FAILED: _("failed"),
    }[state]  # fmt: skip


def _time(moment: Any) -> str:
    return date_format(localtime(moment), "Y-m-d H:i:s") if moment else ""
