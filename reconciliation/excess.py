"""Payments of which more was given back than arrived: a case each, whichever way the excess became known.

It happens where the bank or the channel's console gave back what we had given back, too. No bill's row shows it: it
is the sum of rows that are all right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from merchants.models import PaymentAccount
from paycenter.transitions import record_event, save_changed
from reconciliation.actors import SYSTEM
from reconciliation.cases import case_reopen_by_system
from reconciliation.models import Case, CaseKind, Subject
from reconciliation.states import LIVE_CASE_STATES
from refunds.models import Refund
from refunds.states import RefundState
from trades.models import AbnormalPayment, Attempt, Trade

# Refunds that ended this long before the day are looked at again: a bill or a notice may have been late.
LOOKED_BACK = timedelta(days=7)
_GREW = gettext_noop("still more was given back")


@dataclass(frozen=True, slots=True)
class Excess:
    """A payment with more given back than arrived, in minor units of its currency."""

    attempt: Attempt
    paid: int
    refunded: int
    external: int

    @property
    def amount(self) -> int:
        """What was given back too much."""
        return self.refunded + self.external - self.paid


def excesses_record(account: PaymentAccount, day: date, since: datetime) -> int:
    """Open a case for every payment whose refunds exceed it, and reopen where still more went back. Idempotent.

    Looks at what refunds touched since a week before `since`; answers how many cases are new.
    """
    return sum(_record(account, day, excess) for excess in _excesses(account, since - LOOKED_BACK))


def _excesses(account: PaymentAccount, since: datetime) -> Iterator[Excess]:
    refunds = Refund.objects.filter(account=account, state=RefundState.SUCCEEDED, finished_at__gte=since)
    trades = _exceeded(Trade.objects.filter(pk__in=refunds.filter(abnormal=None).values("trade_id")), "paid_amount")
    for trade in trades.select_related("settled_attempt__trade__app"):
        if trade.settled_attempt is not None:
            yield Excess(trade.settled_attempt, trade.paid_amount, trade.refunded_amount, trade.external_refunded)
    rows = _exceeded(AbnormalPayment.objects.filter(pk__in=refunds.values("abnormal_id")), "amount")
    for row in rows.select_related("attempt__trade__app"):
        yield Excess(row.attempt, row.amount, row.refunded_amount, row.external_refunded)


def _exceeded(rows: QuerySet[Any], paid: str) -> QuerySet[Any]:
    """Only what nobody here had reserved can exceed: a constraint holds the rest."""
    return rows.filter(
        external_refunded__gt=0, **{f"{paid}__lt": F("refunded_amount") + F("external_refunded")}
    ).order_by("pk")


def _record(account: PaymentAccount, day: date, excess: Excess) -> int:
    with transaction.atomic():
        case, made = Case.objects.select_for_update(of=("self",)).get_or_create(
            account=account, subject=Subject.REFUND.value, kind=CaseKind.EXCESS.value, key=excess.attempt.attempt_no,
            defaults={**_values(excess), "day": day, "opened_at": timezone.now()},
        )  # fmt: skip
        case.account, case.app = account, excess.attempt.trade.app
        if made:
            record_event(case, "case.opened", actor=SYSTEM, to_state=str(case.state))
        elif excess.amount > case.difference:
            _grow(case, excess)
    return int(made)


def _grow(case: Case, excess: Excess) -> None:
    for name, value in _values(excess).items():
        setattr(case, name, value)
    save_changed(case, _AMOUNTS)
    if case.state in LIVE_CASE_STATES:
        record_event(case, "case.grew", actor=SYSTEM, reason=_GREW)
    else:
        case_reopen_by_system(case, reason=_GREW)


_AMOUNTS = ("our_amount", "channel_amount", "difference", "evidence")


def _values(excess: Excess) -> dict[str, Any]:
    attempt = excess.attempt
    currency = attempt.paid_currency or attempt.currency
    return {
        "app": attempt.trade.app, "attempt": attempt, "trade_no": attempt.trade.trade_no,
        "attempt_no": attempt.attempt_no, "our_amount": excess.paid,
        "channel_amount": excess.refunded + excess.external, "currency": currency, "difference": excess.amount,
        "evidence": {
            "ours": {
                "amount": excess.paid, "refunded": excess.refunded, "external_refunded": excess.external,
                "currency": currency, "method": attempt.method, "order_no": attempt.channel_order_no,
                "channel_trade_no": attempt.channel_trade_no or "",
            }, "theirs": None,
        },
    }  # fmt: skip
