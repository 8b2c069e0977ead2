"""What should arrive on which day, and whether it did: received + fee = expected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from merchants.models import PaymentAccount, User
from paycenter.errors import TransitionRefused
from paycenter.numbers import NumberKind, new_number
from paycenter.staff.tenancy import actor_of
from paycenter.transitions import advance, lock, record_event, save_changed
from reconciliation.actors import SYSTEM
from reconciliation.days import rule_of
from reconciliation.fees import fee_sql
from reconciliation.models import Bill, Case, ReconciliationDay
from reconciliation.settlement.calendar import Calendar, Terms
from reconciliation.settlement.models import BankReceipt, SettlementBatch, SettlementTerms
from reconciliation.settlement.rates import rates_of
from reconciliation.settlement.states import UNSETTLED_BATCH_STATES, BatchState
from reconciliation.sides import sides
from reconciliation.states import UNRESOLVED_CASE_STATES, USABLE_BILL_STATES

LOOKED_BACK = timedelta(days=60)
_SUMS = ("first_day", "last_day", "paid", "refunded", "expected", "fee", "received")


def terms_of(account: PaymentAccount) -> Terms | None:
    """When the account's money arrives; None where nobody said."""
    found = SettlementTerms.objects.select_related("calendar").filter(account=account).first()
    if found is None:
        return None
    if not found.working_days:
        return Terms(found.days_after)
    named = found.calendar
    days = (named.holidays, named.workdays) if named else ([], [])
    holidays, workdays = (frozenset(date.fromisoformat(day) for day in listed) for listed in days)
    return Terms(found.days_after, Calendar(holidays, workdays))


def batches_refresh(account: PaymentAccount, settlement: date) -> list[SettlementBatch]:
    """Add up what should arrive on a day, one batch per currency, and compare it with what did. Idempotent."""
    terms = terms_of(account)
    days = terms.days_settled_on(settlement) if terms else []
    if not days:
        return []
    bills = list(Bill.objects.filter(account=account, day__in=days, kind="trade", state__in=USABLE_BILL_STATES))
    currencies = {currency for bill in bills for currency in bill.totals}
    known = SettlementBatch.objects.filter(account=account, date=settlement).values_list("currency", flat=True)
    return [_refresh(account, settlement, days, bills, currency) for currency in sorted(currencies | set(known))]


def batches_after(account: PaymentAccount, day: date) -> None:
    """A day was compared: what arrives for it may be known now."""
    terms = terms_of(account)
    if terms is not None:
        batches_refresh(account, terms.settlement_day(day))


def batches_refresh_live() -> int:
    """Look again at every batch that is not finished: a case may have been closed, money may have come."""
    since = timezone.localdate() - LOOKED_BACK
    rows = SettlementBatch.objects.filter(state__in=UNSETTLED_BATCH_STATES, date__gte=since)
    pairs = list(rows.values_list("account_id", "date").distinct())
    accounts = PaymentAccount.objects.select_related("merchant").in_bulk({account_id for account_id, _date in pairs})
    for account_id, day in pairs:
        batches_refresh(accounts[account_id], day)
    return len(pairs)


def batch_override(*, batch: SettlementBatch, user: User, reason: str) -> SettlementBatch:
    """Go on although the trade reconciliation of its days is open. Raises TransitionRefused, ValueError."""
    return _decide(batch, user, reason, "expect", "batch.overridden")


def batch_accept(*, batch: SettlementBatch, user: User, reason: str) -> SettlementBatch:
    """Explain a difference. Raises TransitionRefused, ValueError for an empty reason."""
    return _decide(batch, user, reason, "accept", "batch.accepted")


def _decide(batch: SettlementBatch, user: User, reason: str, transition: str, event: str) -> SettlementBatch:
    if not reason.strip():
        raise ValueError("a reason is needed")
    if transition == "expect" and batch.state != BatchState.BLOCKED:
        raise TransitionRefused("the batch is not blocked", state=str(batch.state))
    with transaction.atomic():
        locked = lock(SettlementBatch, pk=batch.pk)
        locked.account = batch.account
        locked.reason, locked.decided_by = reason.strip()[:300], user
        locked.finished_at = timezone.now() if transition == "accept" else None
        advance(locked, transition, actor=actor_of(user), reason=reason, fields=("reason", "decided_by", "finished_at"),
                event=event)  # fmt: skip
    return locked


