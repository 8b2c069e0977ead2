"""What staff can do with a refund: the words of each act, the service behind it, and why it is not possible.

The services hold every rule. What is shown as possible is asked of the same checks that the services run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.staff.acts import Act
from paycenter.staff.tenancy import actor_of, tenant_of
from refunds import approvals, payouts, retrying, services
from refunds.models import Decision, Refund, RefundRoute
from refunds.states import RefundState

Run = Callable[[Refund, User, str, int | None], Any]
Check = Callable[[Refund, User], Any]


@dataclass(frozen=True, slots=True)
class RefundAct:
    """`check` raises TransitionRefused where `run` would; `states` are those in which it is worth showing.

    `run` gets the refund, who does it, the comment, and the amount that person saw.
    """

    slug: str
    label: Any
    explanation: Any
    run: Run
    check: Check
    states: tuple[RefundState, ...]
    tone: str = ""
    icon: str = ""
    key: str = ""
    optional: bool = False
    sees_amount: bool = False


def _decides(decision: str) -> Check:
    return lambda refund, user: approvals.refuse_decision(refund, user, decision)


def _converts(route: str) -> Run:
    return lambda refund, user, comment, _seen: retrying.refund_convert(
        refund=refund, user=user, route=route, reason=comment
    )


_UNDER_WAY = (RefundState.PENDING_APPROVAL, RefundState.ON_HOLD, RefundState.APPROVED)
ACTS = {act.slug: act for act in (
    RefundAct(
        "approve", _("Approve"), _("With the last approval needed the money goes back."),
        lambda r, user, comment, seen: approvals.refund_approve(refund=r, user=user, comment=comment, amount=seen),
        _decides(Decision.APPROVE), (RefundState.PENDING_APPROVAL,), "primary", "check", "a", sees_amount=True,
    ),
    RefundAct(
        "release", _("Release"), _("It goes on, and is decided afresh."),
        lambda r, user, comment, _seen: approvals.refund_release(refund=r, user=user, comment=comment),
        _decides(approvals.RELEASE), (RefundState.ON_HOLD,), "primary", "play_arrow", "l",
    ),
    RefundAct(
        "hold", _("Put on hold"), _("It stops for now; its sum stays reserved."),
        lambda r, user, comment, _seen: approvals.refund_hold(refund=r, user=user, comment=comment),
        _decides(Decision.HOLD), (RefundState.PENDING_APPROVAL, RefundState.APPROVED), "", "pause", "h",
    ),
    RefundAct(
        "reject", _("Reject"), _("It ends here; its sum is free again and the app is told with your comment."),
        lambda r, user, comment, _seen: approvals.refund_reject(refund=r, user=user, comment=comment),
        _decides(Decision.REJECT), (RefundState.PENDING_APPROVAL, RefundState.ON_HOLD), "danger", "block", "r",
    ),
    RefundAct(
        "send_again", _("Send again"), _("The channel gets it once more, under the same number."),
        lambda r, user, comment, _seen: retrying.refund_send_again(refund=r, user=user, reason=comment),
        retrying.refuse_send_again, (RefundState.FAILED,), "primary", "replay",
    ),
    RefundAct(
        "by_hand", _("Pay out by hand"), _("Somebody transfers the money and enters it; approved afresh first."),
        _converts(RefundRoute.MANUAL), retrying.refuse_convert, (RefundState.FAILED, *_UNDER_WAY), "",
        "account_balance",
    ),
    RefundAct(
        "to_balance", _("To the payer's balance"), _("The app books it to the payer's balance; approved afresh first."),
        _converts(RefundRoute.BALANCE), retrying.refuse_convert, (RefundState.FAILED, *_UNDER_WAY), "", "savings",
    ),
    RefundAct(
        "give_up", _("Leave as failed"), _("It is not tried again; its sum is free for other refunds."),
        lambda r, user, comment, _seen: retrying.refund_give_up(refund=r, user=user, reason=comment),
        retrying.refuse_give_up, _UNDER_WAY, "danger", "cancel",
    ),
    RefundAct(
        "take_back", _("Take back"), _("You asked for it, and nobody has decided yet."),
        lambda r, user, _comment, _seen: services.refund_cancel(refund=r, actor=actor_of(user), user=user),
        services.refuse_cancel, (RefundState.PENDING_APPROVAL, RefundState.ON_HOLD), "", "undo", optional=True,
    ),
    RefundAct(
        "payout_right", _("Payout is right"), _("You have seen the money arrive; the refund has succeeded."),
        lambda r, user, comment, _seen: payouts.payout_accept(refund=r, user=user, comment=comment),
        payouts.refuse_check, (RefundState.PROCESSING,), "primary", "verified", optional=True,
    ),
    RefundAct(
        "payout_wrong", _("Payout is wrong"), _("It has to be paid out, or entered, once more."),
        lambda r, user, comment, _seen: payouts.payout_refuse(refund=r, user=user, comment=comment),
        payouts.refuse_check, (RefundState.PROCESSING,), "danger", "report",
    ),
)}  # fmt: skip
# Those that let money go: they ask for a fresh code.
MOVES_MONEY = ("approve", "release", "send_again", "payout_right")
# Those that a list does with many at once.
BULK = ("approve", "hold", "release", "reject")


def reader(request: HttpRequest) -> User:
    """Who is signed in; the admin site let nobody else through."""
    return cast(User, request.user)


def reason_not(check: Check, refund: Refund, user: User) -> str:
    """Why the check refuses this person this refund, in words; "" where it does not."""
    try:
        check(refund, user)
    except TransitionRefused as exc:
        return str(exc)
    return ""


def act_run(slug: str, *, refund: Refund, user: User, comment: str, seen: int | None) -> None:
    """Do it. Raises KeyError for an unknown act, TransitionRefused and NotPossible as the services do."""
    ACTS[slug].run(refund, user, comment, seen)


def dialogs_for(refund: Refund, user: User) -> list[tuple[RefundAct, Act]]:
    """The acts with a dialog, in order, each with its button. Acts of states long past are left out, and so is
    what belongs to another kind of refund or to other people altogether."""
    found = []
    for act in ACTS.values():
        if refund.state in act.states and _concerns(act.slug, refund, user):
            reason = reason_not(act.check, refund, user)
            found.append((act, Act(act.label, dialog=f"dialog-{act.slug}", why_not=reason, tone=act.tone,
                                   icon=act.icon, key="" if reason else act.key)))  # fmt: skip
    return found


WORKS_ON_REFUNDS = tuple(f"refunds.{verb}_refund" for verb in ("add", "change", "approve", "send"))


def works_on_refunds(user: User) -> bool:
    """Whether any act on a refund can be this person's: nobody else is shown what is possible and what is not."""
    return tenant_of(user) is None and any(user.has_perm(permission) for permission in WORKS_ON_REFUNDS)


def _concerns(slug: str, refund: Refund, user: User) -> bool:
    if not works_on_refunds(user):
        return False
    by_hand = refund.route != RefundRoute.ORIGINAL
    match slug:
        case "take_back":
            return refund.requested_by_id == user.pk
        case "give_up":
            return refund.sent_at is not None
        case "payout_right" | "payout_wrong":
            return by_hand
        case "by_hand" | "to_balance":
            return not by_hand
        case _:
            return True
