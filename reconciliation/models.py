"""Bills as they came and their rows, what became of each account's day, and the differences found."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField

from channels.base.bills import BillKind, BillRowKind, BillRowState
from merchants.models import App, PaymentAccount, User
from reconciliation.settlement.models import BankProfile as BankProfile
from reconciliation.settlement.models import BankReceipt as BankReceipt
from reconciliation.settlement.models import FeeRate as FeeRate
from reconciliation.settlement.models import SettlementBatch as SettlementBatch
from reconciliation.settlement.models import SettlementCalendar as SettlementCalendar
from reconciliation.settlement.models import SettlementRow as SettlementRow
from reconciliation.settlement.models import SettlementTerms as SettlementTerms
from reconciliation.states import BillState, BillStates, CaseState, CaseStates
from trades.models import Attempt

BILL_KINDS = [(BillKind.TRADE.value, _("payments and refunds")), (BillKind.FUND.value, _("movements of money"))]


class Bill(BillStates, models.Model):
    """One account's bill of one day, as its channel wrote it. The file stands below `VAR_DIR/bills`.

    `next_fetch_at` and `next_import_at` are due times, NULL when there is nothing to do. `run` counts the
    readings: a reader whose number is not the last one any more stops. Rows of a bill that is neither
    imported nor empty are nobody's business.
    """

    account = models.ForeignKey(PaymentAccount, models.PROTECT, verbose_name=_("payment account"))
    day = models.DateField(_("day"))
    kind = models.CharField(_("kind"), max_length=8, choices=BILL_KINDS, default=BillKind.TRADE.value)
    state = FSMField(
        _("state"), choices=BillState.choices, default=BillState.AWAITED, protected=True, editable=False
    )
    file_name = models.CharField(_("file name"), max_length=200, blank=True, default="")
    file_path = models.CharField(max_length=300, blank=True, default="")  # below VAR_DIR/bills
    file_size = models.BigIntegerField(_("bytes"), default=0)
    sha256 = models.CharField(_("SHA-256"), max_length=64, blank=True, default="")
    uploaded_by = models.CharField(_("uploaded by"), max_length=100, blank=True, default="")
    rows_read = models.BigIntegerField(_("rows"), default=0)
    # Per currency: {"CNY": {"count", "paid", "refunds", "refunded", "fee"}}.
    totals = models.JSONField(_("sums"), default=dict)
    refusal = models.CharField(_("why refused"), max_length=300, blank=True, default="")
    refusal_line = models.BigIntegerField(_("line"), null=True)
    fetch_error = models.CharField(_("last trouble"), max_length=300, blank=True, default="")
    fetch_tries = models.PositiveIntegerField(_("tries"), default=0)
    next_fetch_at = models.DateTimeField(_("next try"), null=True)
    next_import_at = models.DateTimeField(null=True)
    run = models.IntegerField(default=0)
    imported_at = models.DateTimeField(_("imported at"), null=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    version = models.IntegerField(default=0)

    class Meta:
        verbose_name = _("bill")
        verbose_name_plural = _("bills")
        permissions = [("upload_bill", "Can upload and fetch bills")]
        constraints = [models.UniqueConstraint(fields=["account", "day", "kind"], name="bill_one_per_day")]
        indexes = [
            models.Index(fields=["next_fetch_at"], condition=Q(next_fetch_at__isnull=False), name="bill_fetch_due"),
            models.Index(fields=["next_import_at"], condition=Q(next_import_at__isnull=False), name="bill_import_due"),
            models.Index(fields=["-day", "-id"], name="bill_day"),
        ]

    def __str__(self) -> str:
        return f"{self.account} · {self.day} · {self.get_kind_display()}"

    def event_fields(self) -> dict[str, Any]:
        detail = {"payment_no": self.account.payment_no, "day": self.day.isoformat(), "kind": self.kind}
        return {"merchant_no": self.account.merchant.merchant_no, "detail": detail}


class BillRow(models.Model):
    """One line of a bill. Narrow, written in bulk and never changed: a bill may have millions.

    `key` is what it is matched by: of a payment the number we sent (with its day where numbers repeat on
    other days), of a refund the refund's number; `#` and the channel's own where the line names none.
    """

    pk = models.CompositePrimaryKey("bill_id", "line")
    # Checked by whoever writes them; the database's own check would cost more than the rows.
    bill = models.ForeignKey(Bill, models.PROTECT, related_name="rows", db_index=False, db_constraint=False)
    line = models.IntegerField(_("line"))
    account = models.ForeignKey(PaymentAccount, models.PROTECT, db_index=False, db_constraint=False)
    kind = models.CharField(_("kind"), max_length=8, choices=[(k.value, k.value) for k in BillRowKind])
    state = models.CharField(_("state"), max_length=10, choices=[(s.value, s.value) for s in BillRowState])
    key = models.CharField(max_length=72)
    amount = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    fee = models.BigIntegerField(_("fee"), null=True)
    occurred_at = models.DateTimeField(_("time"))
    order_no = models.CharField(_("channel order number"), max_length=64)
    channel_trade_no = models.CharField(_("channel's number"), max_length=64)
    refund_no = models.CharField(_("refund number"), max_length=64)
    channel_refund_no = models.CharField(_("channel's refund number"), max_length=64)
    channel_state = models.CharField(_("channel's word"), max_length=32)

    class Meta:
        verbose_name = _("bill row")
        verbose_name_plural = _("bill rows")
        indexes = [
            models.Index(fields=["account", "kind", "key"], name="billrow_key"),
            # Lists, in the order of bills and lines. Most lines are payments that succeeded: met soon without an index.
            models.Index(fields=["kind", "bill", "line"], condition=~Q(kind="payment"), name="billrow_kind_list"),
            models.Index(fields=["state", "bill", "line"], condition=~Q(state="succeeded"), name="billrow_state_list"),
        ]

    def __str__(self) -> str:
        return f"{self.bill_id}:{self.line}"


class ReconciliationDay(models.Model):
    """One account's day: what both sides say in sum, and whether they were compared."""

    account = models.ForeignKey(PaymentAccount, models.PROTECT, verbose_name=_("payment account"))
    day = models.DateField(_("day"))
    next_match_at = models.DateTimeField(null=True)
    matched_at = models.DateTimeField(_("compared at"), null=True)
    # Per currency: {"CNY": {"count", "paid", "refunds", "refunded"}} and, of the channel, "fee".
    ours = models.JSONField(_("our sums"), default=dict)
    theirs = models.JSONField(_("the channel's sums"), default=dict)

    class Meta:
        verbose_name = _("reconciliation day")
        verbose_name_plural = _("reconciliation days")
        constraints = [models.UniqueConstraint(fields=["account", "day"], name="reconday_unique")]
        indexes = [
            models.Index(fields=["next_match_at"], condition=Q(next_match_at__isnull=False), name="reconday_due"),
            models.Index(fields=["-day", "-id"], name="reconday_day"),
        ]

    def __str__(self) -> str:
        return f"{self.account} · {self.day}"

    def event_fields(self) -> dict[str, Any]:
        detail = {"payment_no": self.account.payment_no, "day": self.day.isoformat()}
        return {"merchant_no": self.account.merchant.merchant_no, "detail": detail}


