"""A password somebody had lately is refused."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.hashers import check_password
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from paycenter.staff.models import PasswordUsed


class NotReusedValidator:
    """Refuses the person's last `remembered` passwords; Django tells it of every password that is set."""

    def __init__(self, remembered: int = 5) -> None:
        self.remembered = remembered

    def validate(self, password: str, user: Any = None) -> None:
        """Raises ValidationError."""
        if user is None or user.pk is None:
            return
        rows = PasswordUsed.objects.filter(user_id=user.pk).order_by("-id")[: self.remembered]
        # The present one may have been set without Django saying so (a command, an import of people).
        had = {user.password, *(row.password for row in rows)}
        if any(check_password(password, encoded) for encoded in had):
            raise ValidationError(self.get_help_text(), code="password_reused")

    def password_changed(self, password: str, user: Any = None) -> None:
        """Remember it, and forget what is older than the last few."""
        PasswordUsed.objects.create(user_id=user.pk, password=user.password, set_at=timezone.now())
        kept = PasswordUsed.objects.filter(user_id=user.pk).order_by("-id").values_list("pk", flat=True)
        PasswordUsed.objects.filter(user_id=user.pk).exclude(pk__in=list(kept[: self.remembered])).delete()

    def get_help_text(self) -> str:
        """What the form says below the box."""
        return _("It must not be one of your last %(n)d passwords.") % {"n": self.remembered}
