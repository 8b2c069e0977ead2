"""Payouts by hand (线下打款) and to the payer's balance: one person pays and says so, another one checks it.

The center moves no money here. It keeps the same sums as for every refund, and who said what.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.staff.tenancy import actor_of, is_foreign
from paycenter.uploads import StoredFile
from refunds import sums
from refunds.approvals import require_comment
from refunds.models import Payout, Refund, RefundRoute
from refunds.retrying import SEND_PERMISSION
from refunds.states import RefundState
from refunds.telling import refund_advance


@transaction.atomic
def payout_enter(
    *, refund: Refund, user: User, reference: str, payee: Mapping[str, str], paid_on: date,
    voucher: StoredFile | None,
) -> Payout:  # fmt: skip
    """Say that an approved refund was paid out; the voucher is needed for a payout by hand.

    `payee` has the keys `name`, `account`, `bank`, as far as they apply. Raises TransitionRefused.
    """
    _source, locked = sums.lock_refund(refund.pk)
    refuse_enter(locked, user)
    if locked.route == RefundRoute.MANUAL and voucher is None:
        raise TransitionRefused(_("Please add the bank's voucher."), state=locked.state)
    if not reference.strip():
        raise TransitionRefused(_("Please give the reference of the payout."), state=locked.state)
    today = timezone.localdate()
    if paid_on > today:
        raise TransitionRefused(_("The payout lies in the future."), state=locked.state)
    payout = Payout(
        refund=locked, reference=reference.strip()[:64], paid_on=paid_on, entered_by=user, entered_at=timezone.now(),
        voucher=voucher.path if voucher else "", voucher_name=voucher.name if voucher else "",
        voucher_sha256=voucher.sha256 if voucher else "",
    )  # fmt: skip
    payout.payee = dict(payee)
    payout.save()
    locked.next_expiry_at = None
    refund_advance(locked, "start", actor=actor_of(user), reason=payout.reference, fields=("next_expiry_at",))
    return payout


@transaction.atomic
def payout_accept(*, refund: Refund, user: User, comment: str) -> Refund:
    """Confirm what somebody else paid out: the refund has succeeded. Raises TransitionRefused."""
    source, locked = sums.lock_refund(refund.pk)
    _check(refuse_check(locked, user), user, comment, accepted=True)
    locked.finished_at = timezone.now()
    sums.settle(source, locked.amount, actor=actor_of(user))
    refund_advance(locked, "succeed", actor=actor_of(user), reason=comment, fields=("finished_at",),
                   detail={"amount": locked.amount, "currency": locked.currency})  # fmt: skip
    return locked


@transaction.atomic
def payout_refuse(*, refund: Refund, user: User, comment: str) -> Refund:
    """Say that the payout is not right; it has to be entered again. Raises TransitionRefused."""
    _source, locked = sums.lock_refund(refund.pk)
    payout = refuse_check(locked, user)
    require_comment(locked, comment)
    _check(payout, user, comment, accepted=False)
    refund_advance(locked, "pay_out_again", actor=actor_of(user), reason=comment)
    return locked


def refuse_enter(refund: Refund, user: User) -> None:
    """Raises TransitionRefused unless this person may enter a payout of this refund now."""
    _require(user, refund, RefundState.APPROVED)


def refuse_check(refund: Refund, user: User) -> Payout:
    """The payout that waits to be checked. Raises TransitionRefused unless this person may check it now.

    The refund's lock guards it: whoever checks a payout locks its refund first.
    """
    _require(user, refund, RefundState.PROCESSING)
    payout = Payout.objects.get(refund=refund, accepted__isnull=True)
    if payout.entered_by_id == user.pk:
        raise TransitionRefused(_("Somebody else has to check what you paid out."), state=refund.state)
    return payout


def _check(payout: Payout, user: User, comment: str, *, accepted: bool) -> None:
    payout.checked_by, payout.checked_at, payout.accepted = user, timezone.now(), accepted
    payout.comment = comment.strip()[:300]
    payout.save(update_fields=["checked_by", "checked_at", "accepted", "comment"])


def _require(user: User, refund: Refund, state: RefundState) -> None:
    if is_foreign(user, refund) or not user.has_perm(SEND_PERMISSION):
        raise TransitionRefused(_("Your role may not do this."), state=refund.state)
    if refund.route == RefundRoute.ORIGINAL or refund.state != state:
        raise TransitionRefused(_("There is nothing to pay out now."), state=refund.state)
