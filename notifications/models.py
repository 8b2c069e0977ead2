"""The outbox towards apps, each delivery try, and alerts for people."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from merchants.models import App
from paycenter.crypto import EncryptedTextField

BY_SCHEDULE = "schedule"  # what started a try that nobody asked for


class NotificationState(models.TextChoices):
    PENDING = "pending", _("to be delivered")
    DELIVERED = "delivered", _("acknowledged")
    GIVEN_UP = "given_up", _("given up")


class Notification(models.Model):
    """One message to an app, frozen when the change it tells of was committed.

    `next_delivery_at` is set while it is due or waiting, NULL once acknowledged or given up. Claiming a
    row moves it into the future, so that a dead worker's claim expires by itself.
    """

    webhook_id = models.CharField(_("webhook id"), max_length=40, unique=True)
    # Served by the list's index. What a message tells of holds its app by a constraint of its own; one more would be
    # checked, and the app's row locked, for every message.
    app = models.ForeignKey(App, models.PROTECT, verbose_name=_("app"), db_index=False, db_constraint=False)
    type = models.CharField(_("type"), max_length=32)
    url = models.CharField(_("address"), max_length=512)
    host = models.CharField(_("receiver"), max_length=260, blank=True, default="")  # host:port of `url`
    body = models.TextField(_("body"))
    trade_no = models.CharField(_("trade number"), max_length=32, blank=True, default="")
    refund_no = models.CharField(_("refund number"), max_length=32, blank=True, default="")
    state = models.CharField(_("state"), max_length=12, choices=NotificationState, default=NotificationState.PENDING)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    next_delivery_at = models.DateTimeField(_("next try"), null=True)
    resend_by = models.CharField(_("re-send asked by"), max_length=100, blank=True, default="")
    created_at = models.DateTimeField(_("created"))
    delivered_at = models.DateTimeField(_("acknowledged at"), null=True)

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        indexes = [
            models.Index(
                fields=["next_delivery_at"], condition=Q(next_delivery_at__isnull=False), name="notification_due"
            ),
            models.Index(fields=["trade_no", "id"], condition=~Q(trade_no=""), name="notification_trade"),
            models.Index(fields=["app", "-id"], name="notification_app_list"),
            models.Index(fields=["state", "id"], condition=Q(state="given_up"), name="notification_given_up"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.webhook_id}"

    def event_fields(self) -> dict[str, Any]:
        return {"app_id": self.app.app_id, "trade_no": self.trade_no, "refund_no": self.refund_no}


class Delivery(models.Model):
    """One try at delivering a notification."""

    notification = models.ForeignKey(
        Notification, models.CASCADE, related_name="deliveries", verbose_name=_("notification")
    )
    number = models.PositiveIntegerField(_("try"))
    started_at = models.DateTimeField(_("time"))
    elapsed_ms = models.PositiveIntegerField(_("milliseconds"), default=0)
    status = models.IntegerField(_("HTTP status"), null=True)
    response = models.CharField(_("answer"), max_length=500, blank=True, default="")
    error = models.CharField(_("error"), max_length=300, blank=True, default="")
    acknowledged = models.BooleanField(_("acknowledged"), default=False)
    by = models.CharField(_("started by"), max_length=100, default=BY_SCHEDULE)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["id"]
        indexes = [models.Index(fields=["id"], condition=Q(acknowledged=False), name="delivery_not_acknowledged")]

    def __str__(self) -> str:
        return f"#{self.number} {self.status or self.error}"


class AlertRoute(models.Model):
    """Where alerts go: a group robot or a mailbox. Address, secret and mailboxes are credentials or personal data."""

    class Kind(models.TextChoices):
        DINGTALK = "dingtalk", _("DingTalk robot")
        WECOM = "wecom", _("WeCom robot")
        FEISHU = "feishu", _("Feishu robot")
        EMAIL = "email", _("e-mail")

    name = models.CharField(_("name"), max_length=64)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind, default=Kind.DINGTALK)
    url = EncryptedTextField(_("webhook address"), blank=True, default="")
    secret = EncryptedTextField(_("signing secret"), blank=True, default="")
    addresses = EncryptedTextField(_("mail addresses"), blank=True, default="")  # one a line
    language = models.CharField(_("language"), max_length=8, blank=True, default="")  # empty: the installation's
    is_active = models.BooleanField(_("active"), default=True)
    # Messages sent since `window_started_at`, by which we stay below the robot's limit.
    window_started_at = models.DateTimeField(null=True, editable=False)
    window_sent = models.PositiveIntegerField(default=0, editable=False)
    paused_until = models.DateTimeField(_("silent until"), null=True, editable=False)  # the receiver asked for it
    answered_at = models.DateTimeField(_("last answer"), null=True, editable=False)
    answer = models.CharField(_("answer"), max_length=300, blank=True, default="", editable=False)

    class Meta:
        verbose_name = _("alert receiver")
        verbose_name_plural = _("alert receivers")

    def __str__(self) -> str:
        return self.name


class AlertSeverity(models.TextChoices):
    INFO = "info", _("information")
    WARNING = "warning", _("warning")
    CRITICAL = "critical", _("critical")


class AlertRule(models.Model):
    """How alerts of one kind are told. A kind without a row is told as `notifications.kinds` says.

    `repeat_minutes` is how long a trouble that goes on is only counted before it is told again; `per_hour` how many
    messages this kind may cost each receiver in an hour, those above it are told together when the hour is over.
    """

    kind = models.CharField(_("kind"), max_length=32, unique=True)
    is_active = models.BooleanField(_("tell people"), default=True)
    severity = models.CharField(_("severity"), max_length=8, choices=AlertSeverity, blank=True, default="")
    receivers = models.ManyToManyField(AlertRoute, blank=True, verbose_name=_("receivers"))
    repeat_minutes = models.PositiveIntegerField(_("told again after (minutes)"), default=10)
    per_hour = models.PositiveIntegerField(_("messages an hour"), default=20)
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True)
    quiet_zone = models.CharField(_("time zone"), max_length=64, default="Asia/Shanghai")
    critical_passes = models.BooleanField(_("critical ones are told in quiet hours, too"), default=True)
    window_started_at = models.DateTimeField(null=True, editable=False)
    window_sent = models.PositiveIntegerField(default=0, editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")

    def __str__(self) -> str:
        return self.kind

    def event_fields(self) -> dict[str, Any]:
        return {"detail": {"kind": self.kind}}


class BacklogLimit(models.Model):
    """How long work of one kind may be overdue before somebody is told; without a row `notifications.backlogs` says."""

    name = models.CharField(_("work"), max_length=48, unique=True)
    seconds = models.PositiveIntegerField(_("overdue for (seconds)"))
    is_active = models.BooleanField(_("tell people"), default=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("backlog limit")
        verbose_name_plural = _("backlog limits")

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """Something a person should know. As long as nobody took note of it, repeats of its `key` only count up.

    `title` and `text` are in the installation's language; `source` holds the message ids and what fills them, from
    which every receiver is told in its own. `window_at` is since when repeats are only counted.
    """

    kind = models.CharField(_("kind"), max_length=32)  # one of notifications.kinds
    key = models.CharField(_("key"), max_length=160)
    severity = models.CharField(_("severity"), max_length=8, choices=AlertSeverity, default=AlertSeverity.WARNING)
    title = models.CharField(_("title"), max_length=160)
    text = models.TextField(_("text"), blank=True, default="")
    source = models.JSONField(default=dict, editable=False)
    record_type = models.CharField(max_length=64, blank=True, default="", editable=False)  # "trades.attempt"
    record_id = models.BigIntegerField(null=True, editable=False)
    merchant_no = models.CharField(_("merchant"), max_length=32, blank=True, default="")
    trade_no = models.CharField(_("trade number"), max_length=32, blank=True, default="")
    count = models.PositiveIntegerField(_("times"), default=1)
    created_at = models.DateTimeField(_("first seen"))
    last_at = models.DateTimeField(_("last seen"))
    window_at = models.DateTimeField(null=True, editable=False)
    sent_at = models.DateTimeField(_("sent"), null=True)
    next_send_at = models.DateTimeField(_("next try"), null=True)
    tries = models.PositiveIntegerField(_("tries"), default=0)
    error = models.CharField(_("error"), max_length=300, blank=True, default="")
    routes_done = models.JSONField(default=list, editable=False)  # ids of routes that took it
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=150, blank=True, default="")
    note = models.CharField(_("comment"), max_length=300, blank=True, default="")

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        indexes = [
            models.Index(fields=["key", "-last_at"], name="alert_key"),
            models.Index(fields=["next_send_at"], condition=Q(next_send_at__isnull=False), name="alert_due"),
        ]

    def __str__(self) -> str:
        return self.title
