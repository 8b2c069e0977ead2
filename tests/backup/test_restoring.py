"""A center that lost its database comes back from a backup, and learns from the channel what happened since."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from deploy.backup import keeping
from deploy.backup.stores import Store, store_of
from merchants import channels as account_channels
from merchants.models import App, PaymentAccount
from merchants.onboarding import identity_of
from reconciliation.bills import bill_fetch, bill_for, bill_import
from reconciliation.models import Case, ReconciliationDay
from reconciliation.reconciling import day_match
from refunds.models import Refund
from refunds.verifying import wrong_sums
from sandbox.channel import channel_classes
from sandbox.context import Settings
from tests import factories
from tests.contract.desk import Contracts
from tests.sandbox.running import Running
from trades import sweeps
from trades.models import Attempt, ChannelCounter, Trade
from trades.services import trade_pay

CHANNEL, METHOD = "alipay", "alipay_qr"


class Center:
    """One merchant whose account is at the sandbox."""

    def __init__(self, sandbox: Running) -> None:
        config = Contracts(sandbox).config(CHANNEL, channel_classes()[CHANNEL].modes[0])
        self.sandbox, merchant = sandbox, factories.make_merchant()
        self.account = factories.make_account(
            merchant, channel=CHANNEL, config=config, methods=(METHOD,),
            identity=identity_of(account_channels.provider_for(CHANNEL), config),
        )  # fmt: skip
        self.app = factories.make_app(merchant)

    def order(self, amount: int) -> Attempt:
        return trade_pay(app=self.app, order=factories.make_order(self.account.merchant, amount=amount), method=METHOD)

    def payer_pays(self, attempt: Attempt) -> None:
        """The notification does not come: the center is down, or will have forgotten it."""
        self._control("/pay", {"attempt_no": attempt.attempt_no, "pay": attempt.pay, "notify": "none"})

    def console_refunds(self, attempt: Attempt, amount: int) -> None:
        self._control("/refunds", {"attempt_no": attempt.attempt_no, "amount": amount})

    def _control(self, path: str, data: dict[str, Any]) -> None:
        answer = self.sandbox.control("POST", path, data)
        assert answer.status == 200, answer.text

    @staticmethod
    def asks() -> None:
        """A worker asks the channel about everything open, now."""
        Attempt.objects.exclude(state__in=("succeeded", "closed", "failed")).update(next_query_at=timezone.now())
        sweeps.query_due()

    def reconciles_today(self) -> None:
        day = datetime.now(ZoneInfo("Asia/Shanghai")).date()
        account = PaymentAccount.objects.get(pk=self.account.pk)
        bill = bill_import(bill_id=bill_fetch(bill_id=bill_for(account=account, day=day).pk, actor="x").pk, actor="x")
        assert bill.state == "imported", (bill.refusal, bill.fetch_error)
        day_match(day_id=ReconciliationDay.objects.get(account=account, day=day).pk)


@pytest.fixture
def center(transactional_db: None, settings: Any, tmp_path: Path) -> Iterator[Center]:
    settings.VAR_DIR = tmp_path / "var"
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:9"
    running = Running(tmp_path / "sandbox", Settings(same_day_bills=True))
    yield Center(running)
    running.stop()


def the_database() -> Store:
    values = connection.settings_dict
    login = f"{quote(values['USER'])}:{quote(values['PASSWORD'])}@{values['HOST']}:{values['PORT']}"
    return store_of(f"postgres://{login}/{values['NAME']}")


def disconnect() -> None:
    """As when every program of the center is stopped."""
    connection.close()
    connection.close_pool()


@pytest.mark.postgres
def test_books_agree_to_the_cent_after_a_restore(center: Center, settings: Any, tmp_path: Path) -> None:
    before, during = center.order(1000), center.order(250)
    center.payer_pays(before)
    center.asks()
    ChannelCounter.objects.create(scope="bank:1", day=f"{timezone.localdate():%Y%m%d}", last=41)
    keys = settings.ENCRYPTION_KEYS
    backup = keeping.take(the_database(), settings.VAR_DIR, tmp_path / "backups", keys)

    # What the backup does not know: an open order is paid, another comes and is paid, some money goes back.
    center.payer_pays(during)
    lost = center.order(77)
    center.payer_pays(lost)
    center.console_refunds(before, 300)
    center.asks()
    assert sorted(Trade.objects.filter(state="paid").values_list("paid_amount", flat=True)) == [77, 250, 1000]

    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    disconnect()
    keeping.restore(keeping.load(backup.folder), the_database(), settings.VAR_DIR, keys=keys, replace=False)
    account_channels._cache.clear()

    assert Trade.objects.filter(state="paid").values_list("paid_amount", flat=True).get() == 1000
    assert not Attempt.objects.filter(attempt_no=lost.attempt_no).exists()
    call_command("verify_audit")
    call_command("verify_sums")
    call_command("after_restore")
    assert ChannelCounter.objects.get().last == 10_041  # the numbers given out meanwhile are not given again
    assert App.objects.get().webhook_secret == factories.WEBHOOK_SECRET

    sweeps.query_due()
    assert sorted(Trade.objects.filter(state="paid").values_list("paid_amount", flat=True)) == [250, 1000]
    center.reconciles_today()
    found = Case.objects.get()
    assert (found.kind, found.channel_amount, found.our_amount) == ("missing_here", 77, None)
    assert Refund.objects.values_list("source", "state", "amount").get() == ("external", "succeeded", 300)
    ours = sum(Trade.objects.values_list("paid_amount", flat=True)) + found.difference
    assert ours == 1000 + 250 + 77  # every cent of the channel's book has its place
    assert list(wrong_sums()) == []
    call_command("verify_audit")
