"""From a chosen method to the address the payer's browser goes to next."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import structlog
from django.http import HttpRequest
from django.urls import reverse

from cashier.devices import device_of
from cashier.identity import known_payer
from cashier.models import CashierOrder
from cashier.selectors import Choice, can_identify, configured_methods, method_availability
from cashier.services import cashier_url
from cashier.views.showing import page_path
from channels.base import Device
from merchants.api.errors import (
    AlreadyPaid,
    ChannelRefused,
    ChannelShed,
    ChannelUnknown,
    NotPermitted,
    OrderClosed,
    TooManyRequests,
)
from merchants.channels import provider_of
from paycenter.errors import ApiError
from paycenter.middleware import client_ip
from trades.services import trade_pay_with
from trades.switching import NOT_SENT

log = structlog.get_logger(__name__)


def request_device(request: HttpRequest) -> Device:
    """The payer's device by the request's User-Agent."""
    return device_of(request.headers.get("User-Agent", ""))


def choice_by_code(request: HttpRequest, page: CashierOrder, code: str) -> Choice | None:
    """A configured method of the page, whatever the device: the User-Agent only decides what is shown."""
    for method, account in configured_methods(page.trade):
        if method.code == code and can_identify(page.trade, method, account, request_device(request)):
            return Choice(method, account, method_availability(account, method))
    return None


def start(request: HttpRequest, page: CashierOrder, choice: Choice, payer: Mapping[str, str] | None = None) -> str:
    """Start paying with a method, after asking who the payer is where the scene needs that.

    `payer` is an identity learnt just now. Returns a path of our own: the instruction's page, the
    authorisation, or the order's page with what went wrong.
    """
    known = _payer(request, page, choice, payer or {})
    key = choice.method.payer_key
    if key is not None and not known.get(key):
        path = reverse("cashier:auth", args=[page.token, choice.account.channel])
        return f"{path}?{urlencode({'method': choice.code})}"
    try:
        trade_pay_with(
            trade=page.trade, account=choice.account, method=choice.code, payer=known,
            client_ip=client_ip(request), return_url=cashier_url(page),
        )  # fmt: skip
    except ApiError as exc:
        return _after_error(page, choice, exc)
    return reverse("cashier:go", args=[page.token])


def _payer(request: HttpRequest, page: CashierOrder, choice: Choice, fresh: Mapping[str, str]) -> dict[str, str]:
    """The payer as the app named it; where the browser can tell who holds the phone, that person instead:
    a QR code is scanned by anybody."""
    named = dict(page.trade.payer or {})
    key = choice.method.payer_key
    if key is None or not must_ask(request, choice):
        return {**named, **fresh}
    named.pop(key, None)
    return {**named, **known_payer(request, page.token, choice.account.payment_no), **fresh}


def must_ask(request: HttpRequest, choice: Choice) -> bool:
    """Whether the channel's web authorisation decides who pays."""
    in_app = request_device(request) in (Device.WECHAT, Device.ALIPAY)
    return in_app and provider_of(choice.account).payer_authorization


def _after_error(page: CashierOrder, choice: Choice, error: ApiError) -> str:
    """Where each refusal of the payment leads; the page itself shows paid, closed and unknown."""
    if isinstance(error, AlreadyPaid | OrderClosed | ChannelUnknown):
        return page_path(page)
    if isinstance(error, ChannelRefused) and error.data.get("channel_code") == NOT_SENT:
        return page_path(page)  # no word of the channel: the order changed meanwhile
    if isinstance(error, ChannelRefused):
        return page_path(page, refused=str(error.data.get("attempt_no", "")))
    if isinstance(error, ChannelShed | TooManyRequests):
        return page_path(page, notice="busy", method=choice.code)
    if isinstance(error, NotPermitted):
        return page_path(page, notice="unavailable", method=choice.code)
    log.error("cashier.pay_failed", trade_no=page.trade.trade_no, errno=error.errno, problem=error.msg)
    return page_path(page, notice="error", method=choice.code)
