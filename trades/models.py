"""Trades, the attempts at paying them, and money that arrived without settling its trade."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField

from merchants.models import App, Merchant, PaymentAccount, User
from paycenter.crypto import EncryptedJSONField
from paycenter.fields import ExactJSONField
from paycenter.money import Money, scale_of
from trades.contracts.models import Contract as Contract
from trades.states import (
    OPEN_TRADE_STATES,
    AbnormalState,
    AbnormalStates,
    AttemptState,
    AttemptStates,
    TradeState,
    TradeStates,
)


class Trade(TradeStates, models.Model):
    """An order an app wants to be paid. Amounts are minor units of `currency`.

    `refunded + refunding <= paid` is a database constraint; `external_refunded` is money the bank or
    the channel's console returned, outside that sum.
    """

    trade_no = models.CharField(_("trade number"), max_length=32, unique=True)
    # Served by the indexes that begin with them.
    app = models.ForeignKey(App, models.PROTECT, verbose_name=_("app"), db_index=False)
    merchant = models.ForeignKey(Merchant, models.PROTECT, verbose_name=_("merchant"), db_index=False)
    app_order_no = models.CharField(_("app order number"), max_length=64)
    business_no = models.CharField(_("business number"), max_length=64, blank=True, default="")
    amount = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    subject = models.CharField(_("subject"), max_length=128)
    body = models.CharField(_("description"), max_length=256, blank=True, default="")
    detail = ExactJSONField(_("detail"), null=True)
    attach = models.CharField(_("attachment"), max_length=256, null=True)
    notify_url = models.CharField(_("notification address"), max_length=512, blank=True, default="")
    return_url = models.CharField(_("return address"), max_length=512, blank=True, default="")
    client_ip = models.GenericIPAddressField(_("payer's address"), null=True)
    payer = EncryptedJSONField(_("payer"), null=True, editable=False)
    phone_tail = models.CharField(_("phone tail"), max_length=4, blank=True, default="")
    funding = models.CharField(_("funding"), max_length=32, null=True)
    profit_sharing = models.BooleanField(_("profit sharing"), default=False)
    contract_no = models.CharField(_("contract number"), max_length=32, blank=True, default="")
    state = FSMField(
        _("state"), choices=TradeState.choices, default=TradeState.WAITING, protected=True, editable=False
    )
    paid_amount = models.BigIntegerField(_("paid"), default=0)
    refunded_amount = models.BigIntegerField(_("refunded"), default=0)
    refunding_amount = models.BigIntegerField(_("refunding"), default=0)
    external_refunded = models.BigIntegerField(_("refunded outside"), default=0)
    current_attempt = models.OneToOneField(
        "Attempt", models.PROTECT, null=True, related_name="+", verbose_name=_("current attempt")
    )
    settled_attempt = models.OneToOneField(
        "Attempt", models.PROTECT, null=True, related_name="+", verbose_name=_("paying attempt")
    )
    created_at = models.DateTimeField(_("created"))
    expire_at = models.DateTimeField(_("expires"))
    paid_at = models.DateTimeField(_("paid at"), null=True)
    closed_at = models.DateTimeField(_("closed at"), null=True)
    close_requested_at = models.DateTimeField(_("closing asked for"), null=True)
    next_close_at = models.DateTimeField(_("next closing try"), null=True)
    close_tries = models.PositiveIntegerField(default=0)
    version = models.IntegerField(_("version"), default=1)

    class Meta:
        verbose_name = _("trade")
        verbose_name_plural = _("trades")
        constraints = [
            models.UniqueConstraint(fields=["app", "merchant", "app_order_no"], name="trade_order_unique"),
            models.CheckConstraint(name="trade_amount_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="trade_refunds_fit",
                condition=Q(refunded_amount__gte=0, refunding_amount__gte=0, external_refunded__gte=0)
                & Q(paid_amount__gte=F("refunded_amount") + F("refunding_amount")),
            ),
            models.CheckConstraint(
                name="trade_paid_has_attempt",
                condition=(Q(state="paid", settled_attempt__isnull=False, paid_amount__gt=0))
                | (~Q(state="paid") & Q(settled_attempt__isnull=True, paid_amount=0)),
            ),
        ]
        indexes = [
            models.Index(fields=["next_close_at"], condition=Q(next_close_at__isnull=False), name="trade_close_due"),
            # Lists, in the order of our numbers. Most trades are paid: those are met soon without an index.
            models.Index(fields=["merchant", "-trade_no"], name="trade_merchant_list"),
            models.Index(fields=["app", "-trade_no"], name="trade_app_list"),
            models.Index(fields=["state", "-trade_no"], condition=~Q(state="paid"), name="trade_state_list"),
            # Of days of payment: everybody's and one app's, one merchant's.
            models.Index(fields=["paid_at", "id"], condition=Q(paid_at__isnull=False), name="trade_paid"),
            models.Index(
                fields=["merchant", "paid_at", "id"], condition=Q(paid_at__isnull=False), name="trade_merchant_paid"
            ),
            models.Index(fields=["app_order_no"], name="trade_app_order"),
            models.Index(fields=["business_no"], condition=~Q(business_no=""), name="trade_business"),
            models.Index(fields=["phone_tail", "-id"], condition=~Q(phone_tail=""), name="trade_phone_tail"),
        ]

    def __str__(self) -> str:
        return self.trade_no

    @property
    def scale(self) -> int:
        return scale_of(self.currency)

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_TRADE_STATES

    @property
    def refundable_amount(self) -> int:
        held = self.refunded_amount + self.refunding_amount + self.external_refunded
        return max(0, self.paid_amount - held)

    def event_fields(self) -> dict[str, Any]:
        return {
            "app_id": self.app.app_id,
            "merchant_no": self.merchant.merchant_no,
            "trade_no": self.trade_no,
        }


class Attempt(AttemptStates, models.Model):
    """One try at one channel, under its own number. Committed as `created` before the channel is called.

    `in_flight_until` is set while a process is talking to the channel for it. `pay` is the answer the
    app got; `memo` what the provider needs later (session, success indicator). `next_query_at` and
    `next_close_at` are due times, NULL when there is nothing to do.
    """

    attempt_no = models.CharField(_("attempt number"), max_length=32, unique=True)
    trade = models.ForeignKey(Trade, models.PROTECT, related_name="attempts", verbose_name=_("trade"))
    # Served by the list's index.
    account = models.ForeignKey(PaymentAccount, models.PROTECT, verbose_name=_("payment account"), db_index=False)
    channel = models.CharField(_("channel"), max_length=32)
    method = models.CharField(_("pay method"), max_length=32)
    channel_order_no = models.CharField(_("channel order number"), max_length=64)
    order_day = models.CharField(max_length=8, blank=True, default="")  # where numbers are unique per day only
    amount = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    state = FSMField(
        _("state"), choices=AttemptState.choices, default=AttemptState.CREATED, protected=True, editable=False
    )
    created_at = models.DateTimeField(_("created"))
    sent_at = models.DateTimeField(_("first sent"))
    submitted_at = models.DateTimeField(_("answered"), null=True)
    expire_at = models.DateTimeField(_("expires"))
    in_flight_until = models.DateTimeField(null=True)
    pay = models.JSONField(_("pay instruction"), null=True)
    return_to = models.CharField(_("return address"), max_length=1024, blank=True, default="")
    memo = EncryptedJSONField(null=True, editable=False)
    channel_trade_no = models.CharField(_("channel's number"), max_length=64, null=True)
    paid_amount = models.BigIntegerField(_("received"), null=True)
    paid_currency = models.CharField(_("received currency"), max_length=3, blank=True, default="")
    paid_at = models.DateTimeField(_("paid at"), null=True)
    payer_id = EncryptedJSONField(null=True, editable=False)
    funding = models.CharField(_("funding"), max_length=64, null=True)
    channel_state = models.CharField(_("channel's word"), max_length=64, blank=True, default="")
    error_code = models.CharField(_("channel's code"), max_length=64, blank=True, default="")
    error_message = models.CharField(_("channel's message"), max_length=256, blank=True, default="")
    superseded_at = models.DateTimeField(_("superseded"), null=True)
    next_query_at = models.DateTimeField(_("next query"), null=True)
    query_tries = models.PositiveIntegerField(_("queries"), default=0)
    next_close_at = models.DateTimeField(_("next closing try"), null=True)
    close_tries = models.PositiveIntegerField(default=0)
    version = models.IntegerField(default=0)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = [
            models.UniqueConstraint(
                fields=["account", "order_day", "channel_order_no"], name="attempt_channel_order_unique"
            ),
            models.UniqueConstraint(
                fields=["account", "channel_trade_no"], condition=Q(channel_trade_no__isnull=False),
                name="attempt_channel_trade_unique",
            ),
            models.CheckConstraint(name="attempt_amount_positive", condition=Q(amount__gt=0)),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["next_query_at"], condition=Q(next_query_at__isnull=False), name="attempt_query_due"),
            models.Index(fields=["next_close_at"], condition=Q(next_close_at__isnull=False), name="attempt_close_due"),
            models.Index(
                fields=["channel_trade_no"], condition=Q(channel_trade_no__isnull=False), name="attempt_channel_trade"
            ),
            models.Index(fields=["channel_order_no"], name="attempt_channel_order"),
            # Lists, in the order of our numbers. Most attempts succeed: those are met soon without an index.
            models.Index(fields=["method", "-attempt_no"], name="attempt_method_list"),
            models.Index(fields=["account", "-attempt_no"], name="attempt_account_list"),
            models.Index(fields=["state", "-attempt_no"], condition=~Q(state="succeeded"), name="attempt_state_list"),
            models.Index(
                fields=["account"], condition=Q(in_flight_until__isnull=False), name="attempt_in_flight"
            ),
            # Successes of an account's day, with what is summed up of them.
            models.Index(
                fields=["account", "paid_at", "paid_currency", "paid_amount"], condition=Q(state="succeeded"),
                name="attempt_account_paid",
            ),
        ]

    def __str__(self) -> str:
        return self.attempt_no

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    def event_fields(self) -> dict[str, Any]:
        return {**self.trade.event_fields(), "attempt_no": self.attempt_no}


class ChannelCounter(models.Model):
    """The last order number given on a day where a channel has a number format of its own.

    `scope` is the merchant as the channel knows it: two accounts that are one there share their numbers.
    """

    scope = models.CharField(max_length=170)
    day = models.CharField(max_length=8)
    last = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "day"], name="channelcounter_unique")]


class ChannelSwitch(models.TextChoices):
    AUTO = "auto", _("automatic")
    ALWAYS_ON = "on", _("always in use")
    ALWAYS_OFF = "off", _("out of use")


class ChannelHealth(models.Model):
    """How a payment account's channel answers, shared by all processes: the circuit breaker's memory.

    It opens after several unknown outcomes in a row; only the background probe closes it again.
    """

    account = models.OneToOneField(
        PaymentAccount, models.CASCADE, related_name="health", verbose_name=_("payment account")
    )
    switch = models.CharField(_("switch"), max_length=4, choices=ChannelSwitch, default=ChannelSwitch.AUTO)
    failures = models.PositiveIntegerField(_("unknown outcomes in a row"), default=0)
    opened_at = models.DateTimeField(_("shed since"), null=True)
    next_probe_at = models.DateTimeField(_("next probe"), null=True)
    probes = models.PositiveIntegerField(_("probes"), default=0)
    last_error = models.CharField(_("last error"), max_length=200, blank=True, default="")

    class Meta:
        verbose_name = _("channel health")
        verbose_name_plural = _("channel health")
        indexes = [
            models.Index(fields=["next_probe_at"], condition=Q(next_probe_at__isnull=False), name="health_probe_due")
        ]

    def __str__(self) -> str:
        return str(self.account)

    @property
    def is_shed(self) -> bool:
        if self.switch == ChannelSwitch.AUTO:
            return self.opened_at is not None
        return bool(self.switch == ChannelSwitch.ALWAYS_OFF)

    def event_fields(self) -> dict[str, Any]:
        return self.account.event_fields()


class AbnormalKind(models.TextChoices):
    DUPLICATE = "duplicate", _("paid twice")
    LATE = "late", _("paid after closing")
    WRONG_AMOUNT = "wrong_amount", _("another amount")
    WRONG_CURRENCY = "wrong_currency", _("another currency")


class AbnormalPayment(AbnormalStates, models.Model):
    """Money that arrived and is not its trade's settlement. Never dropped, never merged into the trade.

    `unverified` rows come from a notification whose amount the channel's own answer must confirm; they
    hold no money in any sum until they are `open`.
    """

    trade = models.ForeignKey(Trade, models.PROTECT, related_name="abnormal_payments", verbose_name=_("trade"))
    attempt = models.ForeignKey(Attempt, models.PROTECT, related_name="abnormal_payments", verbose_name=_("attempt"))
    account = models.ForeignKey(PaymentAccount, models.PROTECT, verbose_name=_("payment account"))
    kind = models.CharField(_("kind"), max_length=16, choices=AbnormalKind)
    state = FSMField(
        _("state"), choices=AbnormalState.choices, default=AbnormalState.UNVERIFIED, protected=True, editable=False
    )
    amount = models.BigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    channel_trade_no = models.CharField(_("channel's number"), max_length=64, blank=True, default="")
    paid_at = models.DateTimeField(_("paid at"), null=True)
    refunded_amount = models.BigIntegerField(_("refunded"), default=0)
    refunding_amount = models.BigIntegerField(_("refunding"), default=0)
    external_refunded = models.BigIntegerField(_("refunded outside"), default=0)
    created_at = models.DateTimeField(_("recorded"))
    resolved_at = models.DateTimeField(_("resolved"), null=True)
    next_policy_at = models.DateTimeField(null=True)  # the policy for such money has not been applied yet
    acceptance_asked_by = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", verbose_name=_("acceptance asked by")
    )
    acceptance_reason = models.CharField(_("why it is accepted"), max_length=300, blank=True, default="")
    version = models.IntegerField(default=1)

    class Meta:
        verbose_name = _("abnormal payment")
        verbose_name_plural = _("abnormal payments")
        permissions = [("accept_abnormalpayment", "Can ask for and confirm keeping abnormal money")]
        constraints = [
            models.UniqueConstraint(
                fields=["attempt"], condition=~Q(state="void"), name="abnormal_one_per_attempt"
            ),
            models.UniqueConstraint(
                fields=["account", "channel_trade_no"], condition=~Q(state="void") & ~Q(channel_trade_no=""),
                name="abnormal_channel_trade_unique",
            ),
            models.CheckConstraint(name="abnormal_amount_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="abnormal_refunds_fit",
                condition=Q(refunded_amount__gte=0, refunding_amount__gte=0, external_refunded__gte=0)
                & Q(amount__gte=F("refunded_amount") + F("refunding_amount")),
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["state", "-id"], name="abnormal_state"),
            models.Index(fields=["kind", "-id"], name="abnormal_kind"),
            models.Index(
                fields=["next_policy_at"], condition=Q(next_policy_at__isnull=False), name="abnormal_policy_due"
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_kind_display())

    @property
    def refundable_amount(self) -> int:
        """What can still be given back; nothing unless the money is certain and unsettled."""
        if self.state not in (AbnormalState.OPEN, AbnormalState.REFUNDING):
            return 0
        return max(0, self.amount - self.refunded_amount - self.refunding_amount - self.external_refunded)

    def event_fields(self) -> dict[str, Any]:
        return self.attempt.event_fields()
