"""Drawing a payer's page: the language, the layout of the business line, and what every template needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from cashier.drawing import facts_of, order_context, order_shape, order_texts
from cashier.layout import layout_of
from cashier.models import CashierOrder
from cashier.selectors import status_of
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
    return render(request, f"cashier/{template}.html", {**_context(request, page), **extra}, status=status)


def show_message(
    request: HttpRequest, *, title: str, text: str, status: int, page: CashierOrder | None = None,
    action: tuple[str, str] | None = None, icon: str = "warning",
) -> HttpResponse:
    """A page that says what happened, with a way on where there is one: `action` is (label, address)."""
    context = _context(request, page) if page is not None else plain_context(request.GET, page_language())
    extra = {"message_title": title, "message_text": text, "action": action, "icon": icon}
    return render(request, "cashier/message.html", {**context, **extra}, status=status)


def not_found(request: HttpRequest) -> HttpResponse:
    """An address that belongs to no order looks the same whatever is wrong with it."""
    return show_message(
        request, status=404, title=_("This page does not exist"), icon="question",
        text=_("The payment link is incomplete or wrong. Please open it again from where you found it."),
    )  # fmt: skip


def come_back(request: HttpRequest) -> HttpResponse:
    """Whether there is such an order cannot be found out just now."""
    return show_message(
        request, status=503, title=_("Please try again in a moment"),
        text=_("This page cannot be shown just now. You have not been charged."), action=(_("Try again"), request.path),
    )  # fmt: skip


def plain_context(query: QueryDict, language: str) -> dict[str, Any]:
    """What a page without an order needs; `query` is that of its address."""
    other = next(code for code, _name in settings.LANGUAGES if code != language)
    switched = query.copy()
    switched[LANGUAGE_PARAMETER] = other
    return {
        "layout": layout_of({}, language),
        "language": language,
        "language_query": switched.urlencode(),
        "other_language": other,
        "other_language_name": dict(settings.LANGUAGES)[other],
    }


def page_language() -> str:
    """The language a page is drawn in."""
    return get_language() or settings.LANGUAGE_CODE


def _context(request: HttpRequest, page: CashierOrder) -> dict[str, Any]:
    """What every page of an order needs."""
    trade, now = page.trade, timezone.now()
    context = plain_context(request.GET, page_language())
    status, facts = status_of(trade, now), facts_of(page)
    shape = order_shape(facts, trade.app, status.phase, context["language"])
    return {
        **context,
        **order_context(shape, order_texts(facts, shape.layout, status, now)),
        "page": page,
        "trade": trade,
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
