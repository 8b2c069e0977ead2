"""`/q/<code>`: one QR code for WeChat and Alipay, of an order or printed on paper."""

from __future__ import annotations

from urllib.parse import urlencode

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from cashier.amounts import entered_amount
from cashier.headers import payer_page
from cashier.layout import layout_of
from cashier.models import CashierOrder, PrintedCode
from cashier.origin import from_our_pages
from cashier.selectors import (
    Phase,
    choices_for,
    configured_methods,
    in_app_choice,
    page_by_code,
    page_of_order,
    printed_by_code,
    trade_phase,
)
from cashier.services import printed_order_create
from cashier.views.showing import (
    SeeOther,
    language_switch,
    not_found,
    page_language,
    page_path,
    plain_context,
    show_message,
)
from cashier.views.starting import request_device
from channels.base import Device
from merchants.api.errors import AlreadyPaid, OrderClosed
from paycenter.amounts import amount_text
from paycenter.errors import ApiError, MoneyError
from paycenter.middleware import client_ip
from paycenter.money import Money, scale_of
from paycenter.numbers import NumberKind, new_number

_SALT = "cashier.printed-order"
FORM_SECONDS = 24 * 3600


@require_http_methods(["GET", "HEAD", "POST"])
@payer_page
@from_our_pages
def code(request: HttpRequest, code: str) -> HttpResponse:
    page = page_by_code(code)
    if page is not None:
        return SeeOther(_into_order(request, page))
    printed = printed_by_code(code)
    if printed is None:
        return not_found(request)
    if request.method == "POST":
        return _open_order(request, printed)
    return language_switch(request) or _ask_amount(request, printed)


def _into_order(request: HttpRequest, page: CashierOrder) -> str:
    """Inside WeChat or Alipay straight to its payment, elsewhere to the order's page."""
    device = request_device(request)
    if device not in (Device.WECHAT, Device.ALIPAY) or trade_phase(page.trade, timezone.now()) is not Phase.OPEN:
        return page_path(page)
    choice = in_app_choice(choices_for(page.trade, configured_methods(page.trade), device))
    if choice is None or choice.method.payer_key is None:
        return page_path(page)
    path = reverse("cashier:auth", args=[page.token, choice.account.channel])
    return f"{path}?{urlencode({'method': choice.code})}"


def _ask_amount(request: HttpRequest, printed: PrintedCode, problem: str = "", entered: str = "") -> HttpResponse:
    """The form that opens an order. It carries the order's number, signed: sent twice, it opens one order."""
    language = page_language()
    fixed = printed.fixed_amount
    context = {
        **plain_context(request.GET, language),
        "layout": layout_of(printed.app.cashier_layout, language),
        "printed": printed,
        "merchant_name": printed.merchant.short_name or printed.merchant.name,
        "fixed": amount_text(Money(fixed, printed.currency)) if fixed is not None else None,
        "symbol": amount_text(Money(0, printed.currency)).symbol or printed.currency,
        "scale": scale_of(printed.currency),
        "order": signing.dumps([printed.code, new_number(NumberKind.PRINTED)], salt=_SALT),
        "problem": problem,
        "entered": entered[:20],
    }
    return render(request, "cashier/amount.html", context, status=422 if problem else 200)


def _open_order(request: HttpRequest, printed: PrintedCode) -> HttpResponse:
    try:
        made_for, number = signing.loads(request.POST.get("order", ""), salt=_SALT, max_age=FORM_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        made_for, number = "", ""
    text = request.POST.get("amount", "")
    if made_for != printed.code:
        return _ask_amount(request, printed, _("This form is out of date. Please confirm once more."), text)
    try:
        amount = printed.fixed_amount or entered_amount(text, printed.currency).minor
    except MoneyError as exc:
        return _ask_amount(request, printed, str(exc), text)
    return _order_page(request, printed, number, amount)


def _order_page(request: HttpRequest, printed: PrintedCode, number: str, amount: int) -> HttpResponse:
    try:
        page = printed_order_create(
            printed=printed, app_order_no=number, amount=amount, client_ip=client_ip(request)
        )
    except (AlreadyPaid, OrderClosed):
        older = page_of_order(printed, number)
        return SeeOther(page_path(older)) if older is not None else _closed(request)
    except ApiError:
        return _closed(request)
    return SeeOther(_into_order(request, page))


def _closed(request: HttpRequest) -> HttpResponse:
    return show_message(
        request, status=403, title=_("This code takes no payments just now"),
        text=_("Please ask the merchant how to pay."),
    )  # fmt: skip
