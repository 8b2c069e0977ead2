"""Refunds of the channel's own that are told of before their payment is booked: kept, and booked when it is.

A notice of the refund may overtake that of the payment, or the payment is known to the next query only.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from channels.base import Notice
from paycenter import compiled
from paycenter.money import Money
from paycenter.wakeup import wake
from refunds.external import external_refund_open
from refunds.models import EarlyRefund
from trades.models import AbnormalPayment, Attempt
from trades.states import AbnormalState, AttemptState

FIRST_WAIT = timedelta(seconds=5)
KEPT = timedelta(days=30)  # a payment that did not come by then is not waited for; should it come, it finds them
_UNSURE = (AbnormalState.VOID, AbnormalState.UNVERIFIED)
BOOK_TASK = "refunds.tasks.book_early"


def early_refund_keep(*, attempt: Attempt, number: str, notice: Notice) -> None:
    """Keep it; the same number again is the same refund, and is waited for anew where that was given up.

    The payment itself is asked about by the caller, who holds the trade's lock since finding that it is not booked:
    else its booking could miss what is kept.
    """
    amount, now = notice.amount, timezone.now()
    kept, is_new = EarlyRefund.objects.get_or_create(
        attempt_id=attempt.pk, channel_request_no=number[:64],
        defaults={
            "amount": amount.minor if amount else None, "currency": amount.currency if amount else "",
            "channel_refund_no": notice.channel_refund_no, "sent_at": notice.refund_sent_at, "heard_at": now,
            "next_try_at": now + FIRST_WAIT,
        },
    )  # fmt: skip
    if not is_new and kept.next_try_at is None:
        EarlyRefund.objects.filter(pk=kept.pk).update(heard_at=now, next_try_at=now + FIRST_WAIT)


def early_refunds_sql(attempt: str) -> str:
    """In SQL, whether anything is kept of an attempt, which every payment asks; `attempt` is its key."""
    table = compiled.table_of(EarlyRefund)
    return f"(SELECT count(*) FROM {table} WHERE attempt_id = {attempt}) > 0"  # noqa: S608


def early_refunds_due(attempt: Attempt) -> None:
    """The payment is being booked: what was kept of it is due at once, however long it was to wait."""
    EarlyRefund.objects.filter(attempt_id=attempt.pk).update(next_try_at=timezone.now())
    transaction.on_commit(lambda: wake(BOOK_TASK), robust=True)


def early_refund_book(early_id: int) -> None:
    """Book it if its payment is booked by now, else wait longer. Running it again does nothing twice: the refund is
    known by its number."""
    early = EarlyRefund.objects.select_related("attempt__trade__merchant").filter(pk=early_id).first()
    if early is None:
        return
    if not _is_booked(early.attempt):
        _wait(early)
        return
    with transaction.atomic():
        external_refund_open(
            attempt=early.attempt, channel_request_no=early.channel_request_no, actor="system",
            amount=None if early.amount is None else Money(early.amount, early.currency),
            channel_refund_no=early.channel_refund_no, sent_at=early.sent_at,
        )  # fmt: skip
        EarlyRefund.objects.filter(pk=early.pk).delete()


def early_refunds_found() -> int:
    """Have those booked that were given up although their payment is booked: by an earlier version of the center, or
    by hand. How many. Until then nobody can refund that payment."""
    sure = AbnormalPayment.objects.filter(attempt_id=OuterRef("attempt_id")).exclude(state__in=_UNSURE)
    booked = Q(attempt__trade__settled_attempt_id=F("attempt_id")) | (
        Q(attempt__state=AttemptState.SUCCEEDED) & Exists(sure)
    )
    return EarlyRefund.objects.filter(booked, next_try_at__isnull=True).update(next_try_at=timezone.now())


def _is_booked(attempt: Attempt) -> bool:
    """Whether its money stands on the trade or on an abnormal payment that the channel confirmed."""
    if attempt.trade.settled_attempt_id == attempt.pk:
        return True
    found = AbnormalPayment.objects.filter(attempt_id=attempt.pk).exclude(state__in=_UNSURE)
    return attempt.state == AttemptState.SUCCEEDED and found.exists()


def _wait(early: EarlyRefund) -> None:
    """Half as long again as it has waited already, unless its payment was booked since it was read."""
    now = timezone.now()
    waited = now - early.heard_at
    next_try = None if waited > KEPT else now + max(waited / 2, FIRST_WAIT)
    EarlyRefund.objects.filter(pk=early.pk, next_try_at=early.next_try_at).update(next_try_at=next_try)
