"""Writes of refunds: asking for one and taking it back. Every entrance (API, admin, policy) uses these.

Whoever asks, the sum is checked and reserved under the lock of the row it comes from, before anything
else happens; the channel is called later, by `refunds.sending`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from channels.base.discovery import provider_for
from merchants.api.errors import BadParameter, ContentDiffers, NotPossible, RefundExceeds
from merchants.models import App, User
from notifications.alerts import alert
from paycenter.errors import TransitionRefused
from paycenter.numbers import NumberKind, new_number
from paycenter.staff.tenancy import actor_of, is_foreign
from paycenter.turns import turn_for
from paycenter.wakeup import wake
from refunds import sums
from refunds.leaving import going_back
from refunds.models import Refund, RefundKind, RefundPolicy, RefundRoute, RefundSource, RefundType
from refunds.policies import approvals_needed, policy_for
from refunds.selectors import find_refund
from refunds.states import UNDECIDED_STATES, RefundState
from refunds.telling import refund_advance, refund_recorded
from trades.accepting import lock_abnormal
from trades.models import AbnormalKind, AbnormalPayment, Trade
from trades.refund_port import GOING_BACK
from trades.selectors import trade_get
from trades.states import AbnormalState, TradeState

SEND_TASK = "refunds.tasks.send_due"
ASK_PERMISSION = "refunds.add_refund"


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundRequest:
    """What an app asks for, validated. `attempt_no` names an abnormal payment of the trade by its attempt."""

    merchant_no: str
    trade_no: str
    app_refund_no: str
    amount: int
    reason: str
    payment_no: str | None = None
    attempt_no: str | None = None
    notify_url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A refund as its asker wants it, whoever that is."""

    amount: int
    reason: str
    source: str
    actor: str
    route: str = RefundRoute.ORIGINAL
    app_refund_no: str | None = None
    notify_url: str = ""
    user: User | None = None
    seen_version: int | None = None


def refund_request_by_app(*, app: App, request: RefundRequest) -> Refund:
    """Take an app's refund; the same number again answers the same refund. The channel is not called here.

    Raises NotFound, BadParameter, ContentDiffers, NotPossible, RefundExceeds, in this order.
    """
    trade = trade_get(app=app, trade_no=request.trade_no, merchant_no=request.merchant_no)
    abnormal = _named_abnormal(trade, request)
    _check_account(trade, abnormal, request.payment_no)
    known = _known(app, trade, request)
    if known is not None:
        return known
    asked = _Asked(
        amount=request.amount, reason=request.reason, source=RefundSource.API, actor=f"app:{app.app_id}",
        app_refund_no=request.app_refund_no, notify_url=request.notify_url,
    )  # fmt: skip
    try:
        with turn_for(f"refund:{trade.pk}"), transaction.atomic():
            return _take(trade.pk, abnormal.pk if abnormal else None, asked, request)
    except IntegrityError:  # the same number for another trade, at the same moment
        known = _known(app, trade, request)
        if known is None:
            raise
        return known


@transaction.atomic
def refund_request_by_staff(
    *, trade: Trade, abnormal: AbnormalPayment | None, amount: int, reason: str, user: User,
    route: str = RefundRoute.ORIGINAL, seen_version: int | None = None,
) -> Refund:  # fmt: skip
    """Ask for a refund in the admin; whoever asks cannot approve it.

    `seen_version` is the version of the trade or abnormal payment that the form was made from: a form that is
    sent twice asks once. Raises TransitionRefused for whose role may not and where the payment changed since,
    NotPossible and RefundExceeds.
    """
    if is_foreign(user, trade) or not user.has_perm(ASK_PERMISSION):
        raise TransitionRefused(_("Your role may not ask for refunds."), state=str(trade.state))
    asked = _Asked(amount=amount, reason=reason, source=RefundSource.ADMIN, actor=actor_of(user),
                   route=route, user=user, seen_version=seen_version)  # fmt: skip
    return _take(trade.pk, abnormal.pk if abnormal else None, asked, None)


@transaction.atomic
def refund_request_by_policy(*, abnormal: AbnormalPayment) -> Refund | None:
    """Ask for what is left of an abnormal payment because the policy says so; None when nothing is."""
    trade, _attempt, locked = lock_abnormal(abnormal.pk)
    if locked.refundable_amount == 0:
        return None
    asked = _Asked(amount=locked.refundable_amount, reason=str(locked.get_kind_display())[:128],
                   source=RefundSource.POLICY, actor="policy")  # fmt: skip
    return _take(trade.pk, locked.pk, asked, None)


