"""Writes of trades: opening an order and paying it. Every entrance (API, cashier) uses these.

One order has at most one attempt being sent. Who comes second waits for the first one's answer and
gets the same; who wants another method or amount first has the older attempt queried and closed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any, cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base import ContractMethod, Method
from channels.base.discovery import method_for, methods
from merchants.api.errors import (
    AlreadyPaid,
    BadParameter,
    ChannelShed,
    ChannelUnknown,
    ContentDiffers,
    NotPermitted,
    OrderClosed,
)
from merchants.channels import account_has_method, active_account, active_merchant
from merchants.models import App, Merchant, PaymentAccount
from paycenter import compiled
from paycenter.combining import Combiner, NotWritten
from paycenter.http import time_limit
from paycenter.models import Event
from paycenter.money import is_currency
from paycenter.numbers import NumberKind, new_number
from paycenter.transitions import advance, events_together, lock, record_event
from trades import shedding
from trades.calling import contract_of, release_connection
from trades.contracts.selectors import contract_for_deduction
from trades.locking import load_attempt, lock_trade
from trades.models import Attempt, Trade
from trades.opening import find_trade, open_new, open_once, phone_tail
from trades.order_numbers import NumbersUsedUp, channel_order_number, numbers_are_counted, used_up_alert
from trades.orders import OrderRequest
from trades.querying import attempt_query
from trades.sending import IN_FLIGHT_SECONDS, attempt_claim, attempt_send, gopay_deadline, outcome_error
from trades.states import LIVE_ATTEMPT_STATES, AttemptState, TradeState
from trades.switching import amount_change, attempt_begin, attempts_retire
from trades.telling import trade_advance

_POLL_SECONDS = (0.02, 0.05, 0.1, 0.2)


def trade_pay(
    *, app: App, order: OrderRequest, method: str, payment_no: str | None = None, contract_no: str | None = None
) -> Attempt:
    """Start paying an order through a method (gopay); the answer says initiated, never paid.

    `contract_no` names the contract under which a method without a payer deducts. Raises BadParameter,
    NotPermitted, NotFound, ContentDiffers, AlreadyPaid, OrderClosed, ChannelRefused, ChannelUnknown, ChannelShed.
    """
    deadline = gopay_deadline()
    scene = _scene(method, order)
    merchant = active_merchant(app, order.merchant_no)
    if contract_no is not None:
        payment_no = _contract_account(app, order, scene, payment_no, contract_no)
    account = active_account(merchant, scene.code, payment_no)
    _check_scene(scene, order.currency, order.payer, order.client_ip, contract_no or "")
    trade = find_trade(app, merchant, order)
    wish = _Wish(
        account=account, method=scene.code, amount=order.amount, payer=order.payer, client_ip=order.client_ip,
        funding=order.funding, return_url=order.return_url, return_to=order.return_url or app.return_url,
        actor=f"app:{app.app_id}", contract_no=contract_no or "",
    )  # fmt: skip
    answered = _without_the_channel(trade, wish, order) if trade is not None else None
    if answered is not None:
        return answered
    with _place_for(account):
        # Opened only now: what is shed at the door leaves no trade to be closed, and told about, later.
        if trade is None:
            first = _first_attempt(_First(app, merchant, order, wish), deadline)
            if first is not None:
                return attempt_send(attempt=first, deadline=deadline, actor=wish.actor)
            trade = find_trade(app, merchant, order)
        return _pay_in_place(trade or open_once(app, merchant, order), wish, deadline, order)


def trade_open(*, app: App, order: OrderRequest) -> Trade:
    """Record an order without an attempt (cashier); the same order again answers the same trade.

    The amount may change while nothing is paid. Raises BadParameter,
    NotPermitted, ContentDiffers, AlreadyPaid, OrderClosed.
    """
    if not is_currency(order.currency):
        raise BadParameter({"currency": ["unknown currency"]})
    merchant = active_merchant(app, order.merchant_no)
    trade = find_trade(app, merchant, order) or open_once(app, merchant, order)
    actor = f"app:{app.app_id}"
    _refuse_unless_open(trade, order)
    if trade.amount != order.amount:
        attempts_retire(trade, actor)
    with transaction.atomic():
        locked = lock_trade(trade.pk)
        _refuse_unless_open(locked, order)
        if locked.amount != order.amount:
            amount_change(locked, order.amount, actor)
    return locked


def trade_pay_with(
    *, trade: Trade, account: PaymentAccount, method: str, payer: Mapping[str, str], client_ip: str | None,
    return_url: str | None = None,
) -> Attempt:  # fmt: skip
    """The cashier's pay button: as gopay for the rules of repeats and switches. `return_url` is the
    cashier page to which the payer's browser comes back.

    Raises NotPermitted, AlreadyPaid, OrderClosed, ChannelRefused, ChannelUnknown, ChannelShed.
    """
    deadline = gopay_deadline()
    if account.merchant_id != trade.merchant_id or not account_has_method(account, method):
        raise NotPermitted
    active_merchant(trade.app, trade.merchant.merchant_no)
    _check_scene(method_for(method), trade.currency, payer, client_ip)
    wish = _Wish(
        account=account, method=method, amount=None, payer=payer, client_ip=client_ip,
        funding=trade.funding, return_url=trade.return_url, return_to=return_url or "", actor="payer",
    )  # fmt: skip
    answered = _without_the_channel(trade, wish, None)
    if answered is not None:
        return answered
    with _place_for(account):
        return _pay_in_place(trade, wish, deadline, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wish:
    """How somebody wants to pay a trade now."""

    account: PaymentAccount
    method: str
    amount: int | None  # None: the trade's own
    payer: Mapping[str, str]
    client_ip: str | None
    funding: str | None
    return_url: str
    return_to: str
    actor: str
    contract_no: str = ""

    def same_as(self, attempt: Attempt, amount: int) -> bool:
        ours = (self.account.pk, self.method, amount, self.contract_no)
        return (attempt.account_id, attempt.method, attempt.amount, contract_of(attempt)) == ours


class _Step(Enum):
    ANSWER = auto()  # the first answer again
    WAIT = auto()  # another process is sending it
    RESEND = auto()  # outcome unknown and ours now: query, then send under the same number
    SEND = auto()  # a new attempt, ours


@contextmanager
def _place_for(account: PaymentAccount) -> Iterator[None]:
    """Hold a place at the channel; somebody is told where its order numbers are used up. Raises ChannelShed."""
    with shedding.place_for(account):
        try:
            yield
        except NumbersUsedUp:
            used_up_alert(account)
            raise


def _without_the_channel(trade: Trade, wish: _Wish, order: OrderRequest | None) -> Attempt | None:
    """What needs no channel is answered although it may be shed: an order that is over (raises as
    `trade_pay` does), and the first answer again within the repeat window."""
    _refuse_unless_open(trade, order)
    if trade.current_attempt_id is None:
        return None
    current = load_attempt(trade.current_attempt_id)
    amount = current.trade.amount if wish.amount is None else wish.amount
    same = current.trade.is_open and current.superseded_at is None and wish.same_as(current, amount)
    return current if same and _is_recent(current) else None


def _is_recent(attempt: Attempt) -> bool:
    """Whether it was answered so lately that the same call gets the same answer."""
    if attempt.state != AttemptState.SUBMITTED or attempt.submitted_at is None:
        return False
    return bool(timezone.now() - attempt.submitted_at < timedelta(seconds=settings.GOPAY_REPEAT_WINDOW))


@dataclass(frozen=True, slots=True)
class _First:
    """An order's first call."""

    app: App
    merchant: Merchant
    order: OrderRequest
    wish: _Wish

    def record(self) -> Attempt:
        """The trade and the attempt in flight by us, in the caller's transaction. Raises BadParameter, NumbersUsedUp,
        and IntegrityError where somebody else opened the trade."""
        trade = open_new(self.app, self.merchant, self.order)
        return _new_attempt(trade, self.wish, trade.amount, None, is_new=True)


