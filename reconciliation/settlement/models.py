"""What a channel charges and when it pays out; the batches expected of it and what the bank received."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django_fsm import FSMField

from merchants.models import PaymentAccount, User
from reconciliation.fees import Rate, Rounding
from reconciliation.settlement.states import BatchState, BatchStates

ROUNDINGS = [
    (Rounding.HALF_UP.value, _("half up")), (Rounding.HALF_EVEN.value, _("half to even")),
    (Rounding.UP.value, _("up")), (Rounding.DOWN.value, _("down")),
]  # fmt: skip


class FeeRate(models.Model):
    """What a channel charges for payments of one method from a day on; method empty: all that have no own."""

    account = models.ForeignKey(PaymentAccount, models.CASCADE, related_name="+", verbose_name=_("payment account"))
    method = models.CharField(_("pay method"), max_length=32, blank=True, default="")
    from_day = models.DateField(pgettext_lazy("fee rate", "from"))
    ppm = models.PositiveIntegerField(_("millionths of the amount"), default=0, help_text=_("0.6 % is 6000."))
    rounding = models.CharField(_("rounding"), max_length=9, choices=ROUNDINGS, default=Rounding.HALF_UP.value)
    fixed = models.PositiveIntegerField(_("fixed part"), default=0, help_text=_("Minor units (fen)."))
    least = models.PositiveIntegerField(_("at least"), default=0)
    most = models.PositiveIntegerField(_("at most"), null=True, blank=True)

    class Meta:
        verbose_name = _("fee rate")
        verbose_name_plural = _("fee rates")
        ordering = ["account", "method", "-from_day"]
        constraints = [models.UniqueConstraint(fields=["account", "method", "from_day"], name="feerate_unique")]

    def __str__(self) -> str:
        return f"{self.account} · {self.method or '*'} · {self.ppm / 10_000} %"

    @property
    def rate(self) -> Rate:
        return Rate(
            ppm=self.ppm, rounding=Rounding(self.rounding), fixed=self.fixed, least=self.least, most=self.most
        )

    def event_fields(self) -> dict[str, Any]:
        return self.account.event_fields()


class SettlementCalendar(models.Model):
    """Days on which banks do not settle. Saturdays and Sundays are holidays unless they are listed as worked."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    holidays = models.JSONField(_("holidays"), default=list, blank=True, help_text=_("ISO dates."))
    workdays = models.JSONField(_("weekends that are worked"), default=list, blank=True)

    class Meta:
        verbose_name = _("settlement calendar")
        verbose_name_plural = _("settlement calendars")

    def __str__(self) -> str:
        return self.name


class SettlementTerms(models.Model):
    """When an account's money arrives: `days_after` the day it was paid, counted in working days or in all."""

    account = models.OneToOneField(
        PaymentAccount, models.CASCADE, related_name="+", verbose_name=_("payment account")
    )
    days_after = models.PositiveSmallIntegerField(_("days after (T+)"), default=1)
    working_days = models.BooleanField(_("working days only"), default=True)
    calendar = models.ForeignKey(
        SettlementCalendar, models.PROTECT, null=True, blank=True, verbose_name=_("calendar")
    )

    class Meta:
        verbose_name = _("settlement terms")
        verbose_name_plural = _("settlement terms")

    def __str__(self) -> str:
        return f"{self.account} · T+{self.days_after}"

    def event_fields(self) -> dict[str, Any]:
        return self.account.event_fields()


