"""Codes of the second factor: from the authenticator app, or one of the recovery codes. Each works once."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import transaction
from django_otp.models import Device
from django_otp.plugins.otp_totp.models import TOTPDevice

from paycenter.staff.models import RecoveryCodes, recovery_digest

RECOVERY_CODES = 10
_GROUPS, _GROUP = 4, 4
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 5 bits each, without what looks alike
TYPED_LENGTH = 24  # of the box: a recovery code with its dashes, and some room


def has_device(user: Any) -> bool:
    """Whether this person has set up a second factor. Recovery codes exist only beside one."""
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


@transaction.atomic
def matching_device(user: Any, typed: str, *, confirmed: bool = True) -> Device | None:
    """The person's device that this code belongs to; the code is used up. None for a wrong or used one.

    The row is locked while it is compared, so that of two requests with one code a single one passes.
    """
    code = "".join(typed.split())
    model = TOTPDevice if code.isascii() and code.isdigit() and len(code) == 6 else RecoveryCodes
    rows = model.objects.select_for_update().filter(user=user, confirmed=confirmed).order_by("pk")
    return next((device for device in rows if code and device.verify_token(code)), None)


def new_recovery_codes(user: Any) -> list[str]:
    """Ten fresh recovery codes, in place of all earlier ones; nobody can read them again."""
    codes = [_random_code() for _number in range(RECOVERY_CODES)]
    RecoveryCodes.objects.filter(user=user).delete()
    RecoveryCodes.objects.create(user=user, name="recovery", digests=[recovery_digest(code) for code in codes])
    return codes


def _random_code() -> str:
    letters = [secrets.choice(_ALPHABET) for _n in range(_GROUPS * _GROUP)]
    return "-".join("".join(letters[i : i + _GROUP]) for i in range(0, len(letters), _GROUP))


def codes_left(user: Any) -> int:
    """How many recovery codes this person has left."""
    return sum(len(device.digests) for device in RecoveryCodes.objects.filter(user=user))


def forget_devices(user: Any) -> None:
    """Remove every second factor of a person, so that a new one can be set up."""
    TOTPDevice.objects.filter(user=user).delete()
    RecoveryCodes.objects.filter(user=user).delete()
