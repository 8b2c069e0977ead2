"""Reads of the hosted cashier: a page by its token, its phase, and the ways to pay that fit the payer's device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import structlog
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext

from cashier.intake.taking import bring_page
from cashier.layout import layout_of
from cashier.models import CashierOrder, PrintedCode
from channels.base import Device, Method
from channels.base.discovery import methods
from merchants.channels import provider_of
from merchants.models import AccountMethod, App, AppMerchant, CashierMethod, Merchant, PaymentAccount
from merchants.states import MerchantState
from paycenter import compiled
from paycenter.errors import PaycenterError
from paycenter.memory import Memory
from trades.models import Trade
from trades.shedding import shed_for
from trades.states import AttemptState, TradeState

log = structlog.get_logger(__name__)


class Phase(StrEnum):
    """What the page shows. `paid`, `closed` and `failed` are final; `expired` still waits for the channel's word."""

    OPEN = "open"
    CONFIRMING = "confirming"
    EXPIRED = "expired"
    PAID = "paid"
    CLOSED = "closed"
    FAILED = "failed"


FINAL_PHASES = frozenset({Phase.PAID, Phase.CLOSED, Phase.FAILED})
_FINAL_STATES = {
    TradeState.PAID: Phase.PAID, TradeState.CLOSED: Phase.CLOSED, TradeState.FAILED: Phase.FAILED,
}  # fmt: skip
_PHASES = {str(state): _FINAL_STATES.get(state) for state in TradeState}  # None: it is not final


_STATUS = compiled.SelectValues(
    lambda token: CashierOrder.objects.filter(token=token).values_list(
        "trade__state", "trade__expire_at", "trade__close_requested_at", "trade__amount", "trade__currency",
        "trade__current_attempt__attempt_no", "trade__current_attempt__state",
    ),
    token=str,
)  # fmt: skip


# What the page to choose on is drawn from. Its app and merchant are remembered; the attempt is there after a first try.
_PAGE = compiled.Select(
    lambda token: CashierOrder.objects.select_related("trade__current_attempt").filter(token=token).only(
        "token", "code", "display", "trade__app_id", "trade__merchant_id", "trade__state", "trade__expire_at",
        "trade__created_at", "trade__close_requested_at", "trade__amount", "trade__currency", "trade__subject",
        "trade__app_order_no", "trade__payer", "trade__current_attempt__attempt_no",
        "trade__current_attempt__state", "trade__current_attempt__method",
    ),
    token=str,
)  # fmt: skip
_LINK = compiled.Select(
    lambda app, merchant: AppMerchant.objects.select_related("app", "merchant").filter(app=app, merchant=merchant),
    app=int, merchant=int,
)  # fmt: skip
_OFFERED = compiled.Select(
    lambda app, merchant: CashierMethod.objects.select_related("account")
    .filter(
        Exists(AccountMethod.objects.filter(account=OuterRef("account"), method=OuterRef("method"), is_active=True)),
        Exists(AppMerchant.objects.filter(app=OuterRef("app"), merchant=OuterRef("merchant"), is_active=True)),
        app=app, merchant=merchant, is_active=True, account__state=MerchantState.ACTIVE, account__merchant=merchant,
    )
    .order_by("position", "id"),
    app=int, merchant=int,
)  # fmt: skip
_parties: Memory[tuple[App, Merchant]] = Memory()
_offered: Memory[tuple[tuple[str, PaymentAccount], ...]] = Memory()


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to pay, as the page offers it. `unavailable` is the reason for greying it out, or None."""

    method: Method
    account: PaymentAccount
    unavailable: str | None

    @property
    def code(self) -> str:
        return self.method.code


class Status(NamedTuple):
    """What a page polls. It reloads when `view` differs from the one it was drawn with, and where it shows
    an attempt (a QR code, say) also when `attempt` does."""

    phase: Phase
    attempt_no: str
    attempt_state: str
    expire_at: datetime
    amount: int
    currency: str

    @property
    def view(self) -> str:
        return f"{self.phase}-{self.amount}{self.currency}"

    @property
    def attempt(self) -> str:
        return f"{self.attempt_no}-{self.attempt_state}"

    @property
    def etag(self) -> str:
        return f'"{self.view}-{self.attempt}-{int(self.expire_at.timestamp())}"'


def page_by_token(token: str) -> CashierOrder | None:
    """The page with everything it draws, in one query."""
    return _page("token", token)


def page_to_choose_on(token: str) -> CashierOrder | None:
    """The page with what choosing a way to pay needs, app and merchant as they were up to a moment ago."""
    page = _PAGE.first(token=token) or (_PAGE.first(token=token) if bring_page("token", token) else None)
    if page is None:
        return None
    trade = page.trade
    parties = _parties.get((trade.app_id, trade.merchant_id), lambda: _load_parties(trade))
    if parties is not None:
        trade.app, trade.merchant = parties
    return page


def _load_parties(trade: Trade) -> tuple[App, Merchant]:
    found = _LINK.first(app=trade.app_id, merchant=trade.merchant_id)
    return (found.app, found.merchant) if found is not None else (trade.app, trade.merchant)


def page_by_code(code: str) -> CashierOrder | None:
    """The page behind an order's QR code."""
    return _page("code", code)