class SettlementBatch(BatchStates, models.Model):
    """What one account's bank should receive on one day: everything of the days `first_day` to `last_day`.

    `expected` is paid minus refunded; right is `received + fee = expected`, `difference` what is too much
    (positive) or missing.
    """

    batch_no = models.CharField(_("batch number"), max_length=32, unique=True)
    account = models.ForeignKey(PaymentAccount, models.PROTECT, verbose_name=_("payment account"))
    date = models.DateField(_("settlement day"))
    currency = models.CharField(_("currency"), max_length=3)
    state = FSMField(
        _("state"), choices=BatchState.choices, default=BatchState.EXPECTED, protected=True, editable=False
    )
    first_day = models.DateField(_("first day"))
    last_day = models.DateField(_("last day"))
    paid = models.BigIntegerField(_("paid"), default=0)
    refunded = models.BigIntegerField(_("refunded"), default=0)
    expected = models.BigIntegerField(_("expected"), default=0)
    fee = models.BigIntegerField(_("fee"), default=0)
    received = models.BigIntegerField(_("received"), null=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True, default="")
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", verbose_name=_("decided by"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    version = models.IntegerField(default=1)

    class Meta:
        verbose_name = _("settlement batch")
        verbose_name_plural = _("settlement batches")
        permissions = [("settle_settlementbatch", "Can import receipts and decide on settlement batches")]
        constraints = [models.UniqueConstraint(fields=["account", "date", "currency"], name="batch_unique")]
        indexes = [
            models.Index(fields=["-date", "-id"], name="batch_date"),
            models.Index(
                fields=["date", "id"], condition=Q(state__in=["expected", "blocked", "different"]),
                name="batch_unsettled",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.batch_no

    @property
    def difference(self) -> int | None:
        """Positive: more arrived than was expected."""
        return None if self.received is None else self.received + self.fee - self.expected

    def event_fields(self) -> dict[str, Any]:
        detail = {"batch_no": self.batch_no, "date": self.date.isoformat()}
        return {"merchant_no": self.account.merchant.merchant_no, "detail": detail}


class BankProfile(models.Model):
    """How one bank writes its statement: which column is what. `senders` tell whose money it is:
    `{"text in the purpose": "payment number"}`."""

    name = models.CharField(_("bank"), max_length=64, unique=True)
    encoding = models.CharField(_("encoding"), max_length=16, default="utf-8-sig")
    delimiter = models.CharField(_("delimiter"), max_length=1, default=",")
    date_column = models.CharField(_("column of the day"), max_length=64)
    date_format = models.CharField(_("format of the day"), max_length=32, default="%Y-%m-%d")
    amount_column = models.CharField(_("column of the amount"), max_length=64)
    reference_column = models.CharField(_("column of the bank's number"), max_length=64)
    purpose_column = models.CharField(_("column of the purpose"), max_length=64, blank=True, default="")
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    senders = models.JSONField(_("senders"), default=dict, blank=True)

    class Meta:
        verbose_name = _("bank statement format")
        verbose_name_plural = _("bank statement formats")

    def __str__(self) -> str:
        return self.name


class BankReceipt(models.Model):
    """Money that a bank account received, one line of its statement. The same line again is the same receipt."""

    profile = models.ForeignKey(BankProfile, models.PROTECT, verbose_name=_("bank"))
    account = models.ForeignKey(PaymentAccount, models.PROTECT, verbose_name=_("payment account"))
    batch = models.ForeignKey(
        SettlementBatch, models.PROTECT, null=True, related_name="receipts", verbose_name=_("batch")
    )
    received_on = models.DateField(_("day"))
    amount = models.BigIntegerField(_("amount"))  # negative: the bank took it back
    currency = models.CharField(_("currency"), max_length=3)
    reference = models.CharField(_("bank's number"), max_length=64)
    purpose = models.CharField(_("purpose"), max_length=200, blank=True, default="")
    file_sha256 = models.CharField(max_length=64)
    line = models.IntegerField(_("line"))

    class Meta:
        verbose_name = _("bank receipt")
        verbose_name_plural = _("bank receipts")
        constraints = [
            models.UniqueConstraint(fields=["profile", "reference", "received_on"], name="receipt_unique"),
            models.CheckConstraint(name="receipt_not_zero", condition=~Q(amount=0)),
        ]
        indexes = [models.Index(fields=["account", "received_on"], name="receipt_account_day")]

    def __str__(self) -> str:
        return f"{self.reference} · {self.received_on}"


class LineKind(models.TextChoices):
    NOT_SETTLED = "not_settled", _("in the bill, not in the movements of money")
    NOT_IN_BILL = "not_in_bill", _("in the movements of money, not in the bill")
    BANK_REFUND = "bank_refund", _("given back by the bank or the channel")
    AMOUNT = "amount", _("another amount")


class SettlementRow(models.Model):
    """A line of a batch on which the channel's own movements of money and its bill of payments do not agree."""

    batch = models.ForeignKey(
        SettlementBatch, models.CASCADE, related_name="differences", verbose_name=_("batch")
    )
    kind = models.CharField(_("difference"), max_length=12, choices=LineKind)
    bill_id = models.BigIntegerField()
    line = models.IntegerField(_("line"))
    channel_trade_no = models.CharField(_("channel's number"), max_length=64, blank=True, default="")
    bill_amount = models.BigIntegerField(_("in the bill"), null=True)
    moved_amount = models.BigIntegerField(_("moved"), null=True)

    class Meta:
        verbose_name = _("settlement difference")
        verbose_name_plural = _("settlement differences")
        constraints = [models.UniqueConstraint(fields=["batch", "bill_id", "line"], name="settlementrow_unique")]

    def __str__(self) -> str:
        return f"{self.batch_id} · {self.channel_trade_no}"