class Subject(models.TextChoices):
    PAYMENT = "payment", _("payment")
    REFUND = "refund", _("refund")


class CaseKind(models.TextChoices):
    CURRENCY = "currency", _("another currency")
    AMOUNT = "amount", _("another amount")
    STATUS = "status", _("another state")
    MISSING_AT_CHANNEL = "missing_at_channel", _("missing at the channel")
    MISSING_HERE = "missing_here", _("missing here")
    FEE = "fee", _("another fee")
    EXCESS = "excess", _("more given back than paid")


class CaseOutcome(models.TextChoices):
    MATCHED = "matched", _("a later bill explained it")
    ASKED = "asked", _("the channel's answer settled it")
    CORRECTED = "corrected", _("the channel corrected it")
    REFUNDED = "refunded", _("given back")
    ELSEWHERE = "elsewhere", _("not ours: taken by another system")
    ACCEPTED = "accepted", _("accepted as it is")


class Case(CaseStates, models.Model):
    """A difference between our book and a bill, until it is explained. One per thing and kind.

    `evidence` keeps both sides as they stood (`ours`, `theirs`) and the channel's live word (`asked`).
    `carry_until` is the bill day by which a later bill has to explain it. `next_ask_at` is when the
    channel is asked about it next.
    """

    account = models.ForeignKey(PaymentAccount, models.PROTECT, verbose_name=_("payment account"))
    app = models.ForeignKey(App, models.PROTECT, null=True, verbose_name=_("app"))
    day = models.DateField(_("day"))
    subject = models.CharField(_("concerns"), max_length=8, choices=Subject)
    kind = models.CharField(_("difference"), max_length=20, choices=CaseKind)
    state = FSMField(_("state"), choices=CaseState.choices, default=CaseState.OPEN, protected=True, editable=False)
    key = models.CharField(max_length=72)
    bill = models.ForeignKey(Bill, models.PROTECT, null=True, verbose_name=_("bill"))
    line = models.IntegerField(_("line"), null=True)
    attempt = models.ForeignKey(Attempt, models.PROTECT, null=True, verbose_name=_("attempt"))
    record_id = models.BigIntegerField(null=True)  # of a refund: its row in `refunds`
    trade_no = models.CharField(_("trade number"), max_length=32, blank=True, default="")
    attempt_no = models.CharField(_("attempt number"), max_length=32, blank=True, default="")
    refund_no = models.CharField(_("refund number"), max_length=32, blank=True, default="")
    our_amount = models.BigIntegerField(_("our amount"), null=True)
    channel_amount = models.BigIntegerField(_("the channel's amount"), null=True)
    currency = models.CharField(_("currency"), max_length=3)
    difference = models.BigIntegerField(_("amount"))  # how much money is unexplained, never negative
    evidence = models.JSONField(_("evidence"), default=dict)
    carry_until = models.DateField(_("carried until"), null=True)
    owner = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", verbose_name=_("owner"))
    outcome = models.CharField(_("outcome"), max_length=12, choices=CaseOutcome, blank=True, default="")
    reason = models.CharField(_("reason"), max_length=300, blank=True, default="")
    proposed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", verbose_name=_("proposed by"))
    closed_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", verbose_name=_("closed by"))
    next_ask_at = models.DateTimeField(_("asked next"), null=True)
    asks = models.PositiveIntegerField(_("times asked"), default=0)
    opened_at = models.DateTimeField(_("found"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    version = models.IntegerField(default=1)

    class Meta:
        verbose_name = _("case")
        verbose_name_plural = _("cases")
        permissions = [("settle_case", "Can work on cases and close them")]
        constraints = [
            models.UniqueConstraint(fields=["account", "subject", "key", "kind"], name="case_one_per_difference"),
            models.CheckConstraint(
                name="case_two_people",
                condition=Q(proposed_by__isnull=True)
                | Q(closed_by__isnull=True)
                | ~Q(proposed_by=models.F("closed_by")),
            ),
        ]
        indexes = [
            models.Index(fields=["next_ask_at"], condition=Q(next_ask_at__isnull=False), name="case_ask_due"),
            models.Index(
                fields=["account", "day"], condition=Q(state__in=["carried", "open", "closing"]), name="case_live"
            ),
            models.Index(fields=["state", "-id"], name="case_state"),
            models.Index(fields=["trade_no"], condition=~Q(trade_no=""), name="case_trade"),
            models.Index(fields=["attempt_no"], condition=~Q(attempt_no=""), name="case_attempt"),
            models.Index(fields=["refund_no"], condition=~Q(refund_no=""), name="case_refund"),
            models.Index(fields=["key"], name="case_key"),
            models.Index(fields=["kind", "-id"], name="case_kind"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.get_subject_display()} · {self.get_kind_display()}"

    def event_fields(self) -> dict[str, Any]:
        return {
            "app_id": self.app.app_id if self.app else "", "merchant_no": self.account.merchant.merchant_no,
            "trade_no": self.trade_no, "attempt_no": self.attempt_no, "refund_no": self.refund_no,
            "detail": {"kind": self.kind, "difference": self.difference, "currency": self.currency},
        }  # fmt: skip
