"""Why somebody should look twice at a refund. Hints decide nothing; they are words beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from refunds.models import Refund, RefundRoute, RefundSource
from refunds.states import RefundState

WEEK = timedelta(days=7)
SOON = timedelta(minutes=10)
OFTEN = 3  # refunds within a week
LARGE = 5  # times the usual amount
PARTS = 3  # automatic parts that together give back most of a payment


@dataclass(frozen=True, slots=True)
class Hint:
    """`short` fits a list; `text` says it in full."""

    short: str
    text: str


@dataclass(frozen=True, slots=True)
class Past:
    """Another refund of the same trade. Amounts in minor units."""

    pk: int
    abnormal_id: int | None
    amount: int
    currency: str
    state: str
    approvals_needed: int
    requested_at: datetime

    @property
    def counts(self) -> bool:
        """Whether it gave or may still give money back."""
        return self.state not in (RefundState.REJECTED, RefundState.CANCELLED, RefundState.FAILED)


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for the app at this merchant: the median refund (0: too few to say), and how many refunds of
    the last week went to payers with the same last digits of the phone, this one included."""

    median: int = 0
    same_tail_in_week: int = 0


def hints_of(refund: Refund, of_trade: Iterable[Past], usual: Usual) -> tuple[Hint, ...]:
    """All hints about one refund; `of_trade` are the refunds of its trade, itself among them."""
    past = list(of_trade)
    found = (
        _often(refund, past), _same_payer(refund, usual), _parts(refund, past), _soon(refund), _large(refund, usual),
        _elsewhere(refund), _other_payer(refund),
    )  # fmt: skip
    return tuple(hint for hint in found if hint is not None)


def _often(refund: Refund, past: list[Past]) -> Hint | None:
    since = refund.requested_at - WEEK
    count = sum(since <= p.requested_at <= refund.requested_at and p.state != RefundState.CANCELLED for p in past)
    if count < OFTEN:
        return None
    return Hint(_("%(n)d× this week") % {"n": count},
                _("Within seven days this is refund number %(n)d of the same trade.") % {"n": count})  # fmt: skip


def _same_payer(refund: Refund, usual: Usual) -> Hint | None:
    if usual.same_tail_in_week < OFTEN:
        return None
    values = {"n": usual.same_tail_in_week, "tail": refund.trade.phone_tail}
    return Hint(_("payer %(n)d× this week") % values,
                _("Within seven days %(n)d refunds went to payers with phone tail %(tail)s.") % values)  # fmt: skip


def _parts(refund: Refund, past: list[Past]) -> Hint | None:
    """Most of a payment given back in parts so small that nobody had to approve them."""
    parts = [
        p for p in past
        if p.abnormal_id == refund.abnormal_id and p.counts and p.pk <= refund.pk
        and (p.approvals_needed == 0 or p.pk == refund.pk)
    ]  # fmt: skip
    paid = refund.trade.paid_amount if refund.abnormal is None else refund.abnormal.amount
    total = sum(p.amount for p in parts)
    if len(parts) < PARTS or refund.source == RefundSource.EXTERNAL or 2 * total <= paid:
        return None
    values = {"n": len(parts), "percent": 100 * total // paid}
    return Hint(_("%(n)d small parts") % values,
                _("%(n)d refunds, each small enough to need no approval or this one, give back %(percent)d %% of the "
                  "payment.") % values)  # fmt: skip


def _soon(refund: Refund) -> Hint | None:
    paid_at = refund.trade.paid_at if refund.abnormal is None else refund.abnormal.paid_at
    if paid_at is None or not timedelta() <= refund.requested_at - paid_at < SOON:
        return None
    minutes = int((refund.requested_at - paid_at).total_seconds() // 60)
    if minutes == 0:
        return Hint(_("right after payment"), _("It was asked for within a minute of the payment."))
    return Hint(_("%(minutes)d min after payment") % {"minutes": minutes},
                _("It was asked for %(minutes)d minutes after the payment.") % {"minutes": minutes})  # fmt: skip


def _large(refund: Refund, usual: Usual) -> Hint | None:
    if not usual.median or refund.amount < LARGE * usual.median:
        return None
    times = refund.amount // usual.median
    return Hint(_("%(times)d× the usual") % {"times": times},
                _("It is %(times)d times the app's usual refund of the last 30 days.") % {"times": times})  # fmt: skip


def _elsewhere(refund: Refund) -> Hint | None:
    if refund.route == RefundRoute.ORIGINAL:
        return None
    return Hint(_("another account"),
                _("It does not go back the way the money came, but to an account named by staff."))  # fmt: skip


def _other_payer(refund: Refund) -> Hint | None:
    """Of money paid twice: whether it came from somebody else than what settled the trade. Channels name payers
    in their own ways, so only payments through the same one are compared."""
    settled = refund.trade.settled_attempt
    if refund.abnormal is None or settled is None or settled.channel != refund.channel:
        return None
    ours, theirs = refund.abnormal.attempt.payer_id, settled.payer_id
    if not ours or not theirs or ours == theirs:
        return None
    return Hint(_("another payer"), _("This money came from another payer's account than the payment of the trade."))
