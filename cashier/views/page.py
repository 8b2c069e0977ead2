"""`/c/<token>`: the order's page. Its phase decides what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_safe

from cashier.headers import payer_page
from cashier.icons import icon_of
from cashier.models import CashierOrder
from cashier.naming import payer_names
from cashier.qr import qr_svg
from cashier.selectors import (
    Choice,
    Phase,
    choices_for,
    configured_methods,
    one_code_for_all,
    page_by_token,
    page_to_choose_on,
    trade_phase,
)
from cashier.services import qr_url
from cashier.views.showing import SeeOther, language_switch, not_found, show, show_choice
from cashier.views.starting import request_device, start
from channels.base import Device
from channels.base.discovery import methods
from trades.models import Trade

FORWARD_SECONDS = 5
RECHECK_SECONDS = 5
_RESULT_PHASES = frozenset({Phase.PAID, Phase.CLOSED, Phase.FAILED, Phase.EXPIRED})


@require_safe
@csrf_protect
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
    device = request_device(request)
    configured = configured_methods(found.trade)
    choices = choices_for(found.trade, configured, device)
    straight = _straight_through(request, found, choices)
    if straight is not None:
        whole = page_by_token(found.token)
        return SeeOther(start(request, whole, straight)) if whole is not None else not_found(request)
    shared = device is Device.PC and one_code_for_all(configured)
    notice = _notice(request, found, choices)
    names = payer_names([choice.method for choice in choices], get_language())
    drawn = [_drawn(choice, name, notice) for choice, name in zip(choices, names, strict=True)]
    extra: dict[str, Any] = {
        "choices": drawn,
        "preselected": _preselected(found.trade, drawn),
        "in_app": device in (Device.WECHAT, Device.ALIPAY, Device.MINI),
    }
    if not shared and not request.GET:
        rest = (extra["preselected"], extra["in_app"], *(tuple(choice.values()) for choice in drawn))
        return show_choice(request, found, rest, lambda: extra)
    extra |= {
        "notice": notice,
        "shared_qr": qr_svg(qr_url(found), _("QR code for WeChat and Alipay")) if shared else "",
        "refresh_seconds": RECHECK_SECONDS * 3 if shared else 0,
    }
    return show(request, "choose", found, extra)


def _straight_through(request: HttpRequest, found: CashierOrder, choices: Sequence[Choice]) -> Choice | None:
    """The only suitable method, if its channel insists on its own cashier and the payer comes for the
    first time. A browser that merely fetches ahead, and one that comes back, get the page."""
    is_fetching_ahead = "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", ""))
    if request.method != "GET" or request.GET or is_fetching_ahead or found.trade.current_attempt is not None:
        return None
    if len(choices) != 1 or not choices[0].method.own_cashier or choices[0].unavailable is not None:
        return None
    return choices[0]


def _preselected(trade: Trade, drawn: Sequence[dict[str, Any]]) -> str:
    """The method the payer used last, else the first usable one; '' when none is."""
    usable = [str(choice["code"]) for choice in drawn if not choice["unavailable"]]
    last = trade.current_attempt.method if trade.current_attempt is not None else ""
    return last if last in usable else (usable or [""])[0]


def _drawn(choice: Choice, name: str, notice: dict[str, str]) -> dict[str, Any]:
    is_busy = notice.get("method") == choice.code and notice["kind"] in ("busy", "unavailable")
    reason = choice.unavailable or (_("Busy just now, please try again in a moment") if is_busy else "")
    return {
        "code": choice.code,
        "name": name,
        "hint": _HINTS[choice.method.instruction](),
        "icon": icon_of(choice.method, choice.account.channel),
        "unavailable": reason,
    }


_HINTS = {
    "qrcode": lambda: _("Shows a QR code to scan"),
    "redirect": lambda: _("Goes to the channel's page"),
    "form": lambda: _("Goes to the channel's page"),
    "sdk": lambda: _("Pays right here"),
    "none": lambda: _("Pays right here"),
}


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
