"""Every channel with bills, through the whole of reconciliation: real files in, no difference out.

Payments are booked here as the channel's notifications would have had them; what the console gave back is learnt
from the bill alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from channels.base import BillRowKind
from merchants import channels as account_channels
from merchants.models import PaymentAccount
from reconciliation.bills import bill_fetch, bill_for, bill_import
from reconciliation.models import BillRow, Case, ReconciliationDay
from reconciliation.reconciling import day_match
from refunds.models import Refund
from tests import factories
from tests.contract.test_bills import Days, Happened, bill_sandbox, days, happened, history  # noqa: F401
from trades.models import Attempt, Trade

ZONE = ZoneInfo("Asia/Shanghai")
Reconcile = Callable[[date], int | None]


def book(made: Happened, account: PaymentAccount, order_no: str, amount: int, at: datetime) -> Attempt:
    """A payment that arrived, as our book has it."""
    app = factories.make_app(account.merchant)
    currency, rule = made.desk.case.currency, made.desk.provider.number_rule()
    order_day = at.astimezone(ZONE).strftime("%Y%m%d") if rule is not None else ""
    trade = factories.trade_open(
        app=app, order=factories.make_order(account.merchant, amount=amount, currency=currency)
    )
    number = f"A{secrets.token_hex(12).upper()}"
    attempt = Attempt.objects.create(
        attempt_no=number, trade=trade, account=account, channel=account.channel, method=made.desk.case.method,
        channel_order_no=order_no, order_day=order_day, amount=amount, currency=currency, state="succeeded",
        created_at=at, sent_at=at, expire_at=at, paid_amount=amount, paid_currency=currency, paid_at=at,
        channel_trade_no=f"CH-{number}",
    )  # fmt: skip
    Trade.objects.filter(pk=trade.pk).update(
        state="paid", settled_attempt=attempt, current_attempt=attempt, paid_amount=amount, paid_at=at
    )
    return attempt


@pytest.fixture
def account(db: None, happened: Happened, settings: Any, tmp_path: Any) -> PaymentAccount:  # noqa: F811
    """The contract's account here, with everything that was paid."""
    settings.VAR_DIR = tmp_path
    desk = happened.desk
    made = factories.make_account(
        factories.make_merchant(), channel=desk.case.channel, config=desk.config, methods=(desk.case.method,)
    )
    account_channels._cache[made.pk] = (made.config_version, desk.provider)
    for at, (kind, order_no, amount) in happened.events:
        if kind is BillRowKind.PAYMENT:
            book(happened, made, order_no, amount, at)
    return made


@pytest.fixture
def reconcile(account: PaymentAccount) -> Reconcile:
    def run(day: date) -> int | None:
        bill = bill_fetch(bill_id=bill_for(account=account, day=day).pk, actor="test")
        bill = bill_import(bill_id=bill.pk, actor="test")
        assert bill.state in ("imported", "empty"), (bill.refusal, bill.fetch_error)
        return day_match(day_id=ReconciliationDay.objects.get(account=account, day=day).pk)

    return run


def test_both_days_agree_and_what_the_console_gave_back_is_booked(
    happened: Happened, days: Days, account: PaymentAccount, reconcile: Reconcile  # noqa: F811
) -> None:
    for later in (0, 1):
        assert reconcile(days.first + timedelta(days=later)) == 0, list(Case.objects.values("kind", "evidence"))
    given_back = sorted(amount for _at, (kind, _order, amount) in happened.events if kind is BillRowKind.REFUND)
    assert sorted(Refund.objects.values_list("amount", flat=True)) == given_back
    assert set(Refund.objects.values_list("source", "state")) == {("external", "succeeded")}
    assert BillRow.objects.count() == len(happened.events)


def test_a_payment_that_is_not_booked_is_found(
    happened: Happened, days: Days, account: PaymentAccount, reconcile: Reconcile  # noqa: F811
) -> None:
    first = Attempt.objects.order_by("paid_at").first()
    assert first is not None
    Attempt.objects.filter(pk=first.pk).update(channel_order_no="0000000000", channel_trade_no="ANOTHER")
    for later in (0, 1):
        reconcile(days.first + timedelta(days=later))
    found = set(Case.objects.filter(subject="payment").values_list("kind", flat=True))
    assert found == {"missing_here", "missing_at_channel"}
