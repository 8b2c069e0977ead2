"""Stopping refunds that no longer fit, because money went back that nothing here had reserved."""

from __future__ import annotations

from django.utils.translation import gettext_noop

from notifications.alerts import alert
from paycenter.money import Money
from refunds import sums
from refunds.models import Refund
from refunds.states import RefundState
from refunds.telling import refund_advance
from trades.models import AbnormalPayment

_UNSENT = (RefundState.PENDING_APPROVAL, RefundState.APPROVED)
GIVEN_BACK_ALREADY = gettext_noop("the bank or the channel's console gave some of it back already")


def refund_hold_by_system(refund: Refund, because: str, actor: str) -> None:
    """Put a locked refund that is not sent on hold because of a difference; people see why and decide afresh."""
    refund.held_because, refund.next_send_at, refund.next_expiry_at = because[:300], None, None
    refund.round += 1
    refund_advance(refund, "hold", actor=actor, reason=because,
                   fields=("held_because", "next_send_at", "next_expiry_at", "round"))  # fmt: skip


def no_longer_fits(source: sums.Source, leaving: int = 0) -> bool:
    """Whether what is reserved and what went back, or may be `leaving`, exceed together what was paid."""
    gone = source.refunded_amount + source.external_refunded + leaving
    return source.refunding_amount + gone > sums.paid_of(source)


def after_external(source: sums.Source, refund: Refund, actor: str) -> None:
    """An external refund was counted on its locked source: hold what does not fit, alert what exceeds it."""
    excess = source.refunded_amount + source.external_refunded - sums.paid_of(source)
    if excess > 0:
        _alert_excess(refund, excess)
    if no_longer_fits(source):
        _hold_unsent(source, refund, actor)


def _hold_unsent(source: sums.Source, refund: Refund, actor: str) -> None:
    rows = Refund.objects.select_for_update(of=("self",)).filter(
        trade_id=refund.trade_id, abnormal_id=refund.abnormal_id, state__in=_UNSENT
    )
    for waiting in rows.order_by("-id"):
        sums.attach(waiting, refund.trade, source if isinstance(source, AbnormalPayment) else None)
        refund_hold_by_system(waiting, GIVEN_BACK_ALREADY, actor)


def _alert_excess(refund: Refund, excess: int) -> None:
    alert(
        kind="anomaly", key=f"refund-excess:{refund.trade.trade_no}", severity="critical",
        title=gettext_noop("More was given back than was paid"),
        text=gettext_noop("Trade %(trade_no)s: %(money)s too much"),
        context={"trade_no": refund.trade.trade_no, "money": Money(excess, refund.currency)},
        merchant_no=refund.merchant.merchant_no, trade_no=refund.trade.trade_no, record=refund.trade,
    )  # fmt: skip
