"""One attempt takes another's place: the older one is queried and closed, or the newer one is never sent."""

from __future__ import annotations

import time

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from merchants.api.errors import OrderClosed
from paycenter.http import time_limit
from paycenter.transitions import advance
from trades.closing import attempt_finish
from trades.confirm import trade_without_attempts
from trades.locking import lock_attempt
from trades.models import Attempt, Trade
from trades.selectors import live_attempts
from trades.sending import outcome_error
from trades.states import AttemptState, TradeState
from trades.telling import trade_changed

NOT_SENT = "not_sent"


def amount_change(trade: Trade, amount: int, actor: str) -> None:
    """Give a locked, unpaid trade another amount. Whatever is live at the old one is closed by the sweep."""
    trade.amount = amount
    trade.version += 1
    trade.save(update_fields=["amount", "version"])
    now = timezone.now()
    outdated = live_attempts(trade).filter(superseded_at__isnull=True).exclude(amount=amount)
    outdated.update(superseded_at=now, next_close_at=now)
    trade_changed(trade, "trade.amount_changed", actor=actor)


def attempts_retire(trade: Trade, actor: str) -> None:
    """Before the amount changes: what is live is queried and closed, within two seconds in all; what is
    not closed by then is left to the sweep and stays watched."""
    with transaction.atomic():  # several rows: under the trade's lock, as everybody who takes several
        Trade.objects.select_for_update(of=("self",)).get(pk=trade.pk)
        live = list(live_attempts(trade).order_by("-pk").values_list("pk", flat=True))
        now = timezone.now()
        live_attempts(trade).filter(superseded_at__isnull=True).update(superseded_at=now, next_close_at=now)
    ends = time.monotonic() + settings.SUPERSEDE_WAIT
    for attempt_id in live:
        left = ends - time.monotonic()
        if left <= 0:
            return
        with time_limit(left / 2):  # two calls, query and close
            attempt_finish(attempt_id=attempt_id, actor=actor)


def attempt_begin(attempt: Attempt, older: Attempt | None, deadline: float, actor: str) -> None:
    """Have the older attempt queried and closed, for at most two seconds, before the new one is sent.

    Raises AlreadyPaid when the older one turned out to be paid, OrderClosed when closing was asked for and
    ChannelRefused when something newer replaced this attempt meanwhile; then it is given up unsent.
    """
    if older is None:
        return
    seconds = min(settings.SUPERSEDE_WAIT, max(deadline - time.monotonic() - 1, 0.05))
    with time_limit(seconds / 2):  # two calls, query and close
        attempt_finish(attempt_id=older.pk, actor=actor)
    with transaction.atomic():
        trade, locked = lock_attempt(attempt.pk)
        closing = not trade.is_open or trade.close_requested_at is not None
        if not closing and locked.superseded_at is None:
            if trade.amount != locked.amount:
                amount_change(trade, locked.amount, actor)
            return
        _give_up_unsent(trade, locked, actor)
    if closing and trade.state != TradeState.PAID:
        raise OrderClosed
    raise outcome_error(trade, locked) or OrderClosed()


def _give_up_unsent(trade: Trade, locked: Attempt, actor: str) -> None:
    if locked.state != AttemptState.CREATED:
        return
    locked.in_flight_until = locked.next_query_at = locked.next_close_at = None
    locked.error_code = NOT_SENT
    advance(locked, "fail", actor=actor, reason=gettext_noop("overtaken before it was sent"),
            fields=("in_flight_until", "next_query_at", "next_close_at", "error_code"),
            event="attempt.failed")  # fmt: skip
    trade_without_attempts(trade, actor=actor)
