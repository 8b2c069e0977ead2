"""What payers' pages ask most, for `paycenter.quick`: the page to choose on as it opens, and its status."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone, translation

from cashier.choosing import offer_of, sheet_to_choose_on
from cashier.devices import device_of
from cashier.drawing import Facts, Sheet, facts_of, order_texts
from cashier.headers import POLICIES
from cashier.models import CashierOrder
from cashier.selectors import Phase, page_to_choose_on, status_of_values
from cashier.views.status import status_answer
from channels.base import Device
from paycenter import compiled
from paycenter.amounts import AmountText, amount_text
from paycenter.memory import Memory
from paycenter.money import Money
from paycenter.quick import Answer, Environ, Route

# As `cashier.selectors.page_to_choose_on` loads it. Whose the order is, its sheet knows.
_PAGE = compiled.SelectValues(
    lambda token: CashierOrder.objects.filter(token=token).values_list(
        "display", "trade__app_id", "trade__merchant_id", "trade__created_at", "trade__subject",
        "trade__app_order_no", "trade__payer", "trade__current_attempt__method", "trade__state", "trade__expire_at",
        "trade__close_requested_at", "trade__amount", "trade__currency", "trade__current_attempt__attempt_no",
        "trade__current_attempt__state",
    ),
    token=str,
)  # fmt: skip
_PATIENCE = 0.2  # seconds for a connection; then Django waits for one, as every request does
_LANGUAGE_COOKIE = settings.LANGUAGE_COOKIE_NAME
_HTML = (("Content-Type", "text/html; charset=utf-8"),)
# With the merchant's name and time zone. Without a sheet: Django has to look at the request.
_sheets: Memory[tuple[Sheet | None, str, str]] = Memory()


def _page(token: str, environ: Environ) -> Answer | None:
    if _LANGUAGE_COOKIE in environ.get("HTTP_COOKIE", ""):  # somebody has chosen another language
        return None
    row = _PAGE.alone(token=token, wait=_PATIENCE)
    if row is None:
        return None
    display, app, merchant, created_at, subject, order_no, payer, method, *standing = row
    now = timezone.now()
    status = status_of_values(*standing, now=now)
    if status.phase is not Phase.OPEN:
        return None
    device, language = device_of(environ.get("HTTP_USER_AGENT", "")), _language(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
    amount = _amount(status.amount, status.currency)
    key = _key(app, merchant, device, language, amount, display, method, payer)
    known = _sheets.get(key, lambda: _load(token, device, language, key))
    sheet, name, zone = known or (None, "", "")
    if sheet is None:
        return None
    facts = Facts(token, display, amount, status.amount, subject, order_no, created_at, status.expire_at, name, zone)
    return Answer(200, _HTML, sheet.filled(order_texts(facts, sheet.layout, status, now)))


def _key(
    app: int, merchant: int, device: Device, language: str, amount: AmountText, display: Sequence[object],
    method: str | None, payer: Mapping[str, object] | None,
) -> Hashable:  # fmt: skip
    """All that tells one sheet from another, beside what is configured."""
    identity = frozenset(name for name, value in payer.items() if value) if payer else frozenset()
    return app, merchant, device, language, amount.code, amount.is_long, len(display), method, identity


def _load(token: str, device: Device, language: str, key: Hashable) -> tuple[Sheet | None, str, str] | None:
    with translation.override(language):
        found = page_to_choose_on(token)
        if found is None:
            return None
        trade, facts = found.trade, facts_of(found)
        method = trade.current_attempt.method if trade.current_attempt is not None else None
        own = _key(trade.app_id, trade.merchant_id, device, language, facts.amount, found.display, method, trade.payer)
        if own != key:  # it changed since its key was made: this would be another's sheet
            return None
        offer = offer_of(trade, device)
        is_left = offer.shared or offer.straight(trade) is not None
        sheet = None if is_left else sheet_to_choose_on(found, offer, language)
    return sheet, facts.merchant_name, facts.timezone


@lru_cache(maxsize=4096)
def _amount(minor: int, currency: str) -> AmountText:
    return amount_text(Money(minor, currency))


@lru_cache(maxsize=1024)
def _language(accepted: str) -> str:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = accepted
    return translation.get_language_from_request(request)


def _status(token: str, environ: Environ) -> Answer | None:
    return status_answer(token, environ.get("HTTP_IF_NONE_MATCH", ""), wait=_PATIENCE)


_TOKEN = "([-a-zA-Z0-9_]+)"  # noqa: S105 - as Django's `slug`
ROUTES = (
    Route(re.compile(f"/c/{_TOKEN}/status"), _status, POLICIES, "/c/x/status"),
    Route(re.compile(f"/c/{_TOKEN}"), _page, POLICIES, "/c/x"),
)
