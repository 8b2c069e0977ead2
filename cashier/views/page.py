"""`/c/<token>`: the order's page. Its phase decides what is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from cashier.choosing import choice_context, offer_of, sheet_to_choose_on
from cashier.drawing import facts_of, order_texts
from cashier.headers import payer_page
from cashier.models import CashierOrder
from cashier.qr import qr_svg
from cashier.selectors import (
    Choice,
    Phase,
    page_by_token,
    page_to_choose_on,
    status_of,
    trade_phase,
)
from cashier.services import qr_url
from cashier.views.showing import SeeOther, language_switch, not_found, page_language, show
from cashier.views.starting import request_device, start
from channels.base.discovery import methods
from trades.models import Trade

FORWARD_SECONDS = 5
RECHECK_SECONDS = 5
_RESULT_PHASES = frozenset({Phase.PAID, Phase.CLOSED, Phase.FAILED, Phase.EXPIRED})


@require_safe
@payer_page
def page(request: HttpRequest, token: str) -> HttpResponse:
    found = page_to_choose_on(token)
    if found is None:
        return not_found(request)
    switched = language_switch(request)
    if switched is not None:
        return switched
    if trade_phase(found.trade, timezone.now()) is Phase.OPEN:
        return _choose(request, found)
    found = page_by_token(token)
    if found is None:
        return not_found(request)
    phase = trade_phase(found.trade, timezone.now())
    if phase in _RESULT_PHASES:
        return _result(request, found, phase)
    if phase is Phase.CONFIRMING and "choose" not in request.GET:
        return show(request, "confirming", found, {"refresh_seconds": RECHECK_SECONDS})
    return _choose(request, found)


def _result(request: HttpRequest, found: CashierOrder, phase: Phase) -> HttpResponse:
    paid = phase is Phase.PAID
    extra = {
        "forward_seconds": FORWARD_SECONDS if paid else 0,
        "refresh_seconds": RECHECK_SECONDS if phase is Phase.EXPIRED else 0,
        "paid_with": _method_name(found.trade) if paid else "",
    }
    return show(request, "result", found, extra)


def _choose(request: HttpRequest, found: CashierOrder) -> HttpResponse:
    offer, language = offer_of(found.trade, request_device(request)), page_language()
    straight = offer.straight(found.trade) if _comes_first(request) else None
    if straight is not None:
        whole = page_by_token(found.token)
        return SeeOther(start(request, whole, straight)) if whole is not None else not_found(request)
    if not offer.shared and not request.GET:
        now, sheet = timezone.now(), sheet_to_choose_on(found, offer, language)
        texts = order_texts(facts_of(found), sheet.layout, status_of(found.trade, now), now)
        return HttpResponse(sheet.filled(texts))
    notice = _notice(request, found, offer.choices)
    extra = choice_context(found.trade, offer, language, notice) | {
        "notice": notice,
        "shared_qr": qr_svg(qr_url(found), _("QR code for WeChat and Alipay")) if offer.shared else "",
        "refresh_seconds": RECHECK_SECONDS * 3 if offer.shared else 0,
    }
    return show(request, "choose", found, extra)


def _comes_first(request: HttpRequest) -> bool:
    """Whether the payer comes for the first time. A browser that merely fetches ahead, and one that comes back, get
    the page."""
    is_fetching_ahead = "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", ""))
    return request.method == "GET" and not request.GET and not is_fetching_ahead


def _notice(request: HttpRequest, found: CashierOrder, choices: Sequence[Choice]) -> dict[str, str]:
    """What to tell above the methods. Only codes travel in the address; the words are ours or the channel's."""
    refused = request.GET.get("refused", "")
    if refused.isascii() and refused.isalnum():  # no other text can be a number, nor be looked for
        attempt = found.trade.attempts.filter(attempt_no=refused).first()
        if attempt is not None:
            return {
                "kind": "refused", "words": attempt.error_message, "code": attempt.error_code, "text": "",
                "title": _("%(method)s did not accept this payment") % {"method": _name_of(attempt.method)},
            }  # fmt: skip
    kind, code = request.GET.get("notice", ""), request.GET.get("method", "")
    if kind not in _NOTICES:
        return {}
    title, text = _NOTICES[kind]()
    return {"kind": kind, "method": code if any(c.code == code for c in choices) else "", "title": title, "text": text}


_NOTICES = {
    "busy": lambda: (_("This way to pay is busy just now"), _("Choose another one, or try again in a moment.")),
    "unavailable": lambda: (_("This way to pay is not available"), _("Please choose another one.")),
    "amount": lambda: (_("The amount has changed"), _("Please check the new amount before you pay.")),
    "cancelled": lambda: (_("You have not paid yet"), _("Choose how to pay when you are ready.")),
    "error": lambda: (_("Something went wrong on our side"), _("You have not been charged. Please try again.")),
}


def _name_of(code: str) -> str:
    method = methods().get(code)
    return method.name.text(get_language()) if method is not None else code


def _method_name(trade: Trade) -> str:
    attempt = trade.settled_attempt
    return _name_of(attempt.method) if attempt is not None else ""
