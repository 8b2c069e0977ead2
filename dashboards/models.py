"""What dashboards add up: sums per day, kept by folding numbered events into them, each exactly once.

A day is the merchant's own. Amounts are minor units of the row's currency. Zero in `app_id` or `account_id`
and an empty method mean: concerns none of them. Nothing but `dashboards.keeping` and `dashboards.rebuilding` writes.
"""

from __future__ import annotations

from django.db import models

from merchants.models import Merchant

# A channel's first answer came faster than so many milliseconds, and not faster than the one before.
ANSWER_BOUNDS = (200, 500, 1000, 2000, 5000)
# Columns that are added up. Created, closed: by the day the trade was opened; closed falls when late money revives it.
# Paid: by the day of the payment. Asked, succeeded, failed, unknown, answers: attempts, by the day they were sent.
# Refunds: by the day they ended. Fee: by the day of the bill that names it.
SUMS = (
    "created_count", "created_amount", "paid_count", "paid_amount", "closed_count", "closed_amount",
    "asked_count", "succeeded_count", "failed_count", "unknown_count", "refund_count", "refund_amount", "fee",
    "answer_count", "answer_us", *(f"under_{bound}" for bound in ANSWER_BOUNDS),
)  # fmt: skip


class Sums(models.Model):
    """The sums of one day. `unknown_count` are attempts whose first outcome was unknown, whatever became of them;
    `answer_us` is the sum of microseconds until the first outcome."""

    created_count = models.BigIntegerField(default=0)
    created_amount = models.BigIntegerField(default=0)  # as first asked for
    paid_count = models.BigIntegerField(default=0)
    paid_amount = models.BigIntegerField(default=0)
    closed_count = models.BigIntegerField(default=0)
    closed_amount = models.BigIntegerField(default=0)
    asked_count = models.BigIntegerField(default=0)
    succeeded_count = models.BigIntegerField(default=0)
    failed_count = models.BigIntegerField(default=0)
    unknown_count = models.BigIntegerField(default=0)
    refund_count = models.BigIntegerField(default=0)
    refund_amount = models.BigIntegerField(default=0)
    fee = models.BigIntegerField(default=0)
    answer_count = models.BigIntegerField(default=0)
    answer_us = models.BigIntegerField(default=0)
    under_200 = models.BigIntegerField(default=0)
    under_500 = models.BigIntegerField(default=0)
    under_1000 = models.BigIntegerField(default=0)
    under_2000 = models.BigIntegerField(default=0)
    under_5000 = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class PaymentDay(Sums):
    """One merchant's day by app, account and method."""

    pk = models.CompositePrimaryKey("merchant_id", "day", "app_id", "account_id", "method", "currency")
    merchant = models.ForeignKey(Merchant, models.PROTECT, db_index=False)
    day = models.DateField()
    app_id = models.BigIntegerField(default=0)
    account_id = models.BigIntegerField(default=0)
    method = models.CharField(max_length=32, default="")
    currency = models.CharField(max_length=3)

    class Meta:
        indexes = [
            models.Index(fields=["app_id", "day"], name="paymentday_app"),
            models.Index(fields=["day"], name="paymentday_day"),
        ]

    def __str__(self) -> str:
        return f"{self.merchant_id} {self.day} {self.method} {self.currency}"


class ChannelDay(Sums):
    """The same sums of all merchants together, by channel and method: few rows, however many merchants there are."""

    pk = models.CompositePrimaryKey("day", "channel", "method", "currency")
    day = models.DateField()
    channel = models.CharField(max_length=32, default="")
    method = models.CharField(max_length=32, default="")
    currency = models.CharField(max_length=3)

    def __str__(self) -> str:
        return f"{self.day} {self.channel} {self.method} {self.currency}"


class AppDay(Sums):
    """The same sums of one app at all its merchants together."""

    pk = models.CompositePrimaryKey("app_id", "day", "method", "currency")
    app_id = models.BigIntegerField()
    day = models.DateField()
    method = models.CharField(max_length=32, default="")
    currency = models.CharField(max_length=3)

    class Meta:
        indexes = [models.Index(fields=["day"], name="appday_day")]

    def __str__(self) -> str:
        return f"{self.app_id} {self.day} {self.method} {self.currency}"


class FoldedUpTo(models.Model):
    """One row: the last event that stands in the sums. Locking it makes one writer at a time."""

    seq = models.BigIntegerField(default=0)
