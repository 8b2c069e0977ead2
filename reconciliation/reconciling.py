"""One account's day from its bill to its cases: what the schedule, the admin and the command run."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base.bills import BillKind
from notifications.alerts import alert
from paycenter.replica import PRIMARY, reporting
from paycenter.transitions import record_event
from reconciliation.actors import SYSTEM
from reconciliation.cases import cases_record
from reconciliation.days import rule_of
from reconciliation.excess import excesses_record
from reconciliation.matching import Scope, Tally, differences
from reconciliation.models import Bill, Case, ReconciliationDay
from reconciliation.reviewing import cases_review
from reconciliation.settlement.batches import batches_after
from reconciliation.settlement.rates import rates_of
from reconciliation.sides import sides
from reconciliation.states import USABLE_BILL_STATES, CaseState

Progress = Callable[[int], None]


def load_day(day_id: int) -> ReconciliationDay:
    return ReconciliationDay.objects.select_related("account__merchant").get(pk=day_id)


def day_match(*, day_id: int, actor: str = SYSTEM, progress: Progress | None = None) -> int | None:
    """Compare a day with its bill and write the cases; how many are new. None while there is no usable bill.

    Running it again finds nothing new unless something changed. `progress` hears how many differences were seen.
    """
    day = load_day(day_id)
    bill = usable_bill(day)
    if bill is None:
        ReconciliationDay.objects.filter(pk=day.pk).update(next_match_at=None)
        return None
    began, scope, tally = timezone.now(), _scope(day, bill), Tally(bill.totals)
    new = seen = 0
    for side in sides():
        for portion in differences(scope, side, tally):
            new += cases_record(scope, portion)
            seen += len(portion)
            if progress is not None:
                progress(seen)
    new += cases_record(scope, cases_review(day.account, reached=day.day, before=began))
    new += excesses_record(day.account, day.day, scope.start)
    _finish(day, bill, tally, new, actor)
    batches_after(day.account, day.day)
    return new


def usable_bill(day: ReconciliationDay) -> Bill | None:
    """The day's bill of payments and refunds, once it is complete."""
    return Bill.objects.filter(
        account_id=day.account_id, day=day.day, kind=BillKind.TRADE.value, state__in=USABLE_BILL_STATES
    ).first()


def _scope(day: ReconciliationDay, bill: Bill) -> Scope:
    start, end = rule_of(day.account).bounds(day.day)
    return Scope(day.account, day.day, start, end, bill, rates_of(day.account, day.day), _far_enough(bill))


def _far_enough(bill: Bill) -> str:
    """The replica's alias once it holds this bill as it was read, otherwise the primary's.

    A replica replays commits in their order: it then holds the bill's rows and what was booked before. What is booked
    later may be overlooked by this comparison, as it would be a moment after one on the primary.
    """
    alias = reporting()
    if alias == PRIMARY:
        return PRIMARY
    there = Bill.objects.using(alias).filter(pk=bill.pk, version=bill.version, state=bill.state)
    return alias if there.exists() else PRIMARY


def _finish(day: ReconciliationDay, bill: Bill, tally: Tally, new: int, actor: str) -> None:
    with transaction.atomic():
        rows = ReconciliationDay.objects.filter(pk=day.pk)
        rows.update(matched_at=timezone.now(), ours=tally.found, theirs=bill.totals)
        # A day that was touched meanwhile is due at another time, and stays so.
        rows.filter(next_match_at=day.next_match_at).update(next_match_at=None)
        detail = {**day.event_fields()["detail"], "cases": new}
        record_event(day, "reconciliation.compared", actor=actor, detail=detail)
        if new:
            _tell(day)


def _tell(day: ReconciliationDay) -> None:
    """Differences that wait for a later bill are nobody's work yet."""
    count = Case.objects.filter(account=day.account, day=day.day, state=CaseState.OPEN).count()
    if count == 0:
        return
    alert(
        kind="case", key=f"cases:{day.pk}", title=gettext_noop("A day's bill differs from the book"),
        text=gettext_noop("%(account)s, %(day)s: %(count)d differences to look at"),
        context={"account": str(day.account), "day": day.day.isoformat(), "count": count},
        merchant_no=day.account.merchant.merchant_no, record=day,
    )  # fmt: skip