def _page(name: str, value: str) -> CashierOrder | None:
    """The page by its `token` or `code`; one that was taken without being stored is stored first."""
    loaded = ("trade__app", "trade__merchant", "trade__current_attempt__account")
    pages = CashierOrder.objects.select_related(*loaded).filter(**{name: value})
    return pages.first() or (pages.all().first() if bring_page(name, value) else None)


def phase_of(state: str, attempt_state: str, *, is_over: bool) -> Phase:
    """The phase of a trade in `state` whose current attempt is in `attempt_state` ('' if it has none).

    `is_over`: its time is up or the app asked to close it, so that no new attempt may start. Raises KeyError for a
    state that this program does not know: nobody is shown a page to pay on for what a newer one wrote.
    """
    final = _PHASES[state]
    if final is not None:
        return final
    if state == TradeState.CONFIRMING or attempt_state == AttemptState.UNKNOWN:
        return Phase.CONFIRMING
    return Phase.EXPIRED if is_over else Phase.OPEN


def trade_phase(trade: Trade, now: datetime) -> Phase:
    """The phase of a loaded trade."""
    attempt = trade.current_attempt
    return phase_of(str(trade.state), str(attempt.state) if attempt else "", is_over=is_over(trade, now))


def is_over(trade: Trade, now: datetime) -> bool:
    """Whether an open trade accepts no new attempt any more."""
    return _is_over(trade.expire_at, trade.close_requested_at, now)


def _is_over(expire_at: datetime, close_requested_at: datetime | None, now: datetime) -> bool:
    return expire_at <= now or close_requested_at is not None


def status_by_token(token: str, now: datetime, *, wait: float | None = None) -> Status | None:
    """One query over indexed columns: this is what every open page asks every few seconds. It waits so many seconds
    for a connection."""
    found = _STATUS.alone(token=token, wait=wait)
    if found is None and bring_page("token", token):
        found = _STATUS.first(token=token)
    if found is None:
        return None
    return status_of_values(*found, now=now)


def status_of(trade: Trade, now: datetime) -> Status:
    """The status of a loaded trade."""
    attempt = trade.current_attempt
    attempt_no, attempt_state = (attempt.attempt_no, str(attempt.state)) if attempt else (None, None)
    return status_of_values(
        str(trade.state), trade.expire_at, trade.close_requested_at, trade.amount, trade.currency, attempt_no,
        attempt_state, now=now,
    )  # fmt: skip


