"""Refunds, who decided on them and by which policy, and what was paid out by hand.

Amounts are minor units of the refund's currency. A refund gives back from exactly one source: the money
that settled its trade, or one abnormal payment of that trade; its sum is reserved on that row.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField
from simple_history.models import HistoricalRecords

from merchants.models import App, Merchant, PaymentAccount, Role, User
from paycenter.crypto import EncryptedJSONField
from paycenter.money import MAX_MINOR, Money
from refunds.states import RefundState, RefundStates
from trades.models import AbnormalPayment, Attempt, Trade


class RefundType(models.TextChoices):
    FULL = "full", _("full")
    PARTIAL = "partial", _("partial")


class RefundKind(models.TextChoices):
    BUSINESS = "business", _("business")
    DUPLICATE = "duplicate", _("paid twice")
    ABNORMAL = "abnormal", _("abnormal payment")


class RefundRoute(models.TextChoices):
    ORIGINAL = "original", _("the way it came")
    MANUAL = "manual", _("paid out by hand")
    BALANCE = "balance", _("to the payer's balance")


class RefundSource(models.TextChoices):
    API = "api", _("app")
    ADMIN = "admin", _("staff")
    POLICY = "policy", _("policy")
    EXTERNAL = "external", _("channel or bank")


class LatePayment(models.TextChoices):
    ASK = "ask", _("ask a person")
    REVIVE = "revive", _("revive the order")
    REFUND = "refund", _("refund it")


class OtherMoney(models.TextChoices):
    ASK = "ask", _("ask a person")
    REFUND = "refund", _("refund it")


def default_approvers() -> list[str]:
    return [Role.FINANCE.value]


class RefundPolicy(models.Model):
    """What is refunded automatically and who decides on the rest, for one app and merchant.

    `currency` is blank in the policy for every currency that has none of its own. Changes take effect only
    when a second person confirms them (`refunds.policies`).
    """

    app = models.ForeignKey(App, models.PROTECT, related_name="refund_policies", verbose_name=_("app"))
    merchant = models.ForeignKey(Merchant, models.PROTECT, verbose_name=_("merchant"))
    currency = models.CharField(
        _("currency"), max_length=3, blank=True, default="", help_text=_("Blank: every currency without its own.")
    )
    automatic_up_to = models.BigIntegerField(
        _("automatic up to"), default=0, help_text=_("Up to this amount nobody has to approve. Zero: never.")
    )
    one_approval_up_to = models.BigIntegerField(
        _("one approval up to"), default=1_000_000, help_text=_("Above this amount two people have to approve.")
    )
    daily_ceiling = models.BigIntegerField(
        _("automatic per day"), null=True, blank=True,
        help_text=_("When the day's automatic refunds reach this sum, the next ones need approval. Blank: none."),
    )  # fmt: skip
    approver_roles = models.JSONField(_("who may approve"), default=default_approvers)
    approval_hours = models.PositiveIntegerField(
        _("hours an approval lives"), default=72, help_text=_("What is not sent by then has to be approved afresh.")
    )
    window_days = models.PositiveIntegerField(
        _("refundable for (days)"), default=365, help_text=_("Counted from the payment.")
    )
    spacing_seconds = models.PositiveIntegerField(
        _("seconds between partial refunds"), default=0, help_text=_("Some channels refuse them in quick succession.")
    )
    late_payment = models.CharField(
        _("money after closing"), max_length=8, choices=LatePayment, default=LatePayment.ASK
    )
    duplicate_payment = models.CharField(
        _("money paid twice"), max_length=8, choices=OtherMoney, default=OtherMoney.ASK
    )
    wrong_payment = models.CharField(
        _("money of another amount or currency"), max_length=8, choices=OtherMoney, default=OtherMoney.ASK
    )
    abnormal_automatic_up_to = models.BigIntegerField(
        _("abnormal money refunded by policy, automatic up to"), default=0,
        help_text=_("Above this amount such a refund is asked for by policy and approved by people."),
    )  # fmt: skip
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    history = HistoricalRecords()

    class Meta:
        verbose_name = _("refund policy")
        verbose_name_plural = _("refund policies")
        ordering = ["app", "merchant", "currency"]
        constraints = [
            models.UniqueConstraint(fields=["app", "merchant", "currency"], name="refundpolicy_unique"),
            models.CheckConstraint(
                name="refundpolicy_amounts",
                condition=Q(automatic_up_to__gte=0, one_approval_up_to__gte=F("automatic_up_to"))
                & Q(abnormal_automatic_up_to__gte=0, one_approval_up_to__lte=MAX_MINOR)
                & (Q(daily_ceiling__isnull=True) | Q(daily_ceiling__gte=0)),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.app} · {self.merchant} {self.currency}".rstrip()

    def event_fields(self) -> dict[str, Any]:
        return {"app_id": self.app.app_id, "merchant_no": self.merchant.merchant_no}


class EarlyRefund(models.Model):
    """A refund of the channel's own that was told of before its payment was booked. It waits until `next_try_at` and
    is gone once it is booked; `next_try_at` is NULL where the payment never came."""

    attempt = models.ForeignKey(Attempt, models.PROTECT, related_name="+")
    channel_request_no = models.CharField(max_length=64)
    channel_refund_no = models.CharField(max_length=64, null=True)
    amount = models.BigIntegerField(null=True)  # minor units; NULL where the channel did not say
    currency = models.CharField(max_length=3, blank=True, default="")
    sent_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField()
    next_try_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["attempt", "channel_request_no"], name="earlyrefund_unique"),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="earlyrefund_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.attempt_id} {self.channel_request_no}"


class RefundCeiling(models.Model):
    """What was refunded automatically on one day, for one app, merchant and currency. Locked last."""

    app = models.ForeignKey(App, models.CASCADE)
    merchant = models.ForeignKey(Merchant, models.CASCADE)
    currency = models.CharField(max_length=3)
    day = models.DateField()
    used = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["app", "merchant", "currency", "day"], name="refundceiling_unique")
        ]


# What waits for somebody: the work list.
WAITING = (
    Q(state__in=[RefundState.PENDING_APPROVAL, RefundState.ON_HOLD, RefundState.FAILED])
    | Q(needs_attention=True)
    | Q(route__in=[RefundRoute.MANUAL, RefundRoute.BALANCE], state__in=[RefundState.APPROVED, RefundState.PROCESSING])
)


class Refund(RefundStates, models.Model):
    """Money on its way back. Committed and reserved before anything is sent.

    `channel_request_no` is the only number of it a channel ever sees: our `refund_no`, or, of a refund that
    began at the channel, the channel's own. `requested_amount` is what was asked for first. `next_…_at` are due
    times, NULL when there is nothing to do: `next_send_at` to send it, `next_query_at` to ask for its outcome,
    `next_expiry_at` when its approvals grow too old. `counted_as_external` marks money that went back
    although it was not reserved any more: it stands in the source's `external_refunded`.
    """

    refund_no = models.CharField(_("refund number"), max_length=32, unique=True)
    app = models.ForeignKey(App, models.PROTECT, verbose_name=_("app"))
    merchant = models.ForeignKey(Merchant, models.PROTECT, verbose_name=_("merchant"))
    trade = models.ForeignKey(Trade, models.PROTECT, related_name="refunds", verbose_name=_("trade"))
    attempt = models.ForeignKey(Attempt, models.PROTECT, related_name="refunds", verbose_name=_("paying attempt"))
    abnormal = models.ForeignKey(
        AbnormalPayment, models.PROTECT, null=True, related_name="refunds", verbose_name=_("abnormal payment")
    )
    account = models.ForeignKey(PaymentAccount, models.PROTECT, verbose_name=_("payment account"))
    channel = models.CharField(_("channel"), max_length=32)
    app_refund_no = models.CharField(_("app's refund number"), max_length=64, null=True)
    amount = models.BigIntegerField(_("amount"))
    requested_amount = models.BigIntegerField(_("asked for"))
    currency = models.CharField(_("currency"), max_length=3)
    reason = models.CharField(_("reason"), max_length=128)
    type = models.CharField(_("type"), max_length=8, choices=RefundType)
    kind = models.CharField(_("kind"), max_length=12, choices=RefundKind)
    route = models.CharField(_("route"), max_length=12, choices=RefundRoute, default=RefundRoute.ORIGINAL)
    source = models.CharField(_("asked for by"), max_length=12, choices=RefundSource)
    notify_url = models.CharField(_("notification address"), max_length=512, blank=True, default="")
    state = FSMField(
        _("state"), choices=RefundState.choices, default=RefundState.PENDING_APPROVAL, protected=True, editable=False
    )
    requested_by = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", verbose_name=_("asked for by (staff)")
    )
    changed_by = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", verbose_name=_("amount changed by")
    )
    approvals_needed = models.PositiveSmallIntegerField(_("approvals needed"), default=0)
    round = models.PositiveIntegerField(_("round of approval"), default=1)
    held_because = models.CharField(_("on hold because"), max_length=300, blank=True, default="")
    requested_at = models.DateTimeField(_("asked for at"))
    approved_at = models.DateTimeField(_("approved at"), null=True)
    sent_at = models.DateTimeField(_("first sent"), null=True)
    last_sent_at = models.DateTimeField(_("last sent"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    channel_request_no = models.CharField(_("number sent to the channel"), max_length=64)
    channel_refund_no = models.CharField(_("channel's refund number"), max_length=64, null=True)
    channel_state = models.CharField(_("channel's word"), max_length=64, blank=True, default="")
    error_code = models.CharField(_("channel's code"), max_length=64, blank=True, default="")
    error_message = models.CharField(_("channel's message"), max_length=256, blank=True, default="")
    resendable = models.BooleanField(_("may be sent again"), default=False)
    needs_attention = models.BooleanField(_("needs a person"), default=False)
    amount_known = models.BooleanField(default=True)  # False until the channel says what an external one gave back
    counted_as_external = models.BooleanField(default=False)
    memo = EncryptedJSONField(null=True, editable=False)
    sends = models.PositiveIntegerField(_("sendings"), default=0)
    whole = models.BooleanField(default=False)  # the first sending gave back the whole payment at once
    checked_at = models.DateTimeField(_("channel asked before sending"), null=True)
    send_tries = models.PositiveIntegerField(default=0)
    query_tries = models.PositiveIntegerField(_("queries"), default=0)
    next_send_at = models.DateTimeField(_("next sending"), null=True)
    next_query_at = models.DateTimeField(_("next query"), null=True)
    next_expiry_at = models.DateTimeField(_("approvals void at"), null=True)
    version = models.IntegerField(default=1)

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        permissions = [
            ("approve_refund", "Can approve, hold and reject refunds"),
            ("send_refund", "Can have refunds sent again or paid out by hand"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["app", "merchant", "app_refund_no"], condition=Q(app_refund_no__isnull=False),
                name="refund_app_number_unique",
            ),
            models.UniqueConstraint(fields=["account", "channel_request_no"], name="refund_channel_number_unique"),
            models.CheckConstraint(name="refund_amount_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="refund_finished", condition=Q(finished_at__isnull=False) | ~Q(state="succeeded")
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["next_send_at"], condition=Q(next_send_at__isnull=False), name="refund_send_due"),
            models.Index(fields=["next_query_at"], condition=Q(next_query_at__isnull=False), name="refund_query_due"),
            models.Index(fields=["next_expiry_at"], condition=Q(next_expiry_at__isnull=False), name="refund_expiry"),
            models.Index(
                fields=["state", "requested_at"], condition=Q(state__in=["pending_approval", "on_hold", "failed"]),
                name="refund_work",
            ),
            models.Index(fields=["requested_at", "-id"], condition=WAITING, name="refund_waiting"),
            models.Index(fields=["merchant", "-id"], name="refund_merchant"),
            models.Index(fields=["state", "-id"], name="refund_state"),
            models.Index(fields=["kind", "-id"], condition=~Q(kind="business"), name="refund_kind"),
            models.Index(fields=["route", "-id"], condition=~Q(route="original"), name="refund_route"),
            models.Index(fields=["app", "-id"], name="refund_app"),
            models.Index(fields=["channel_request_no"], name="refund_channel_number"),
            models.Index(
                fields=["account", "finished_at"], condition=Q(state="succeeded"), name="refund_account_done"
            ),
            models.Index(
                fields=["finished_at", "id"], condition=Q(finished_at__isnull=False), name="refund_done"
            ),
            models.Index(
                fields=["state", "requested_at"], name="refund_by_hand",
                condition=Q(route__in=["manual", "balance"], state__in=["approved", "processing"]),
            ),
            models.Index(fields=["requested_at"], condition=Q(needs_attention=True), name="refund_stuck"),
            models.Index(
                fields=["merchant", "-id"], name="refund_under_way",
                condition=Q(state__in=["pending_approval", "on_hold", "approved", "processing"]),
            ),
            models.Index(
                fields=["app_refund_no"], condition=Q(app_refund_no__isnull=False), name="refund_app_number"
            ),
            models.Index(
                fields=["channel_refund_no"], condition=Q(channel_refund_no__isnull=False), name="refund_channel_refund"
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.refund_no

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def reserves(self) -> bool:
        """Whether its sum stands in the source's `refunding_amount`."""
        if self.source == RefundSource.EXTERNAL:
            return False
        return self.state in ("pending_approval", "on_hold", "approved", "processing")

    @property
    def is_at_channel(self) -> bool:
        """Whether it is under way at its channel; a payout by hand that waits to be checked is not."""
        return bool(self.state == "processing" and self.route == RefundRoute.ORIGINAL)

    def event_fields(self) -> dict[str, Any]:
        return {
            "app_id": self.app.app_id, "merchant_no": self.merchant.merchant_no, "trade_no": self.trade.trade_no,
            "attempt_no": self.attempt.attempt_no, "refund_no": self.refund_no,
        }  # fmt: skip


