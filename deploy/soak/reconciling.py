"""When everything has settled, the channels' bills of the run are fetched, read and compared, as every day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

from deploy.soak.books import Row

_TRIES, _READING = 5, 30
ACTOR = "system:soak"


def reconcile(begun: datetime) -> list[Row]:
    """Bring in the bills of every day since `begun` of every account; each bill with how it ended."""
    from merchants.channels import provider_of
    from merchants.models import PaymentAccount

    found = []
    for account in PaymentAccount.objects.filter(state="active").order_by("id"):
        rule = provider_of(account).bill_rule()
        for day in _days(rule, begun) if rule is not None else ():
            found.append({"account": account.payment_no, "channel": account.channel, "day": day.isoformat(),
                          "state": _one(account, day)})  # fmt: skip
    return found


def _days(rule: Any, begun: datetime) -> Iterator[date]:
    """Days of the rule's own calendar that hold some of the run."""
    now = datetime.now(UTC)
    for offset in range(-2, 3):
        day = now.date() + timedelta(days=offset)
        first, end = rule.bounds(day)
        if first <= now and end > begun:
            yield day


def _one(account: Any, day: date) -> str:
    """Fetch, read, compare. The state in which the bill ended, with the reason where it was not believed."""
    from reconciliation.bills import Overtaken, bill_fetch, bill_for, bill_import, load_bill
    from reconciliation.models import ReconciliationDay
    from reconciliation.reconciling import day_match

    bill = bill_for(account=account, day=day)
    for _ in range(_TRIES):
        bill = bill_fetch(bill_id=bill.pk, actor=ACTOR)
        if bill.state != "awaited":
            break
        time.sleep(1)
    for _ in range(_READING):
        with suppress(Overtaken):  # a worker of the run reads it, too
            bill = bill_import(bill_id=bill.pk, actor=ACTOR)
        bill = load_bill(bill.pk)
        if bill.state not in ("fetched", "importing"):
            break
        time.sleep(1)
    for row in ReconciliationDay.objects.filter(account=account, day=day):
        day_match(day_id=row.pk)
    return f"{bill.state} {bill.refusal or bill.fetch_error}".strip()