def _refresh(
    account: PaymentAccount, settlement: date, days: Sequence[date], bills: Sequence[Bill], currency: str
) -> SettlementBatch:
    with transaction.atomic():
        batch = _batch(account, settlement, days, currency)
        if batch.state not in UNSETTLED_BATCH_STATES:
            return batch
        before = [getattr(batch, name) for name in _SUMS]
        _add_up(batch, days, bills)
        if [getattr(batch, name) for name in _SUMS] != before:
            save_changed(batch, _SUMS)
        _judge(batch, blocked=_is_blocked(batch, days, bills))
    return batch


def _batch(account: PaymentAccount, settlement: date, days: Sequence[date], currency: str) -> SettlementBatch:
    found, made = SettlementBatch.objects.select_for_update(of=("self",)).get_or_create(
        account=account, date=settlement, currency=currency,
        defaults={"batch_no": new_number(NumberKind.SETTLEMENT), "first_day": days[0], "last_day": days[-1]},
    )  # fmt: skip
    found.account = account
    if made:
        record_event(found, "batch.expected", actor=SYSTEM)
    return found


def _add_up(batch: SettlementBatch, days: Sequence[date], bills: Sequence[Bill]) -> None:
    sums = [bill.totals.get(batch.currency, {}) for bill in bills]
    batch.first_day, batch.last_day = days[0], days[-1]
    batch.paid = sum(found.get("paid", 0) for found in sums)
    batch.refunded = sum(found.get("refunded", 0) for found in sums)
    batch.expected = batch.paid - batch.refunded
    silent = [bill for bill, found in zip(bills, sums, strict=True) if found.get("without_fee")]
    batch.fee = sum(found.get("fee", 0) for found in sums) + sum(_fee_by_rates(batch, bill) for bill in silent)
    batch.received = BankReceipt.objects.filter(batch=batch).aggregate(total=Sum("amount"))["total"]


def _fee_by_rates(batch: SettlementBatch, bill: Bill) -> int:
    """What our rates make of a day whose bill does not name fees."""
    start, end = rule_of(batch.account).bounds(bill.day)
    side = sides()[0]
    adapt = (lambda at: at) if connection.vendor == "postgresql" else connection.ops.adapt_datetimefield_value
    window, values = side.window(batch.account_id, adapt(start), adapt(end))
    fee, fee_values = fee_sql("w.amount", "w.method", rates_of(batch.account, bill.day))
    with connection.cursor() as cursor:
        sql = f"SELECT COALESCE(SUM({fee}), 0) FROM ({window}) w WHERE w.currency = %s"  # noqa: S608
        cursor.execute(sql, [*fee_values, *values, batch.currency])
        return int(cursor.fetchone()[0])


def _is_blocked(batch: SettlementBatch, days: Sequence[date], bills: Sequence[Bill]) -> bool:
    """Whether the trade reconciliation of one of its days is open, and nobody went on with a reason."""
    if batch.reason:
        return False
    compared = ReconciliationDay.objects.filter(account=batch.account, day__in=days, matched_at__isnull=False)
    known = ReconciliationDay.objects.filter(account=batch.account, day__in=days)
    if compared.count() < max(known.count(), len(bills)):
        return True
    return Case.objects.filter(account=batch.account, day__in=days, state__in=UNRESOLVED_CASE_STATES).exists()


def _judge(batch: SettlementBatch, *, blocked: bool) -> None:
    if blocked:
        if batch.state != BatchState.BLOCKED:
            advance(batch, "block", actor=SYSTEM, event="batch.blocked")
        return
    if batch.state == BatchState.BLOCKED:
        advance(batch, "expect", actor=SYSTEM, event="batch.unblocked")
    if batch.difference is None:
        return
    if batch.difference == 0:
        batch.finished_at = timezone.now()
        advance(batch, "settle", actor=SYSTEM, fields=("finished_at",), event="batch.settled")
    elif batch.state == BatchState.EXPECTED:
        advance(batch, "differ", actor=SYSTEM, event="batch.different",
                detail={**batch.event_fields()["detail"], "difference": batch.difference})  # fmt: skip
