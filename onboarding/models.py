"""A company's application (入驻申请): what it filled in, its documents, what was submitted, what was decided."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from merchants.models import Merchant, PaymentAccount, User
from onboarding.steps import KINDS, STEPS
from paycenter.crypto import EncryptedJSONField


class Application(models.Model):
    """One per merchant. Its state is the merchant's; names and contact are the merchant's own columns.

    `facts` holds everything else by step and name; `saves` who saved a step last, and when; `editors` the ids of
    the people who filled something in, none of whom may approve it.
    """

    merchant = models.OneToOneField(
        Merchant, models.PROTECT, related_name="application", verbose_name=_("merchant")
    )
    facts = EncryptedJSONField(default=dict, editable=False)
    saves = models.JSONField(default=dict, editable=False)
    editors = models.JSONField(default=list, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    version = models.IntegerField(default=0, editable=False)

    class Meta:
        verbose_name = _("application")
        verbose_name_plural = _("applications")
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(self.merchant)

    def event_fields(self) -> dict[str, Any]:
        return self.merchant.event_fields()

    def field_label(self, name: str) -> str:
        """What a fact or document is called on the page, for the history; a code that no step has stays itself."""
        if name in KINDS:
            return str(KINDS[name].label)
        return next((str(fact.label) for step in STEPS for fact in step.facts if fact.name == name), name)


class ApplicationDocument(models.Model):
    """An uploaded document. One that was replaced or taken away stays, because a submitted version may name it."""

    application = models.ForeignKey(Application, models.PROTECT, related_name="documents")
    kind = models.CharField(_("document"), max_length=24)
    path = models.CharField(max_length=128)
    name = models.CharField(_("file name"), max_length=128)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(_("bytes"))
    uploaded_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    uploaded_at = models.DateTimeField(_("uploaded"))
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["application", "kind"], condition=Q(ended_at__isnull=True), name="applicationdocument_current"
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name


class AccountDraft(models.Model):
    """Parameters of a payment account that is not complete yet, or has something wrong in it: kept as typed.

    `account` is set where it changes an account that exists already.
    """

    application = models.ForeignKey(Application, models.CASCADE, related_name="drafts")
    account = models.OneToOneField(PaymentAccount, models.CASCADE, null=True, related_name="draft")
    channel = models.CharField(_("channel"), max_length=32)
    name = models.CharField(_("name"), max_length=64, blank=True, default="")
    methods = models.JSONField(default=list)
    config = EncryptedJSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.channel} {self.name}"


class ConnectionCheck(models.Model):
    """A check of a payment account in the background. It is due while `due_at` is set."""

    account = models.ForeignKey(PaymentAccount, models.CASCADE, related_name="connection_checks")
    asked_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    language = models.CharField(max_length=8)
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    ok = models.BooleanField(null=True)
    message = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="connectioncheck_due")]
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=Q(due_at__isnull=False), name="connectioncheck_one_at_a_time"
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.account_id} {self.asked_at}"


class Outcome(models.TextChoices):
    WAITING = "", _("to be reviewed")
    APPROVED = "approved", _("approved")
    RETURNED = "returned", _("returned")


class ApplicationVersion(models.Model):
    """What was submitted, frozen. Secrets of accounts are in it as fingerprints only.

    `comments` are the reviewer's, by section; `editors` the ids of who filled in part of it.
    """

    application = models.ForeignKey(Application, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    snapshot = EncryptedJSONField(editable=False)
    editors = models.JSONField(default=list, editable=False)
    submitted_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("submitted by"))
    submitted_at = models.DateTimeField(_("submitted"))
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome, blank=True, default="")
    comments = models.JSONField(default=dict)
    comment = models.CharField(_("comment"), max_length=500, blank=True, default="")
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+", verbose_name=_("decided by"))
    decided_at = models.DateTimeField(_("decided"), null=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["application", "number"], name="applicationversion_number"),
            models.UniqueConstraint(
                fields=["application"], condition=Q(outcome=""), name="applicationversion_one_waiting"
            ),
            models.CheckConstraint(
                name="applicationversion_two_people",
                condition=~Q(outcome="approved") | (Q(decided_by__isnull=False) & ~Q(decided_by=F("submitted_by"))),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.application_id} v{self.number}"
