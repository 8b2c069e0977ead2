"""What is kept about signing in: sessions, recovery codes, earlier passwords."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_otp.models import Device, ThrottlingMixin


class StaffSession(models.Model):
    """One signed-in browser, as its owner sees it. Ending it deletes the row and the session."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="sessions")
    session_key = models.CharField(max_length=40, unique=True, editable=False)
    address = models.GenericIPAddressField(_("address"))
    user_agent = models.CharField(_("device"), max_length=300, blank=True, default="")
    started_at = models.DateTimeField(_("signed in"))
    seen_at = models.DateTimeField(_("last seen"))

    class Meta:
        ordering = ["-seen_at"]

    def __str__(self) -> str:
        return f"{self.user_id} {self.address}"


class KnownAddress(models.Model):
    """An address from which somebody signed in successfully; a flood of wrong passwords does not lock it out."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    address = models.GenericIPAddressField()
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "address"], name="knownaddress_unique")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.address}"


class RecoveryCodes(ThrottlingMixin, Device):  # type: ignore[misc]
    """Single-use codes in place of the authenticator app: 80 random bits each, of which the SHA-256 is kept."""

    digests = models.JSONField(default=list, editable=False)

    def verify_token(self, token: str) -> bool:
        """Whether it is one of the codes left; it is used up then. The caller holds the row's lock."""
        allowed, _why = self.verify_is_allowed()
        if not allowed:
            return False
        digest = recovery_digest(token)
        if digest not in self.digests:
            self.throttle_increment()
            return False
        self.digests = [kept for kept in self.digests if kept != digest]
        self.throttle_reset(commit=False)
        self.save()
        return True

    def get_throttle_factor(self) -> Any:
        """Seconds of waiting after the first wrong code; they double with each further one."""
        return 1


def recovery_digest(code: str) -> str:
    """What is stored of a recovery code, however it was typed."""
    plain = "".join(c for c in code.lower() if c.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()


class PasswordUsed(models.Model):
    """A password somebody has had, as Django hashes it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    password = models.CharField(max_length=128)
    set_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id}"
