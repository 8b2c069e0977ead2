"""The audit records every part of the center writes: events and exchanges, and editable schedules."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from paycenter.fields import ExactJSONField
from paycenter.staff.list_models import ListExport as ListExport
from paycenter.staff.list_models import SavedView as SavedView
from paycenter.staff.models import KnownAddress as KnownAddress
from paycenter.staff.models import PasswordUsed as PasswordUsed
from paycenter.staff.models import RecoveryCodes as RecoveryCodes
from paycenter.staff.models import StaffSession as StaffSession

# Their events are found by the trade's number: by far the most, they stay out of the index of all other records.
OF_TRADES = ("trade", "attempt", "refund")


class EventQuerySet(models.QuerySet["Event"]):
    def of(self, record: models.Model) -> EventQuerySet:
        """Those about one record, and not about what belongs to it."""
        kind = record._meta.model_name or ""
        if kind not in OF_TRADES:
            return self.about(kind, object_id=record.pk)
        trade: Any = getattr(record, "trade", record)
        return self.filter(trade_no=trade.trade_no, object_type=kind, object_id=record.pk)

    def about(self, kind: str, **which: object) -> EventQuerySet:
        """Those about records of a kind that is not in OF_TRADES, in the words of the index over them.

        Raises ValueError for one that is: nothing would be found."""
        if kind in OF_TRADES:
            raise ValueError(f"events of a {kind} are found by its trade's number")
        return self.filter(object_type=kind, **which).exclude(object_type__in=OF_TRADES)


class Event(models.Model):
    """One state change or decision. Append-only: update and delete are refused by a trigger.

    `data` is the public record after the change, as the app's query would have answered; `actor` and
    `reason` stay inside. `seq` and `hash` are given once, by the sequencer, after the commit.
    """

    type = models.CharField(_("type"), max_length=48)
    created_at = models.DateTimeField(_("time"))
    object_type = models.CharField(_("record"), max_length=24)
    object_id = models.BigIntegerField(_("record id"), null=True)
    app_id = models.CharField(_("app"), max_length=32, blank=True, default="")
    merchant_no = models.CharField(_("merchant"), max_length=32, blank=True, default="")
    trade_no = models.CharField(_("trade number"), max_length=32, blank=True, default="")
    attempt_no = models.CharField(_("attempt number"), max_length=32, blank=True, default="")
    refund_no = models.CharField(_("refund number"), max_length=32, blank=True, default="")
    from_state = models.CharField(_("from"), max_length=20, blank=True, default="")
    to_state = models.CharField(_("to"), max_length=20, blank=True, default="")
    actor = models.CharField(_("actor"), max_length=100)
    reason = models.CharField(_("reason"), max_length=500, blank=True, default="")
    detail = models.JSONField(_("detail"), default=dict)
    data = ExactJSONField(_("public record"), null=True)
    public = models.BooleanField(_("visible to the app"), default=False)
    seq = models.BigIntegerField(_("sequence"), null=True)
    hash = models.CharField(_("hash"), max_length=64, blank=True, default="")

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        # A row is written without its number: the indexes by number begin with the numbering.
        constraints = [
            models.UniqueConstraint(fields=["seq"], condition=Q(seq__isnull=False), name="event_seq_unique"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(seq__isnull=True), name="event_unsequenced"),
            models.Index(fields=["app_id", "seq"], condition=Q(public=True, seq__isnull=False), name="event_numbered"),
            models.Index(fields=["trade_no", "id"], condition=~Q(trade_no=""), name="event_trade"),
            models.Index(
                fields=["object_type", "object_id", "id"], condition=~Q(object_type__in=OF_TRADES),
                name="event_of_record",
            ),
            # What staff did, for auditors; the many events of payments stay out of these.
            models.Index(fields=["id"], condition=Q(actor__startswith="staff:"), name="event_staff"),
            models.Index(fields=["actor", "id"], condition=Q(actor__startswith="staff:"), name="event_staff_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.trade_no or self.object_id}"


class EventHead(models.Model):
    """One row: the last sequence number and hash. Locking it makes one sequencer at a time."""

    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="")


class AuditVerification(models.Model):
    """One walk over the chain of events: from where to where, and whether it held."""

    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"))
    by = models.CharField(_("started by"), max_length=100)
    ok = models.BooleanField(_("holds"), default=False)
    problem = models.CharField(_("what breaks it"), max_length=500, blank=True, default="")
    first_seq = models.BigIntegerField(_("first sequence number"), default=1)
    last_seq = models.BigIntegerField(_("last sequence number"), default=0)
    last_hash = models.CharField(_("hash"), max_length=64, blank=True, default="")
    events = models.BigIntegerField(_("events"), default=0)
    heads = models.PositiveIntegerField(_("noted heads compared"), default=0)
    unsequenced = models.BigIntegerField(_("not numbered yet"), default=0)

    class Meta:
        verbose_name = _("verification of the audit chain")
        verbose_name_plural = _("audit")

    def __str__(self) -> str:
        return f"{self.first_seq}–{self.last_seq}"


class Exchange(models.Model):
    """A request and its answer, to or from a channel or an app, masked at the moment of writing."""

    class Direction(models.TextChoices):
        IN = "in", _("received")
        OUT = "out", _("sent")

    created_at = models.DateTimeField(_("time"))
    direction = models.CharField(_("direction"), max_length=3, choices=Direction)
    peer = models.CharField(_("peer"), max_length=64)  # "app:<app_id>", "channel:<provider>"
    operation = models.CharField(_("operation"), max_length=48)
    app_order_no = models.CharField(_("app order number"), max_length=64, blank=True, default="")
    trade_no = models.CharField(_("trade number"), max_length=32, blank=True, default="")
    attempt_no = models.CharField(_("attempt number"), max_length=32, blank=True, default="")
    merchant_no = models.CharField(_("merchant"), max_length=32, blank=True, default="")
    method = models.CharField(_("HTTP method"), max_length=8)
    url = models.CharField(_("address"), max_length=1024)
    status = models.IntegerField(_("HTTP status"), null=True)
    elapsed_ms = models.IntegerField(_("milliseconds"), default=0)
    request = models.TextField(_("request"), blank=True, default="")
    response = models.TextField(_("answer"), blank=True, default="")
    error = models.CharField(_("error"), max_length=300, blank=True, default="")
    request_id = models.CharField(_("request id"), max_length=36, blank=True, default="")

    class Meta:
        verbose_name = _("exchange")
        verbose_name_plural = _("exchanges")
        indexes = [
            models.Index(fields=["trade_no", "id"], condition=~Q(trade_no=""), name="exchange_trade"),
            models.Index(fields=["app_order_no", "id"], condition=~Q(app_order_no=""), name="exchange_order"),
            models.Index(fields=["request_id"], condition=~Q(request_id=""), name="exchange_request"),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.peer} {self.operation}"


class Heartbeat(models.Model):
    """The last sign of life of one worker or beat, under the name it runs by."""

    class Part(models.TextChoices):
        WORKER = "worker", _("worker")
        BEAT = "beat", _("beat")

    part = models.CharField(max_length=8, choices=Part)
    name = models.CharField(max_length=100)
    beaten_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["part", "name"], name="heartbeat_unique")]

    def __str__(self) -> str:
        return f"{self.part} {self.name}"


class RetrySchedule(models.Model):
    """Delays in seconds that an operator can change: first delay, then each next one.

    `name` is `query` or `query:<provider>` (payments without a notification), `refund_query`, `refund_send` (the
    same of refunds), `delivery` (telling apps).
    """

    name = models.CharField(_("name"), max_length=48, unique=True)
    delays = models.JSONField(_("delays (seconds)"), default=list)
    repeat_last = models.BooleanField(_("repeat the last delay"), default=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("retry schedule")
        verbose_name_plural = _("retry schedules")

    def __str__(self) -> str:
        return self.name
