"""Staff for tests, and a client signed in as them."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.plugins.otp_totp.models import TOTPDevice

from merchants.models import App, Merchant, User

PASSWORD = "a-long-pass-phrase-1"


def make_staff(role: str, *, merchant: Merchant | None = None, app: App | None = None, **values: Any) -> User:
    """A staff member; the name is the role unless another is given."""
    defaults = {"username": role, "is_staff": True}
    return User.objects.create_user(
        password=PASSWORD, role=role, merchant=merchant, app=app, **{**defaults, **values}
    )


def signed_in(user: User, *, language: str = "en", device: TOTPDevice | None = None) -> Client:
    """A browser signed in as `user`, with the second factor verified when `device` is given."""
    client = Client(headers={"accept-language": language})
    client.force_login(user, backend="merchants.roles.RoleBackend")
    if device is not None:
        session = client.session
        session[DEVICE_ID_SESSION_KEY] = device.persistent_id
        session.save()
    return client