def status_of_values(
    state: str, expire_at: datetime, close_requested_at: datetime | None, amount: int, currency: str,
    attempt_no: str | None, attempt_state: str | None, *, now: datetime,
) -> Status:  # fmt: skip
    """The status of what a query read of a trade and its current attempt, which are None where it has none."""
    phase = phase_of(state, attempt_state or "", is_over=_is_over(expire_at, close_requested_at, now))
    return Status(phase, attempt_no or "", attempt_state or "", expire_at, amount, currency)


def method_availability(account: PaymentAccount, method: Method) -> str | None:
    """Why a configured method cannot be used just now, in the payer's language; None when it can."""
    return gettext("This way to pay is being repaired just now") if shed_for(account) is not None else None


def configured_methods(trade: Trade) -> list[tuple[Method, PaymentAccount]]:
    """The methods of this app and merchant in their order: everything along the way is active, and the
    account's configuration and the trade's currency allow the scene."""
    if trade.merchant.state != MerchantState.ACTIVE or not trade.app.is_active:
        return []
    key = (trade.app_id, trade.merchant_id)
    known, rows = methods(), _offered.get(key, lambda: _load_offered(*key)) or ()
    pairs = [(known[code], account) for code, account in rows if code in known]
    return [(m, a) for m, a in pairs if trade.currency in m.currencies and _accepts(m, a)]


def _load_offered(app: int, merchant: int) -> tuple[tuple[str, PaymentAccount], ...]:
    return tuple((row.method, row.account) for row in _OFFERED.rows(app=app, merchant=merchant))


def _accepts(method: Method, account: PaymentAccount) -> bool:
    try:
        return method.accepts(provider_of(account))
    except (PaycenterError, KeyError) as exc:
        log.error("cashier.account_unusable", payment_no=account.payment_no, problem=str(exc))
        return False


def choices_for(
    trade: Trade, configured: Iterable[tuple[Method, PaymentAccount]], device: Device,
    availability: Callable[[PaymentAccount, Method], str | None] | None = None,
) -> list[Choice]:
    """What the payer may pick on this device, in the configured order."""
    ask = availability or method_availability
    return [
        Choice(method, account, ask(account, method))
        for method, account in configured
        if device in method.devices
        and can_identify(trade, method, account, device)
        and (device is not Device.MINI or method.instruction != "sdk" or _mini_page(trade))
    ]


def _mini_page(trade: Trade) -> str:
    return layout_of(trade.app.cashier_layout, "").mini_page


def can_identify(trade: Trade, method: Method, account: PaymentAccount, device: Device) -> bool:
    """Whether the identity a scene cannot do without is known, or can be asked for on this device."""
    key = method.payer_key
    if key is None or (trade.payer or {}).get(key):
        return True
    in_app_browser = device in (Device.WECHAT, Device.ALIPAY)
    return in_app_browser and provider_of(account).payer_authorization


def one_code_for_all(configured: Iterable[tuple[Method, PaymentAccount]]) -> bool:
    """Whether one QR code serves both WeChat and Alipay: each has a scene that pays inside its browser."""
    scenes: set[Any] = set()
    for method, _account in configured:
        if method.instruction == "sdk":
            scenes |= method.devices & {Device.WECHAT, Device.ALIPAY}
    return len(scenes) == 2


def in_app_choice(choices: Iterable[Choice]) -> Choice | None:
    """The first usable choice that launches inside the payer's app."""
    return next((c for c in choices if c.method.instruction == "sdk" and c.unavailable is None), None)


def printed_by_code(code: str) -> PrintedCode | None:
    """An active printed code with its merchant and app."""
    return PrintedCode.objects.select_related("app", "merchant").filter(code=code, is_active=True).first()


def page_of_order(printed: PrintedCode, app_order_no: str) -> CashierOrder | None:
    """The page of an order that was opened from this printed code."""
    return CashierOrder.objects.filter(
        trade__app=printed.app, trade__merchant=printed.merchant, trade__app_order_no=app_order_no
    ).first()