class Decision(models.TextChoices):
    APPROVE = "approve", _("approved")
    HOLD = "hold", _("put on hold")
    REJECT = "reject", _("rejected")


class Approval(models.Model):
    """One person's decision over one amount. Those of an earlier round, or over another amount, are void."""

    refund = models.ForeignKey(Refund, models.PROTECT, related_name="approvals", verbose_name=_("refund"))
    round = models.PositiveIntegerField(_("round"))
    approver = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("approver"))
    decision = models.CharField(_("decision"), max_length=8, choices=Decision)
    amount = models.BigIntegerField(_("over the amount"))
    comment = models.CharField(_("comment"), max_length=300)
    decided_at = models.DateTimeField(_("decided"))

    class Meta:
        verbose_name = _("approval")
        verbose_name_plural = _("approvals")
        constraints = [
            models.UniqueConstraint(fields=["refund", "round", "approver"], name="approval_once_per_round"),
            models.CheckConstraint(name="approval_has_comment", condition=~Q(comment="")),
        ]

    def __str__(self) -> str:
        return f"{self.get_decision_display()} · {self.approver}"


class Payout(models.Model):
    """What one person paid out by hand or had booked to a balance, and another one checked.

    `voucher` is the path of the uploaded file below the private voucher folder, `voucher_sha256` its digest.
    """

    refund = models.ForeignKey(Refund, models.PROTECT, related_name="payouts", verbose_name=_("refund"))
    reference = models.CharField(_("bank's or app's reference"), max_length=64)
    payee = EncryptedJSONField(default=dict, editable=False)  # {"name", "account", "bank"}
    paid_on = models.DateField(_("paid out on"))
    voucher = models.CharField(_("voucher"), max_length=128, blank=True, default="")
    voucher_name = models.CharField(_("file name"), max_length=128, blank=True, default="")
    voucher_sha256 = models.CharField(max_length=64, blank=True, default="")
    entered_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("entered by"))
    entered_at = models.DateTimeField(_("entered"))
    checked_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", verbose_name=_("checked by"))
    checked_at = models.DateTimeField(_("checked"), null=True)
    accepted = models.BooleanField(_("found right"), null=True)
    comment = models.CharField(_("comment"), max_length=300, blank=True, default="")

    class Meta:
        verbose_name = _("payout")
        verbose_name_plural = _("payouts")
        constraints = [
            models.UniqueConstraint(
                fields=["refund"], condition=Q(accepted__isnull=True) | Q(accepted=True), name="payout_one_that_counts"
            ),
            models.CheckConstraint(
                name="payout_two_people",
                condition=Q(checked_by__isnull=True) | ~Q(checked_by=F("entered_by")),
            ),
        ]

    def __str__(self) -> str:
        return self.reference
