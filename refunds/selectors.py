"""Reading refunds: what an app may see of its own, and what the channel would be asked about."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from merchants.api.errors import NotFound
from merchants.models import App, Merchant
from paycenter import compiled
from paycenter.times import iso
from refunds.models import Refund
from refunds.states import RefundState
from trades.locking import RARELY_NEEDED

RELATED = ("app", "merchant", "trade", "attempt", "abnormal", "account")
_BY_KEY = compiled.Select(lambda pk: _refunds().filter(pk=pk), pk=int)
_BY_APPS_NUMBER = compiled.Select(
    lambda app, merchant, app_refund_no: _refunds().filter(app=app, merchant=merchant, app_refund_no=app_refund_no),
    app=int, merchant=int, app_refund_no=str,
)  # fmt: skip


def _refunds() -> QuerySet[Refund]:
    """Refunds with what belongs to them. The parameters of the account are read when a provider is made of them."""
    return Refund.objects.select_related(*RELATED).defer("account__config", *RARELY_NEEDED)


def load_refund(refund_id: int) -> Refund:
    """A refund with everything a channel call or an answer needs, read afresh."""
    found = _BY_KEY.get(pk=refund_id)
    found.trade.app, found.trade.merchant = found.app, found.merchant
    found.attempt.trade, found.attempt.account = found.trade, found.account
    return found


def find_refund(app: App, merchant: Merchant, app_refund_no: str) -> Refund | None:
    """The refund that the app asked for under this number of its own; None when there is none."""
    return _BY_APPS_NUMBER.first(app=app.pk, merchant=merchant.pk, app_refund_no=app_refund_no)


def refund_get(
    *, app: App, refund_no: str | None = None, app_refund_no: str | None = None, merchant_no: str | None = None
) -> Refund:
    """This app's refund by the center's number, or by its own number and the merchant's.

    Raises NotFound; another app's refund looks exactly the same.
    """
    refunds = Refund.objects.select_related(*RELATED).filter(app=app)
    if refund_no is not None:
        refunds = refunds.filter(refund_no=refund_no)
    if app_refund_no is not None:
        refunds = refunds.filter(app_refund_no=app_refund_no)
    if merchant_no is not None:
        refunds = refunds.filter(merchant__merchant_no=merchant_no)
    refund = refunds.first() if refund_no is not None or app_refund_no is not None else None
    if refund is None:
        raise NotFound
    return refund


def refund_data(refund: Refund) -> dict[str, Any]:
    """The refund as the contract answers it. Amounts in minor units, times ISO 8601 with offset."""
    return {
        "refund_no": refund.refund_no,
        "app_refund_no": refund.app_refund_no,
        "trade_no": refund.trade.trade_no,
        "attempt_no": refund.attempt.attempt_no,
        "app_order_no": refund.trade.app_order_no,
        "channel_refund_no": refund.channel_refund_no,
        "amount": refund.amount,
        "currency": refund.currency,
        "reason": refund.reason,
        "type": refund.type,
        "kind": refund.kind,
        "route": refund.route,
        "source": refund.source,
        "state": str(refund.state),
        "requested_at": iso(refund.requested_at),
        "approved_at": iso(refund.approved_at),
        "finished_at": iso(refund.finished_at),
        "failure": failure_of(refund),
        "version": refund.version,
    }


def failure_of(refund: Refund) -> str | None:
    """Why it did not end well, in the channel's or the deciding person's words; None while it may yet."""
    if refund.state not in (RefundState.FAILED, RefundState.REJECTED):
        return None
    return " ".join(filter(None, (refund.error_code, refund.error_message))) or None