def _take(trade_id: int, abnormal_id: int | None, asked: _Asked, request: RefundRequest | None) -> Refund:
    """Check, reserve and record under the source's lock. Must run inside `atomic`."""
    abnormal: AbnormalPayment | None = None
    if abnormal_id is None:
        trade = sums.lock_trade(trade_id)
    else:
        trade, _attempt, abnormal = lock_abnormal(abnormal_id)
    source: sums.Source = trade if abnormal is None else abnormal
    if request is not None:
        known = _known(trade.app, trade, request)
        if known is not None:
            return known
    if asked.seen_version not in (None, source.version):
        raise TransitionRefused(_("The payment changed since you looked; please look again."), state=str(source.state))
    currency = trade.currency if abnormal is None else abnormal.currency
    policy = policy_for(trade.app, trade.merchant, currency)
    _refuse_unless_refundable(trade, abnormal, policy, asked)
    if asked.amount > source.refundable_amount:
        raise RefundExceeds(data={"refundable": source.refundable_amount})
    _refuse_what_may_leave(source, asked)
    sums.reserve(source, asked.amount, actor=asked.actor)
    refund = _record(trade, abnormal, currency, asked)
    _decide_automatically(refund, policy)
    return refund


def _record(trade: Trade, abnormal: AbnormalPayment | None, currency: str, asked: _Asked) -> Refund:
    number, now = new_number(NumberKind.REFUND), timezone.now()
    attempt = abnormal.attempt if abnormal is not None else trade.settled_attempt
    if attempt is None:
        raise NotPossible
    whole = sums.paid_of(trade if abnormal is None else abnormal)
    refund = Refund(
        refund_no=number, channel_request_no=number, app=trade.app, merchant=trade.merchant, trade=trade,
        attempt=attempt, abnormal=abnormal, account_id=attempt.account_id, channel=attempt.channel,
        app_refund_no=asked.app_refund_no, amount=asked.amount, requested_amount=asked.amount, currency=currency,
        reason=asked.reason, type=RefundType.FULL if asked.amount == whole else RefundType.PARTIAL,
        kind=_kind(abnormal), route=_route(attempt.channel, asked.route), source=asked.source,
        notify_url=asked.notify_url, requested_by=asked.user, requested_at=now,
    )  # fmt: skip
    refund.save(force_insert=True)
    sums.attach(refund, trade, abnormal)
    refund_recorded(refund, actor=asked.actor, reason=asked.reason)
    return refund


def _decide_automatically(refund: Refund, policy: RefundPolicy) -> None:
    """Approved at once where the policy asks for nobody; else those who approve are told."""
    now = timezone.now()
    # Staff who ask never have their own request waved through.
    by_policy, people = refund.source == RefundSource.POLICY, refund.source == RefundSource.ADMIN
    refund.approvals_needed = approvals_needed(
        policy, refund.amount, refund.currency, now=now, by_policy=by_policy, people=people
    )
    if refund.approvals_needed > 0:
        refund.save(update_fields=["approvals_needed"])
        tell_approvers(refund)
        return
    refund_clear(refund, policy, actor="policy", fields=("approvals_needed",))


def refund_clear(refund: Refund, policy: RefundPolicy, *, actor: str, fields: tuple[str, ...] = ()) -> None:
    """Move a locked refund to `approved` and make its sending due; a payout by hand waits for people instead."""
    now = timezone.now()
    refund.approved_at = now
    refund.next_expiry_at = now + timedelta(hours=policy.approval_hours)
    if refund.route == RefundRoute.ORIGINAL:
        refund.next_send_at = now
        transaction.on_commit(lambda: wake(SEND_TASK), robust=True)
    refund_advance(refund, "approve", actor=actor, fields=("approved_at", "next_expiry_at", "next_send_at", *fields))


def tell_approvers(refund: Refund) -> None:
    """A notice to whoever may approve."""
    alert(
        kind="approval", key=f"refund-approval:{refund.refund_no}:{refund.round}",
        title=gettext_noop("A refund waits for approval"),
        text=gettext_noop("%(money)s for trade %(trade_no)s: %(reason)s"),
        context={"money": refund.money, "trade_no": refund.trade.trade_no, "reason": refund.reason},
        merchant_no=refund.merchant.merchant_no, trade_no=refund.trade.trade_no, record=refund,
    )  # fmt: skip


