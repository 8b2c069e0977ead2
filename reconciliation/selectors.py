"""Reading what apps are shown: whose accounts, which time, which batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from django.core.cache import cache

from merchants.api.errors import NotPermitted
from merchants.models import App, AppMerchant, Merchant, PaymentAccount
from paycenter.staff.lists import day_bounds
from reconciliation.days import rule_of
from reconciliation.ledger import Span, Totals, totals
from reconciliation.settlement.models import SettlementBatch

TOTALS_SECONDS = 60  # the pages of one answer agree on their sums, and only the first one adds them up


def merchant_of(app: App, merchant_no: str) -> Merchant:
    """The merchant, whatever its state now, if this app ever collected for it. Raises NotPermitted."""
    link = AppMerchant.objects.select_related("merchant").filter(app=app, merchant__merchant_no=merchant_no).first()
    if link is None:
        raise NotPermitted
    return link.merchant


def accounts_of(merchant: Merchant, payment_no: str | None) -> list[PaymentAccount]:
    """The merchant's accounts, or the named one. Raises NotPermitted where it has no such account."""
    rows = PaymentAccount.objects.filter(merchant=merchant).order_by("pk")
    if payment_no is None:
        return list(rows)
    found = list(rows.filter(payment_no=payment_no))
    if not found:
        raise NotPermitted
    return found


def bill_spans(merchant: Merchant, day: date, payment_no: str | None) -> list[Span]:
    """The merchant's day, account by account."""
    start, end = day_bounds(day, day, ZoneInfo(merchant.timezone))
    assert start is not None and end is not None  # noqa: S101, PT018
    return [
        Span(account.pk, account.pk, account.payment_no, start, end) for account in accounts_of(merchant, payment_no)
    ]


def bill_totals(app: App, question: str, spans: Sequence[Span], *, fresh: bool) -> Totals:
    """The day's sums; of later pages those of the first, for a while."""
    key = f"bill-totals:{hashlib.sha256(question.encode()).hexdigest()}"
    found: Totals | None = None if fresh else cache.get(key)
    if found is None:
        found = totals(app, spans)
        cache.set(key, found, TOTALS_SECONDS)
    return found


def batches_between(merchant: Merchant, first: date, last: date, payment_no: str | None) -> list[SettlementBatch]:
    """Settlement batches of these days, oldest first. Raises NotPermitted where there is no such account."""
    accounts = {account.pk: account for account in accounts_of(merchant, payment_no)}
    rows = SettlementBatch.objects.filter(account_id__in=accounts, date__gte=first, date__lte=last)
    found = list(rows.order_by("pk"))
    for batch in found:
        batch.account = accounts[batch.account_id]
    return found


def settle_spans(batches: Sequence[SettlementBatch]) -> list[Span]:
    """What is in the batches: their days as the account's channel cuts them."""
    spans = []
    for batch in batches:
        rule = rule_of(batch.account)
        start, end = rule.bounds(batch.first_day)[0], rule.bounds(batch.last_day)[1]
        payment_no = batch.account.payment_no
        spans.append(Span(batch.pk, batch.account_id, payment_no, start, end, batch.currency, batch.batch_no))
    return spans


def batch_data(batch: SettlementBatch) -> dict[str, Any]:
    """A batch as the contract answers it."""
    return {
        "batch_no": batch.batch_no, "date": batch.date.isoformat(), "payment_no": batch.account.payment_no,
        "currency": batch.currency, "expected": batch.expected, "received": batch.received, "fee": batch.fee,
        "difference": batch.difference, "state": str(batch.state),
    }  # fmt: skip
