"""The rows of invitations and of mail that waits to be sent."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from paycenter.crypto import EncryptedTextField


class Invitation(models.Model):
    """A link with which a person chooses a password: works once, for a limited time.

    Of the link's secret only the SHA-256 is kept. Of one person at most one is open; a new one ends the older.
    """

    class Purpose(models.TextChoices):
        JOIN = "join", _("first sign-in")
        PASSWORD = "password", _("new password")

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="invitations", verbose_name=_("staff member")
    )
    purpose = models.CharField(_("for"), max_length=8, choices=Purpose)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("by"))
    created_at = models.DateTimeField(_("created"))
    expires_at = models.DateTimeField(_("valid until"))
    used_at = models.DateTimeField(_("used"), null=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["person"], condition=Q(used_at__isnull=True, revoked_at__isnull=True),
                name="invitation_one_open",
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} · {self.person}"

    @property
    def is_open(self) -> bool:
        """Whether the link still works."""
        return self.used_at is None and self.revoked_at is None and self.expires_at > timezone.now()


class Letter(models.Model):
    """A mail to somebody of the staff that waits to be sent; the row goes when it is. The text may hold a link
    that opens a door, so it is encrypted."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    address = models.EmailField()
    subject = models.CharField(max_length=200)
    text = EncryptedTextField()
    created_at = models.DateTimeField()
    next_try_at = models.DateTimeField(db_index=True)
    tries = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.address} {self.subject}"
