"""Drawing a payer's page: the language, the layout of the business line, and what every template needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from cashier.layout import layout_of, ordered_rows
from cashier.models import CashierOrder
from cashier.selectors import FINAL_PHASES, Status, trade_phase
from paycenter.amounts import amount_text
from trades.models import Trade

LANGUAGE_SECONDS = 365 * 24 * 3600
LANGUAGE_PARAMETER = "lang"


class SeeOther(HttpResponseRedirect):
    """303: whatever the request was, the browser goes on with GET."""

    status_code = 303


def page_path(page: CashierOrder, **query: str) -> str:
    """The page's own address on this host."""
    path = reverse("cashier:page", args=[page.token])
    return f"{path}?{urlencode(query)}" if query else path


def language_switch(request: HttpRequest) -> HttpResponse | None:
    """Answers `?lang=`: remembers the language in a cookie and comes back without the parameter."""
    wanted = request.GET.get(LANGUAGE_PARAMETER)
    if wanted not in dict(settings.LANGUAGES):
        return None
    rest = request.GET.copy()
    del rest[LANGUAGE_PARAMETER]
    response = SeeOther(f"{request.path}?{rest.urlencode()}" if rest else request.path)
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME, str(wanted), max_age=LANGUAGE_SECONDS, samesite="Lax", secure=request.is_secure()
    )
    return response


def show(
    request: HttpRequest, template: str, page: CashierOrder, extra: Mapping[str, Any], status: int = 200
) -> HttpResponse:
    """Draw a page of an order."""
    return render(request, f"cashier/{template}.html", {**order_context(request, page), **extra}, status=status)


def show_message(
    request: HttpRequest, *, title: str, text: str, status: int, page: CashierOrder | None = None,
    action: tuple[str, str] | None = None, icon: str = "warning",
) -> HttpResponse:
    """A page that says what happened, with a way on where there is one: `action` is (label, address)."""
    context = order_context(request, page) if page is not None else plain_context(request)
    extra = {"message_title": title, "message_text": text, "action": action, "icon": icon}
    return render(request, "cashier/message.html", {**context, **extra}, status=status)


def not_found(request: HttpRequest) -> HttpResponse:
    """An address that belongs to no order looks the same whatever is wrong with it."""
    return show_message(
        request, status=404, title=_("This page does not exist"), icon="question",
        text=_("The payment link is incomplete or wrong. Please open it again from where you found it."),
    )  # fmt: skip


def plain_context(request: HttpRequest) -> dict[str, Any]:
    """What a page without an order needs."""
    language = get_language() or settings.LANGUAGE_CODE
    other = next(code for code, _name in settings.LANGUAGES if code != language)
    query = request.GET.copy()
    query[LANGUAGE_PARAMETER] = other
    return {
        "layout": layout_of({}, language),
        "language": language,
        "language_query": query.urlencode(),
        "other_language": other,
        "other_language_name": dict(settings.LANGUAGES)[other],
    }


def order_context(request: HttpRequest, page: CashierOrder) -> dict[str, Any]:
    """What every page of an order needs."""
    trade, now = page.trade, timezone.now()
    context = plain_context(request)
    layout = layout_of(trade.app.cashier_layout, context["language"])
    phase = trade_phase(trade, now)
    status = Status(phase, *_attempt(trade), trade.expire_at, trade.amount, trade.currency)
    return {
        **context,
        "layout": layout,
        "page": page,
        "trade": trade,
        "phase": phase,
        "is_final": phase in FINAL_PHASES,
        "merchant_name": trade.merchant.short_name or trade.merchant.name,
        "amount": amount_text(trade.money),
        "rows": ordered_rows(page.display, layout.rows),
        "page_url": page_path(page),
        "status": status,
        "status_url": reverse("cashier:status", args=[page.token]),
        "pay_url": reverse("cashier:pay", args=[page.token]),
        "seconds_left": max(0, int((trade.expire_at - now).total_seconds())),
        "seconds_total": max(1, int((trade.expire_at - trade.created_at).total_seconds())),
        "return_link": return_link(trade),
    }


def return_link(trade: Trade) -> str:
    """The merchant's own page with the order's two numbers; '' where there is none."""
    address = trade.return_url or trade.app.return_url
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return ""
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("trade_no", trade.trade_no),
             ("app_order_no", trade.app_order_no)]  # fmt: skip
    return urlunsplit(parts._replace(query=urlencode(query)))


def _attempt(trade: Trade) -> tuple[str, str]:
    attempt = trade.current_attempt
    return (attempt.attempt_no, str(attempt.state)) if attempt else ("", "")