@transaction.atomic
def refund_cancel(*, refund: Refund, actor: str, user: User | None = None) -> Refund:
    """Take back what nobody has decided on. Raises NotPossible in any other state; cancelling again is the same.

    Staff (`user`) take back what they asked for themselves. Raises TransitionRefused for anything else of theirs.
    """
    source, locked = sums.lock_refund(refund.pk)
    if user is not None:
        refuse_cancel(locked, user)
    if locked.state == RefundState.CANCELLED:
        return locked
    if locked.state not in UNDECIDED_STATES or locked.sent_at is not None:
        raise NotPossible
    end_unsent(source, locked, "cancel", actor=actor)
    return locked


def refuse_cancel(refund: Refund, user: User) -> None:
    """Raises TransitionRefused unless this staff member may take the refund back now."""
    if refund.requested_by_id != user.pk:
        raise TransitionRefused(_("Only the person who asked for it can take it back."), state=str(refund.state))
    if refund.state not in UNDECIDED_STATES or refund.sent_at is not None:
        raise TransitionRefused(_("It was decided on already."), state=str(refund.state))


def end_unsent(source: sums.Source, refund: Refund, transition: str, *, actor: str, reason: str = "") -> None:
    """Reject or cancel a locked refund and free its sum."""
    refund.finished_at, refund.next_expiry_at, refund.next_send_at = timezone.now(), None, None
    if transition == "reject":
        refund.error_message = reason[:256]
    sums.free(source, refund.amount, actor=actor)
    refund_advance(refund, transition, actor=actor, reason=reason,
                   fields=("finished_at", "next_expiry_at", "next_send_at", "error_message"))  # fmt: skip


def _named_abnormal(trade: Trade, request: RefundRequest) -> AbnormalPayment | None:
    if request.attempt_no is None:
        return None
    rows = AbnormalPayment.objects.select_related("attempt", "account")
    found = rows.filter(trade=trade, attempt__attempt_no=request.attempt_no).order_by("-id").first()
    if found is None:
        raise BadParameter({"attempt_no": ["no abnormal payment of this trade"]})
    return found


def _check_account(trade: Trade, abnormal: AbnormalPayment | None, payment_no: str | None) -> None:
    if payment_no is None:
        return
    attempt = abnormal.attempt if abnormal is not None else trade.settled_attempt
    if attempt is not None and attempt.account.payment_no != payment_no:
        raise BadParameter({"payment_no": ["the money did not come through this account"]})


def _known(app: App, trade: Trade, request: RefundRequest) -> Refund | None:
    """The refund this number was used for already. Raises ContentDiffers when that was another one."""
    found = find_refund(app, trade.merchant, request.app_refund_no)
    if found is None:
        return None
    attempt_no = found.attempt.attempt_no if found.abnormal_id is not None else None
    theirs = (request.trade_no, request.attempt_no, request.amount)
    if (found.trade.trade_no, attempt_no, found.requested_amount) != theirs:
        raise ContentDiffers
    return found


def _refuse_unless_refundable(
    trade: Trade, abnormal: AbnormalPayment | None, policy: RefundPolicy, asked: _Asked
) -> None:
    if abnormal is None:
        possible, paid_at = trade.state == TradeState.PAID, trade.paid_at
    else:
        possible = abnormal.state in (AbnormalState.OPEN, AbnormalState.REFUNDING, AbnormalState.REFUNDED)
        paid_at = abnormal.paid_at
    if not possible:
        raise NotPossible("this money cannot be refunded in its present state")
    # Money that should never have come may go back at any time; so may what staff decide on.
    limited = abnormal is None and asked.source == RefundSource.API
    if limited and paid_at is not None and paid_at + timedelta(days=policy.window_days) < timezone.now():
        raise NotPossible("the refund window is over")


def _refuse_what_may_leave(source: sums.Source, asked: _Asked) -> None:
    """What the channel may be giving back already is not given back a second time; its answer decides."""
    if asked.amount <= source.refundable_amount - going_back(source):
        return
    if asked.user is not None:
        raise TransitionRefused(str(GOING_BACK), state=str(source.state))
    raise NotPossible("the channel may be giving this money back already; ask again when its answer is known")


def _kind(abnormal: AbnormalPayment | None) -> str:
    if abnormal is None:
        return RefundKind.BUSINESS
    return RefundKind.DUPLICATE if abnormal.kind == AbnormalKind.DUPLICATE else RefundKind.ABNORMAL


def _route(channel: str, wanted: str) -> str:
    """Where a channel gives nothing back on a call, people pay it out."""
    if wanted == RefundRoute.ORIGINAL and not provider_for(channel).can_refund:
        return RefundRoute.MANUAL
    return wanted
