"""The made-up past is one that the services could have written."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F, Q, Sum

from dashboards.folding import ANSWERS
from dashboards.models import PaymentDay
from deploy.history.tables import CopySink, Table
from merchants.models import Merchant
from notifications.models import Notification
from onboarding.models import Application
from paycenter import audit
from paycenter.models import Event
from reconciliation.models import Bill, BillRow, Case, ReconciliationDay, SettlementBatch
from reconciliation.reconciling import day_match
from refunds.models import Approval, Refund
from refunds.selectors import refund_data
from refunds.states import RESERVING_STATES
from tests.fakes.staff import make_staff, signed_in
from trades.models import AbnormalPayment, Attempt, Trade
from trades.selectors import trade_data

TRADES = 700


@pytest.fixture
def past(db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, settings: Any) -> None:
    """Two months with more refunds, differences and late money than usual."""
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr("deploy.history.refunding.SHARE", 0.35)
    monkeypatch.setattr("deploy.history.bills.ONE_IN", 25)
    monkeypatch.setattr("deploy.history.story.LATE_SHARE", 0.4)
    call_command("demo_data", trades=TRADES, days=60, seed=7, log_days=40, verbosity=0)


def _without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


def test_the_past_is_whole_and_agrees_with_itself(past: None) -> None:
    assert Trade.objects.count() == TRADES
    connection.check_constraints()
    assert audit.verify().unsequenced == 0
    assert AbnormalPayment.objects.filter(kind="late").count() > 3
    _sums_agree()
    _records_agree()
    _bills_agree()
    _messages_agree()
    _pages_work()
    _dashboards_and_applications_have_something()
    _more_can_be_added()


def _sums_agree() -> None:
    paid = Trade.objects.filter(state="paid")
    assert paid.count() > TRADES * 0.8
    assert not paid.exclude(settled_attempt__state="succeeded", settled_attempt__paid_amount=F("paid_amount")).exists()
    for source in (*paid, *AbnormalPayment.objects.all()):
        refunds = source.refunds.filter(abnormal=None) if isinstance(source, Trade) else source.refunds.all()
        went = refunds.filter(state="succeeded").aggregate(s=Sum("amount"))["s"] or 0
        held = refunds.filter(state__in=RESERVING_STATES).aggregate(s=Sum("amount"))["s"] or 0
        assert (source.refunded_amount, source.refunding_amount) == (went, held)
    approved = Refund.objects.filter(approved_at__isnull=False)
    assert {r.pk for r in approved if Approval.objects.filter(refund=r, decision="approve").count()
            < r.approvals_needed} == set()  # fmt: skip
    assert len(set(Refund.objects.values_list("state", flat=True))) > 1


def _records_agree() -> None:
    """The last public word about a record is what its query answers now."""
    told: dict[str, dict[str, Any]] = {}
    for event in Event.objects.filter(public=True).order_by("id"):
        data = event.data or {}
        told[data.get("refund_no") or data["trade_no"]] = data
    assert len(told) > TRADES // 2
    trades = Trade.objects.select_related("app", "merchant", "current_attempt", "settled_attempt")
    for trade in trades.filter(trade_no__in=told)[:400]:
        later = ("notify_state", "notified_at", "duplicate")  # the message was delivered after it was told of
        assert _without(told[trade.trade_no], *later) == _without(trade_data(trade), *later)
    for refund in Refund.objects.select_related("trade", "attempt").filter(refund_no__in=told):
        assert told[refund.refund_no] == refund_data(refund)


def _bills_agree() -> None:
    """The comparison of the product finds the planted differences and nothing else."""
    planted = Case.objects.count()
    assert len(set(Case.objects.values_list("kind", flat=True))) == 4
    for day in ReconciliationDay.objects.filter(matched_at__isnull=False).order_by("-day")[:8]:
        sums = day.ours
        day_match(day_id=day.pk)
        assert ReconciliationDay.objects.get(pk=day.pk).ours == sums
    assert Case.objects.count() == planted
    for bill in Bill.objects.all()[:5]:
        assert BillRow.objects.filter(bill=bill).count() == bill.rows_read
    settled = SettlementBatch.objects.filter(state="settled")
    assert settled.exists()
    assert not settled.exclude(expected=F("received") + F("fee")).exists()


def _messages_agree() -> None:
    found = Counter(Notification.objects.values_list("state", flat=True))
    assert found["delivered"] > 50
    wrong = Q(state="delivered", delivered_at=None) | Q(state="pending", next_delivery_at=None)
    assert not Notification.objects.filter(wrong).exists()
    assert not Attempt.objects.filter(state="succeeded", channel_trade_no=None).exists()


def _pages_work() -> None:
    desk = signed_in(make_staff("operator", is_superuser=True))
    for path in ("", "trades/trade/", "refunds/refund/?state=all", "trades/abnormalpayment/?state=all",
                 "reconciliation/bill/", "reconciliation/case/", "paycenter/event/"):  # fmt: skip
        assert desk.get(f"/admin/{path}").status_code == 200, path
    refunded = Refund.objects.filter(state="succeeded").first()
    assert refunded is not None
    page = desk.get(f"/admin/trades/trade/{refunded.trade_id}/change/").content.decode()
    assert refunded.refund_no in page


def _dashboards_and_applications_have_something() -> None:
    assert PaymentDay.objects.aggregate(n=Sum("paid_count"))["n"] == Trade.objects.filter(state="paid").count()
    answered = Event.objects.filter(object_type="attempt", from_state="created", to_state__in=ANSWERS).count()
    assert PaymentDay.objects.aggregate(n=Sum("answer_count"))["n"] == answered
    desk = signed_in(make_staff("operator", username="reviewer"))
    draft, waiting = Application.objects.order_by("merchant__state")
    assert (draft.merchant.state, waiting.merchant.state) == ("draft", "review")
    assert draft.documents.count() == 1
    page = desk.get(f"/admin/onboarding/application/{waiting.pk}/review/").content.decode()
    document = waiting.documents.latest("pk")
    assert document.name in page
    assert desk.get(f"/admin/onboarding/application/{waiting.pk}/file/{document.pk}/").status_code == 200


def _more_can_be_added() -> None:
    merchants = Merchant.objects.count()
    call_command("demo_data", trades=20, days=3, seed=8, verbosity=0)
    assert (Trade.objects.count(), Merchant.objects.count()) == (TRADES + 20, merchants)
    audit.verify()


def test_never_in_production(db: None, settings: Any) -> None:
    settings.MODE = "production"
    with pytest.raises(CommandError, match="production"):
        call_command("demo_data", trades=10)
    assert not Trade.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_past_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, settings: Any) -> None:
    """One row needs escaping: portions that wait behind it may not be written when the transaction is over."""
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr("deploy.history.build.PORTION", 50)
    monkeypatch.setattr("deploy.history.tables._WAITING", 2)
    prefixes = {"fee": "W\\", "parking": "T", "utility": "S", "overseas": "H"}
    monkeypatch.setattr("deploy.history.story._ORDER_PREFIX", prefixes)
    with pytest.raises(ValueError, match="needs escaping"):
        call_command("demo_data", trades=600, days=20, seed=7, log_days=10, verbosity=0)
    connection.close()
    assert not Trade.objects.exists()
    assert not Event.objects.filter(type="trade.created").exists()
    assert not BillRow.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db
def test_what_waits_when_it_fails_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The portion under way ends in the transaction; those behind it would be written after its end."""
    table = Table(Trade, "id", "trade_no")
    sink, gate, written = CopySink([table]), threading.Event(), list[int]()
    monkeypatch.setattr(sink, "_copy", lambda *_args: written.append(1) if gate.wait(10) else None)
    for number in range(5):
        sink.write(table, [(number, f"P{number}")])
    threading.Timer(0.3, gate.set).start()
    sink.abort()
    assert written == [1]
    time.sleep(0.3)
    assert written == [1]
