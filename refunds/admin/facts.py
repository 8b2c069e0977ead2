"""Everything a refund's page shows, in the reader's words. Tenants get no names of our staff."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from channels.base import RefundState as Word
from channels.base.discovery import providers
from merchants.forms import method_label, say
from merchants.models import User
from paycenter.staff.acts import Act, Answer
from paycenter.staff.display import chip, money
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import actor_of, tenant_of
from paycenter.staff.words import actor_word, names_states
from refunds import sums
from refunds.admin.acts import dialogs_for, reason_not, works_on_refunds
from refunds.admin.listing import payer_mask, refund_chip
from refunds.admin.payouts import payee_lines, sees_payee
from refunds.approvals import refuse_amount_change
from refunds.confirm import Booked
from refunds.models import Approval, Decision, Refund, RefundRoute
from refunds.payouts import refuse_enter
from refunds.sending import Asked
from refunds.states import UNDECIDED_STATES, RefundState
from refunds.timeline import refund_timeline
from refunds.worklist import facts_of

names_states(RefundState.choices, of="refund")
ASK_PERMISSION = "refunds.add_refund"
OTHERS = 20
_TONES = {Decision.APPROVE: "good", Decision.HOLD: "warn", Decision.REJECT: "bad"}


def page_facts(refund: Refund, user: User) -> dict[str, Any]:
    """The context of the page, except what is the same on every page."""
    center = tenant_of(user) is None
    beside = facts_of([refund], user)[refund.pk]
    dialogs = dialogs_for(refund, user)
    acts = [button for _act, button in dialogs] + (_links(refund, user) if works_on_refunds(user) else [])
    return {
        "refund": refund, "center": center, "state_chip": refund_chip(refund), "figures": _figures(refund),
        "payer": payer_mask(refund), "method": method_label(refund.attempt.method), "channel_name": _channel(refund),
        "held": reason_word(refund.held_because), "reason": reason_word(refund.reason),
        "channel_says": [reason_word(text) for text in (refund.error_code, refund.error_message) if text],
        "hints": beside.hints if center else (), "given": beside.given,
        "approvals": _approvals(refund, center), "payouts": _payouts(refund, user), "others": _others(refund),
        "timeline": refund_timeline(
            refund, with_exchanges=center and user.has_perm("paycenter.view_exchange"), with_staff=center
        ),
        "dialogs": [act for act, button in dialogs if not button.why_not],
        "acts": [act for act in acts if not act.why_not and _first(act)],
        "more": [act for act in acts if not act.why_not and not _first(act)],
        "blocked": [act for act in acts if act.why_not],
        "seen": str(refund.amount),
        "requested_by": refund.requested_by if center else None, "changed_by": refund.changed_by if center else None,
    }  # fmt: skip


def _first(act: Act) -> bool:
    """Whether the button belongs to the head of the page: what one comes for, not what is possible besides."""
    return bool(act.key or act.tone or act.post)


def _figures(refund: Refund) -> list[tuple[str, str, str]]:
    """(word, amount, note): this refund, and the sums of the money it comes from."""
    source: sums.Source = refund.trade if refund.abnormal is None else refund.abnormal
    asked = _("asked for %(money)s") % {"money": money(refund.requested_amount, refund.currency)}
    found = [
        (_("This refund"), refund.amount, asked if refund.requested_amount != refund.amount else ""),
        (_("Paid"), sums.paid_of(source), ""), (_("Refunded"), source.refunded_amount, ""),
        (_("Refunding"), source.refunding_amount, ""),
        *([(_("Refunded outside"), source.external_refunded, "")] if source.external_refunded else []),
        (_("Still refundable"), source.refundable_amount, ""),
    ]  # fmt: skip
    return [(word, money(amount, refund.currency), note) for word, amount, note in found]


def _channel(refund: Refund) -> str:
    provider = providers().get(refund.channel)
    return say(provider.name) if provider else refund.channel


def _approvals(refund: Refund, center: bool) -> list[dict[str, Any]]:
    """All rounds, the newest first. Only approvals of the present round over the present amount count."""
    rows = Approval.objects.filter(refund=refund).select_related("approver").order_by("-round", "-decided_at")
    return [
        {
            "round": a.round, "decision": chip(a.get_decision_display(), _TONES[Decision(a.decision)]),
            "who": actor_word(actor_of(a.approver), with_staff=center), "at": a.decided_at,
            "amount": money(a.amount, refund.currency), "comment": a.comment,
            "void": a.decision == Decision.APPROVE and (a.round, a.amount) != (refund.round, refund.amount),
        }
        for a in rows
    ]  # fmt: skip


def _payouts(refund: Refund, user: User) -> list[dict[str, Any]]:
    whole, center = sees_payee(user), tenant_of(user) is None
    rows = refund.payouts.select_related("entered_by", "checked_by").order_by("-id")
    verdicts = {None: chip(_("to be checked"), "warn"), True: chip(_("right"), "good"), False: chip(_("wrong"), "bad")}
    return [
        {
            "row": p, "payee": payee_lines(p, whole=whole), "verdict": verdicts[p.accepted], "names": center,
            "voucher": whole and p.voucher and reverse("admin:refunds_refund_voucher", args=[refund.pk, p.pk]),
        }
        for p in rows
    ]  # fmt: skip


def _others(refund: Refund) -> list[dict[str, Any]]:
    """The other refunds of the trade, the newest."""
    rows = Refund.objects.filter(trade_id=refund.trade_id).exclude(pk=refund.pk).order_by("-id")[:OTHERS]
    return refund_rows(rows)


def refund_rows(rows: Any) -> list[dict[str, Any]]:
    """Refunds as a short table shows them."""
    return [
        {"row": r, "amount": money(r.amount, r.currency), "state": refund_chip(r), "reason": reason_word(r.reason)}
        for r in rows
    ]  # fmt: skip


def why_not_ask(refund: Refund, user: User) -> str:
    """Why this person cannot have the channel asked about this refund now; "" when they can."""
    if tenant_of(user) is not None or not user.has_perm(ASK_PERMISSION):
        return _("Your role may not do this.")
    return "" if refund.sent_at is not None else _("It was not sent to the channel yet.")


def _links(refund: Refund, user: User) -> list[Act]:
    """The acts that have a page of their own, or need no comment."""
    by_hand = refund.route != RefundRoute.ORIGINAL
    found = []
    if by_hand and refund.state == RefundState.APPROVED:
        url = reverse("admin:refunds_refund_payout", args=[refund.pk])
        reason = reason_not(refuse_enter, refund, user)
        found.append(Act(_("Enter the payout"), url=url, why_not=reason, tone="primary", icon="upload_file"))
    if refund.sent_at is not None or not by_hand:
        url, reason = reverse("admin:refunds_refund_ask", args=[refund.pk]), why_not_ask(refund, user)
        found.append(Act(_("Ask the channel"), url=url, post=True, why_not=reason, icon="contact_support"))
    if refund.state in (*UNDECIDED_STATES, RefundState.APPROVED):
        url = reverse("admin:refunds_refund_amount", args=[refund.pk])
        reason = reason_not(refuse_amount_change, refund, user)
        found.append(Act(_("Change the amount"), url=url, why_not=reason, icon="edit"))
    return found


def answer_facts(before: Refund, asked: Asked) -> Answer:
    """The channel's answer in one form for all channels, next to what was known here before it was asked."""
    word = asked.word
    if word is None:
        return Answer([], _("The channel gave no usable answer. It is asked again by itself."), good=False)
    agrees = _SAME.get(word.state, (str(before.state),))
    amount = "" if word.amount is None else money(word.amount.minor, word.amount.currency)
    ours = money(before.amount, before.currency)
    rows = [
        (_("State"), before.get_state_display(), _word(word.state), before.state not in agrees),
        (_("Amount"), ours, amount, bool(amount) and amount != ours),
        (_("channel's refund number"), before.channel_refund_no or "", word.channel_refund_no or "",
         bool(before.channel_refund_no) and before.channel_refund_no != word.channel_refund_no),
        (_("Finished at"), _time(before.finished_at), _time(word.finished_at), False),
        (_("channel's word"), before.channel_state, word.channel_state, False),
        (_("Code and message"), f"{before.error_code} {before.error_message}".strip(),
         f"{word.code} {word.message}".strip(), False),
    ]  # fmt: skip
    return Answer([row for row in rows if row[1] or row[2]], _outcome(asked.booked), asked.booked != Booked.REFUSED)


# Our states with which each word of a channel agrees.
_SAME = {
    Word.SUCCEEDED: ("succeeded",), Word.FAILED: ("failed",), Word.PROCESSING: ("processing",),
    Word.ATTENTION: ("processing",),
}  # fmt: skip


def _word(state: Word) -> str:
    return {
        Word.NOT_FOUND: _("has no such refund"), Word.PROCESSING: _("under way"),
        Word.ATTENTION: _("stuck until a person acts"), Word.SUCCEEDED: _("refunded"), Word.FAILED: _("failed"),
    }[state]  # fmt: skip


def _outcome(booked: Booked | None) -> str:
    return {
        Booked.SUCCEEDED: _("Booked: the money went back."), Booked.FAILED: _("Booked: it failed at the channel."),
        Booked.OPEN: _("It is still under way, and is asked about again by itself."),
        Booked.UNSEEN: _("It is sent again under the same number as soon as that is safe."),
        Booked.REPEATED: _("Nothing new."), None: "",
        Booked.REFUSED: _("That contradicts what is known here. Nothing was booked, and an alert was raised."),
    }[booked]  # fmt: skip


def _time(moment: Any) -> str:
    return date_format(localtime(moment), "Y-m-d H:i:s") if moment else ""