def _first_attempt(first: _First, deadline: float) -> Attempt | None:
    """Commit the intent of an order's first call, with those of others who are waiting to.

    None where somebody else opened the trade meanwhile. Raises BadParameter, NumbersUsedUp, and ChannelShed where it
    was not its turn before `deadline`: then nothing is stored.
    """
    if numbers_are_counted(first.wish.account):  # under a lock that would be held for the whole group
        return _first_alone(first)
    try:
        return _firsts.write(first, until=deadline)
    except NotWritten:
        raise ChannelShed("too many payments are waiting, and this one was not begun", retry_after=1) from None


def _first_alone(first: _First) -> Attempt | None:
    try:
        with transaction.atomic(), events_together():
            return first.record()
    except IntegrityError:
        return None


def _first_together(firsts: Sequence[_First]) -> list[Attempt | Exception | None]:
    """As each alone would be, in four statements: the rows of each are made by the same code, and inserted together.

    Of two first calls of one order the trade of one is stored, and nothing of the other.
    """
    with transaction.atomic():
        keys = zip(*(compiled.next_keys(model, len(firsts)) for model in (Trade, Attempt)), strict=True)
        made = [_gather(first, trade, attempt) for first, (trade, attempt) in zip(firsts, keys, strict=True)]
        good = [one.new for one, _answer in made if one is not None]
        # In one order everywhere: two groups with the same orders would wait for each other otherwise.
        trades = [cast(Trade, new[Trade][0]) for new in good]
        trades.sort(key=lambda trade: (trade.app_id, trade.merchant_id, trade.app_order_no))
        stored = compiled.insert_rows(trades, keyed=True, unless_there=True)
        ours = [new for new in good if new[Trade][0].pk in stored]
        compiled.insert_rows([row for new in ours for row in new[Attempt]], keyed=True)
        compiled.insert_rows([row for new in ours for row in new[Event]])
    return [answer if one is None or one.new[Trade][0].pk in stored else None for one, answer in made]


