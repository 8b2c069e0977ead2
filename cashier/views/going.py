"""`/c/<token>/go`: carries out the current attempt's instruction: a QR code, the channel's page, or its app.

Paying answers 303 to here, and here the browser starts afresh: a redirect that followed the form itself
would be held back by `form-action`, whose hosts nobody knows before the channel has answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from cashier.headers import content_security_policy, form_sources, payer_page
from cashier.layout import layout_of
from cashier.models import CashierOrder
from cashier.qr import qr_svg
from cashier.selectors import Phase, page_by_token, trade_phase
from cashier.views.showing import SeeOther, language_switch, not_found, page_path, show
from cashier.views.starting import request_device
from channels.base.discovery import methods
from trades.models import Attempt
from trades.states import LIVE_ATTEMPT_STATES

log = structlog.get_logger(__name__)
# The channel sees which site the payer comes from (WeChat's H5 page refuses a visitor without it:
# https://pay.weixin.qq.com/doc/v3/merchant/4012791835), never the address of the order.
LEAVING_REFERRER_POLICY = "strict-origin"
QR_REFRESH_SECONDS = 5


@require_safe
@payer_page
def go(request: HttpRequest, token: str) -> HttpResponse:
    page = page_by_token(token)
    if page is None:
        return not_found(request)
    switched = language_switch(request)
    if switched is not None:
        return switched
    attempt = page.trade.current_attempt
    phase = trade_phase(page.trade, timezone.now())
    if phase is not Phase.OPEN or attempt is None or not _is_current(page, attempt):
        return SeeOther(page_path(page))
    draw = _DRAWN.get((attempt.pay or {}).get("type", ""))
    return draw(request, page, attempt) if draw is not None else SeeOther(page_path(page))


def _is_current(page: CashierOrder, attempt: Attempt) -> bool:
    """Whether the attempt can still be paid and asks for what the page shows."""
    return attempt.state in LIVE_ATTEMPT_STATES and attempt.amount == page.trade.amount


def leave(request: HttpRequest, page: CashierOrder, address: str, title: str) -> HttpResponse:
    """The page that passes the browser on to an address at the channel."""
    if not _is_web(address):
        log.error("cashier.address_unusable", trade_no=page.trade.trade_no)
        return SeeOther(page_path(page, notice="error"))
    response = show(request, "leave", page, {"address": address, "leave_title": title})
    response.headers["Referrer-Policy"] = LEAVING_REFERRER_POLICY
    return response


def _redirect(request: HttpRequest, page: CashierOrder, attempt: Attempt) -> HttpResponse:
    return leave(request, page, _pay(attempt)["url"], _going_to(attempt))


def _form(request: HttpRequest, page: CashierOrder, attempt: Attempt) -> HttpResponse:
    pay = _pay(attempt)
    if not _is_web(pay["action"]):
        log.error("cashier.address_unusable", trade_no=page.trade.trade_no)
        return SeeOther(page_path(page, notice="error"))
    extra = {"action": pay["action"], "fields": pay["fields"], "leave_title": _going_to(attempt)}
    response = show(request, "form", page, extra)
    response.headers["Content-Security-Policy"] = content_security_policy(form_sources(pay["action"]))
    response.headers["Referrer-Policy"] = LEAVING_REFERRER_POLICY
    return response


def _qrcode(request: HttpRequest, page: CashierOrder, attempt: Attempt) -> HttpResponse:
    name = _name(attempt)
    extra = {
        "qr": qr_svg(_pay(attempt)["content"], _("QR code for %(method)s") % {"method": name}),
        "method_name": name,
        "refresh_seconds": QR_REFRESH_SECONDS,
    }
    return show(request, "scan", page, extra)


def _sdk(request: HttpRequest, page: CashierOrder, attempt: Attempt) -> HttpResponse:
    launch = {
        "device": request_device(request),
        "params": _pay(attempt)["params"],
        "mini_page": layout_of(page.trade.app.cashier_layout, "").mini_page,
        # Where browsers come back from channels: it has the channel queried at once.
        "return_url": f"/return/{attempt.method}/{attempt.attempt_no}",
    }
    return show(request, "launch", page, {"launch": launch, "method_name": _name(attempt)})


def _none(request: HttpRequest, page: CashierOrder, attempt: Attempt) -> HttpResponse:
    return show(request, "confirming", page, {"refresh_seconds": QR_REFRESH_SECONDS})


_DRAWN: Mapping[str, Callable[[HttpRequest, CashierOrder, Attempt], HttpResponse]] = {
    "redirect": _redirect, "form": _form, "qrcode": _qrcode, "sdk": _sdk, "none": _none,
}  # fmt: skip


def _pay(attempt: Attempt) -> Mapping[str, Any]:
    return attempt.pay or {}


def _name(attempt: Attempt) -> str:
    method = methods().get(attempt.method)
    return method.name.text(get_language()) if method is not None else attempt.method


def _going_to(attempt: Attempt) -> str:
    return _("Taking you to %(method)s") % {"method": _name(attempt)}


def _is_web(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in ("http", "https") and bool(parts.netloc)
