"""What can be done about a trade besides refunds: close it, tell the app again, decide on stray money. A button that
cannot be pressed says why."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from merchants.api.errors import AlreadyPaid
from merchants.models import Role
from merchants.roles import ROLE_PERMISSIONS, only_looks
from notifications.models import Notification
from notifications.services import notification_resend
from paycenter.staff.acts import Act, Section, adds_to_page, adds_view
from paycenter.staff.tenancy import actor_of, tenant_of
from trades.accepting import ACCEPT_PERMISSION
from trades.closing import trade_close
from trades.models import AbnormalPayment, Trade
from trades.states import AbnormalState, TradeState

CLOSE_PERMISSION = "trades.close_trade"
RESEND_PERMISSION = "notifications.resend_notification"
REFUND_PERMISSION = "refunds.add_refund"  # of the part above this one, which offers to give the money back


def why_not_role(user: Any, permission: str) -> str:
    """Who may do it, for those who may not; "" for the others."""
    if user.has_perm(permission):
        return ""
    allowed = [str(Role(role).label) for role, permissions in ROLE_PERMISSIONS.items() if permission in permissions]
    return _("Only for: %(roles)s.") % {"roles": ", ".join(allowed)}


@adds_to_page(Trade)
def acts_on_trade(request: HttpRequest, trade: Any) -> list[Act | Section]:
    """Buttons of the center's staff; tenants do nothing here, and who only looks is led to what there is to see."""
    if tenant_of(request.user) is not None:
        return []
    if only_looks(request.user):
        return [*_stray(request, trade)]
    return [_close(request, trade), _resend(request, trade), *_stray(request, trade)]


def _close(request: HttpRequest, trade: Trade) -> Act:
    url = reverse("admin:trades_trade_close", args=[trade.pk])
    why_not = _why_not_close(request, trade)
    return Act(_("Close the order"), url=url, post=True, why_not=why_not, tone="danger", icon="block", order=60)


def _why_not_close(request: HttpRequest, trade: Trade) -> str:
    if trade.state == TradeState.PAID:
        return _("It is paid. Money goes back by a refund.")
    if not trade.is_open:
        return _("It is over already.")
    if trade.close_requested_at is not None:
        return _("It is being closed already.")
    return why_not_role(request.user, CLOSE_PERMISSION)


def _resend(request: HttpRequest, trade: Trade) -> Act:
    """The newest message about the trade; the others are in the list of notifications."""
    label, last = _("Tell the app again"), _last_message(trade)
    if last is None:
        return Act(label, why_not=_("The app was told nothing yet, or has no address."), icon="outbox", order=50)
    why_not = why_not_role(request.user, RESEND_PERMISSION)
    url = reverse("admin:trades_trade_tell", args=[trade.pk])
    return Act(label, url=url, post=True, why_not=why_not, icon="outbox", order=50)


def _last_message(trade: Trade) -> Notification | None:
    return Notification.objects.filter(trade_no=trade.trade_no).exclude(trade_no="").order_by("-id").first()


def _stray(request: HttpRequest, trade: Trade) -> list[Act]:
    """The way to money that came and settles nothing, which some decide on and others look at."""
    rows = AbnormalPayment.objects.filter(trade=trade, state=AbnormalState.OPEN).order_by("id")
    found = rows.values_list("pk", flat=True).first()
    if found is None:
        return []
    url = reverse("admin:trades_abnormalpayment_change", args=[found])
    if not any(request.user.has_perm(permission) for permission in (ACCEPT_PERMISSION, REFUND_PERMISSION)):
        return [Act(_("Look at the abnormal money"), url=url, icon="visibility", order=20)]
    return [Act(_("Decide on the abnormal money"), url=url, tone="primary", icon="savings", order=20)]


@adds_view(Trade, "close")
def close_view(page: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Close it at its channels and here. POST only."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    trade = page.fetch(request, object_id)
    page.require(request, CLOSE_PERMISSION)
    try:
        closed = trade_close(trade=trade, actor=actor_of(request.user))
    except AlreadyPaid:
        messages.error(request, _("It was paid meanwhile."))
    else:
        done = _("The order is closed.") if not closed.is_open else _("It is being closed; its channel has to agree.")
        messages.success(request, done)
    return HttpResponseRedirect(reverse("admin:trades_trade_change", args=[trade.pk]))


@adds_view(Trade, "tell")
def tell_view(page: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Send the newest message about the trade once more. POST only."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    trade = page.fetch(request, object_id)
    page.require(request, RESEND_PERMISSION)
    last = _last_message(trade)
    if last is not None:
        notification_resend(notification=last, actor=actor_of(request.user))
        messages.success(request, _("It is on its way again; the outcome appears below."))
    return HttpResponseRedirect(reverse("admin:trades_trade_change", args=[trade.pk]))