def _gather(first: _First, trade: int, attempt: int) -> tuple[compiled.Gathered | None, Attempt | Exception]:
    """The rows of one intent under these keys, and its attempt; or why there are none."""
    try:
        with compiled.gathering({Trade: trade, Attempt: attempt}) as found:
            return found, first.record()
    except Exception as exc:
        return None, exc


_firsts: Combiner[_First, Attempt | None] = Combiner(_first_alone, _first_together)


def _pay_in_place(trade: Trade, wish: _Wish, deadline: float, order: OrderRequest | None) -> Attempt:
    while True:
        step, attempt, older = _decide(trade.pk, wish, order)
        if step is _Step.ANSWER:
            return attempt
        if step is _Step.WAIT:
            finished = _wait_for(attempt, deadline)
            if finished is not None:
                return finished
            continue
        if step is _Step.RESEND:
            if not _resolve_unknown(attempt, deadline, wish.actor):
                continue
        else:
            attempt_begin(attempt, older, deadline, wish.actor)
        if older is not None or step is _Step.RESEND:
            attempt = load_attempt(attempt.pk)
        return attempt_send(attempt=attempt, deadline=deadline, actor=wish.actor)


def _decide(trade_id: int, wish: _Wish, order: OrderRequest | None) -> tuple[_Step, Attempt, Attempt | None]:
    """Under the trade's lock: what this call does about which attempt, and which older one it replaces."""
    with transaction.atomic(), events_together():
        trade = lock_trade(trade_id)
        _refuse_unless_open(trade, order)
        amount = trade.amount if wish.amount is None else wish.amount
        current = None
        if trade.current_attempt_id is not None:
            current = lock(Attempt, pk=trade.current_attempt_id)
            current.trade = trade
        if current is None or current.state not in LIVE_ATTEMPT_STATES:
            return _Step.SEND, _new_attempt(trade, wish, amount, None), None
        if current.superseded_at is None and wish.same_as(current, amount):
            step = _same_again(current)
            if step is not None:
                return step, current, None
        return _Step.SEND, _new_attempt(trade, wish, amount, current), current


def _same_again(current: Attempt) -> _Step | None:
    if current.state == AttemptState.SUBMITTED:
        return _Step.ANSWER if _is_recent(current) else None
    if not attempt_claim(current):
        return _Step.WAIT
    if current.state == AttemptState.CREATED:
        advance(current, "lose_sight", actor="system", event="attempt.unknown",
                reason=gettext_noop("the process that sent it did not come back"))  # fmt: skip
    return _Step.RESEND


def _new_attempt(
    trade: Trade, wish: _Wish, amount: int, supersedes: Attempt | None, *, is_new: bool = False
) -> Attempt:
    """Commit-ready intent: the attempt in flight by us, the trade paying, the older one marked.

    `is_new` says that the trade was opened in this transaction.
    """
    now = timezone.now()
    number = new_number(NumberKind.ATTEMPT)
    until = now + timedelta(seconds=IN_FLIGHT_SECONDS)
    order_no, order_day = channel_order_number(wish.account, number, now)
    memo: Any = {"contract_no": wish.contract_no} if wish.contract_no else None
    attempt = Attempt(
        attempt_no=number, trade=trade, account=wish.account, channel=wish.account.channel, method=wish.method,
        channel_order_no=order_no, order_day=order_day, amount=amount, currency=trade.currency,
        created_at=now, sent_at=now, expire_at=trade.expire_at, in_flight_until=until,
        next_query_at=until + timedelta(seconds=1), return_to=wish.return_to, funding=wish.funding,
        memo=memo,
    )  # fmt: skip
    compiled.insert(attempt)
    if supersedes is not None:
        supersedes.superseded_at = now
        # The sweep closes it should this process not get to it.
        supersedes.next_close_at = now + timedelta(seconds=settings.SUPERSEDE_WAIT + 1)
        compiled.update(supersedes, ("superseded_at", "next_close_at"))
    trade.current_attempt = attempt
    trade.payer, trade.phone_tail = dict(wish.payer) or trade.payer, phone_tail(wish.payer) or trade.phone_tail
    trade.client_ip, trade.funding, trade.return_url = wish.client_ip, wish.funding, wish.return_url
    trade.contract_no = wish.contract_no
    fields = ["current_attempt", "payer", "phone_tail", "client_ip", "funding", "return_url", "contract_no"]
    if supersedes is None:
        trade.amount = amount
        fields.append("amount")
    record_event(attempt, "attempt.created", actor=wish.actor, to_state=str(attempt.state),
                 detail={"method": wish.method, "amount": amount})  # fmt: skip
    trade_advance(trade, "start_paying", actor=wish.actor, fields=tuple(fields), untold=is_new)
    return attempt


