"""Which days there are to reconcile: a row for every account and day on which it may have had money."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from channels.base.bills import BillRule
from merchants.channels import provider_of
from merchants.models import PaymentAccount
from merchants.states import MerchantState
from paycenter.wakeup import wake
from reconciliation.excess import excesses_record
from reconciliation.models import Bill, ReconciliationDay
from trades.models import Attempt


def provider_rule(account: PaymentAccount) -> BillRule | None:
    """The rule by which bills can be fetched, None where they have to be uploaded."""
    try:
        return provider_of(account).bill_rule()
    except KeyError:
        return None


def rule_of(account: PaymentAccount) -> BillRule:
    """When the account's day begins at its channel; midnight in China where it publishes no bills."""
    return provider_rule(account) or BillRule()


def day_touch(*, account_id: int, day: date) -> None:
    """Have a day compared (again) as soon as possible. Runs in the caller's transaction."""
    found, made = ReconciliationDay.objects.get_or_create(
        account_id=account_id, day=day, defaults={"next_match_at": timezone.now()}
    )
    if not made:
        ReconciliationDay.objects.filter(pk=found.pk).update(next_match_at=timezone.now())
    transaction.on_commit(lambda: wake("reconciliation.tasks.match_days"))


def bills_plan(*, now: datetime | None = None) -> int:
    """Make a row for every day that is over and has none, and its bills due when the channel publishes them.

    Accounts that never took a payment have nothing to reconcile. Answers how many bills were planned.
    """
    now = now or timezone.now()
    accounts = PaymentAccount.objects.exclude(state=MerchantState.DRAFT).select_related("merchant").order_by("pk")
    return sum(_plan(account, now) for account in accounts.iterator(200))


def _plan(account: PaymentAccount, now: datetime) -> int:
    days = _days_over(account, now)
    known = set(
        ReconciliationDay.objects.filter(account=account, day__in=days).values_list("day", flat=True)
    )
    missing = [day for day in days if day not in known]
    if not missing or not Attempt.objects.filter(account=account).exists():
        return 0
    rule = provider_rule(account)
    bills = _bills_of(account, rule, missing) if rule is not None else []
    with transaction.atomic():
        Bill.objects.bulk_create(bills, ignore_conflicts=True)
        ReconciliationDay.objects.bulk_create(
            [ReconciliationDay(account=account, day=day) for day in missing], ignore_conflicts=True
        )
    if rule is None:  # nothing will be compared, which would look for them
        excesses_record(account, missing[-1], rule_of(account).bounds(missing[0])[0])
    return len(bills)


def _bills_of(account: PaymentAccount, rule: BillRule, days: list[date]) -> list[Bill]:
    return [
        Bill(account=account, day=day, kind=kind.value, next_fetch_at=rule.ready(day))
        for day in days for kind in rule.kinds
    ]  # fmt: skip


def _days_over(account: PaymentAccount, now: datetime) -> list[date]:
    rule = rule_of(account)
    today = now.astimezone(ZoneInfo(rule.zone)).date()
    first = max(
        account.created_at.astimezone(ZoneInfo(rule.zone)).date(),
        today - timedelta(days=settings.RECONCILIATION_BACKFILL_DAYS),
    )
    days = [first + timedelta(days=n) for n in range((today - first).days + 1)]
    return [day for day in days if rule.bounds(day)[1] <= now]