def _resolve_unknown(attempt: Attempt, deadline: float, actor: str) -> bool:
    """Query an attempt of unknown outcome that we hold. True: it is unpaid, send it again under its
    number. False: the answer changed it, decide afresh. Raises ChannelUnknown when still unknown."""
    with time_limit(max(deadline - time.monotonic(), 0.1) / 2):  # the rest is for sending
        answer = attempt_query(attempt_id=attempt.pk, actor=actor)
    fresh = load_attempt(attempt.pk)
    if answer is None and fresh.state in LIVE_ATTEMPT_STATES:
        Attempt.objects.filter(pk=fresh.pk).update(in_flight_until=None)
        error = outcome_error(fresh.trade, fresh)
        if error is not None:
            raise error
        return False
    return bool(fresh.state == AttemptState.UNKNOWN)


def _wait_for(attempt: Attempt, deadline: float) -> Attempt | None:
    """Wait for the process that is sending this attempt, and answer as it does.

    None when it never came back, so that the caller may take over. Raises what it raised.
    """
    tries = 0
    while time.monotonic() < deadline:
        release_connection()
        time.sleep(_POLL_SECONDS[min(tries, len(_POLL_SECONDS) - 1)])
        tries += 1
        fresh = load_attempt(attempt.pk)
        if fresh.state == AttemptState.CLOSED and fresh.trade.is_open:
            return None
        if fresh.in_flight_until is None:
            error = outcome_error(fresh.trade, fresh)
            if error is not None:
                raise error
            return fresh
        if fresh.in_flight_until <= timezone.now():
            return None
    numbers = {"trade_no": attempt.trade.trade_no, "attempt_no": attempt.attempt_no,
               "app_order_no": attempt.trade.app_order_no}  # fmt: skip
    raise ChannelUnknown(data=numbers)


def _scene(code: str, order: OrderRequest) -> Method:
    if code not in methods():
        raise BadParameter({"method": ["no channel has this method"]})
    if not is_currency(order.currency):
        raise BadParameter({"currency": ["unknown currency"]})
    return method_for(code)


def _contract_account(
    app: App, order: OrderRequest, scene: Method, payment_no: str | None, contract_no: str
) -> str:
    """The payment account of the contract to deduct under. Raises NotFound, BadParameter."""
    contract = contract_for_deduction(app=app, contract_no=contract_no, merchant_no=order.merchant_no)
    if contract.method != scene.code:
        raise BadParameter({"method": ["the contract was signed for another method"]})
    if payment_no not in (None, contract.account.payment_no):
        raise BadParameter({"payment_no": ["the contract was signed at another payment account"]})
    return contract.account.payment_no


def _check_scene(
    scene: Method, currency: str, payer: Mapping[str, str], client_ip: str | None, contract_no: str = ""
) -> None:
    problems: dict[str, list[str]] = {}
    if isinstance(scene, ContractMethod) and not contract_no:
        problems["contract_no"] = [f"{scene.code} needs it"]
    if currency not in scene.currencies:
        problems["currency"] = [f"{scene.code} cannot charge {currency}"]
    if scene.payer_key is not None and not payer.get(scene.payer_key):
        problems[f"payer.{scene.payer_key}"] = [f"{scene.code} needs it"]
    if scene.needs_client_ip and not client_ip:
        problems["client_ip"] = [f"{scene.code} needs it"]
    if problems:
        raise BadParameter(problems)


def _refuse_unless_open(trade: Trade, order: OrderRequest | None) -> None:
    if order is not None and _content_of(trade) != _content_of(order):
        raise ContentDiffers
    if trade.state == TradeState.PAID:
        raise AlreadyPaid
    if not trade.is_open or trade.close_requested_at is not None or trade.expire_at <= timezone.now():
        raise OrderClosed


def _content_of(source: Trade | OrderRequest) -> tuple[object, ...]:
    # As text: Python takes 1, 1.0 and true for equal.
    detail = json.dumps(source.detail, sort_keys=True)
    return (source.currency, source.subject, source.body, detail, source.attach, source.notify_url,
            source.business_no)  # fmt: skip
