"""The keys of an app: what it signs with, and the secret our notifications to it are signed with.

Of each type there is a current and, while the app changes over, a previous one; both are accepted.
"""

from __future__ import annotations

import base64
import secrets

from django.db import transaction

from channels.base import keys
from channels.base.fields import Label
from merchants.models import App, AppKey
from paycenter.transitions import lock, record_event

_SAME = Label("这就是当前的密钥", "this is the present key already")


def new_hmac_secret() -> str:
    """256 random bits as text; the text itself is the key."""
    return secrets.token_urlsafe(32)


def new_webhook_secret() -> str:
    """`whsec_` and 256 random bits in base64, as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def app_key_rotate(*, app: App, kind: str, value: str | bytes, actor: str, reason: str = "") -> None:
    """Store a new HMAC secret or RSA public key; the present one becomes the previous one.

    Raises KeyProblem for an RSA key that cannot be used (2048 bits or more), and for the present key.
    """
    text = _clean(kind, value)
    with transaction.atomic():
        locked = lock(App, pk=app.pk)
        present = AppKey.objects.filter(app=locked, kind=kind, slot=AppKey.Slot.CURRENT).first()
        if present is not None and present.value == text:
            raise keys.KeyProblem(_SAME)
        if present is not None:
            AppKey.objects.filter(app=locked, kind=kind, slot=AppKey.Slot.PREVIOUS).delete()
            present.slot = AppKey.Slot.PREVIOUS
            present.save(update_fields=["slot"])
        AppKey.objects.create(app=locked, kind=kind, slot=AppKey.Slot.CURRENT, value=text)
        record_event(locked, "app.key_rotated", actor=actor, reason=reason, detail={"kind": str(kind)})


def app_key_forget_previous(*, app: App, kind: str, actor: str, reason: str = "") -> bool:
    """Stop accepting the previous key of this type; answers whether there was one."""
    with transaction.atomic():
        locked = lock(App, pk=app.pk)
        deleted, _ = AppKey.objects.filter(app=locked, kind=kind, slot=AppKey.Slot.PREVIOUS).delete()
        if deleted:
            record_event(locked, "app.key_forgotten", actor=actor, reason=reason, detail={"kind": str(kind)})
    return bool(deleted)


def webhook_secret_rotate(*, app: App, secret: str, actor: str, reason: str = "") -> None:
    """Sign notifications with a new secret, and beside it with the present one until that is forgotten."""
    with transaction.atomic():
        locked = lock(App, pk=app.pk)
        _store_webhook(app, locked, secret, locked.webhook_secret)
        record_event(locked, "app.key_rotated", actor=actor, reason=reason, detail={"kind": "webhook"})


def webhook_secret_forget_previous(*, app: App, actor: str, reason: str = "") -> bool:
    """Stop signing with the previous webhook secret; answers whether there was one."""
    with transaction.atomic():
        locked = lock(App, pk=app.pk)
        if not locked.webhook_secret_previous:
            return False
        _store_webhook(app, locked, locked.webhook_secret, "")
        record_event(locked, "app.key_forgotten", actor=actor, reason=reason, detail={"kind": "webhook"})
    return True


def _store_webhook(app: App, locked: App, current: str, previous: str) -> None:
    for record in (locked, app):
        record.webhook_secret, record.webhook_secret_previous = current, previous
    locked.save(update_fields=["webhook_secret", "webhook_secret_previous"])


def _clean(kind: str, value: str | bytes) -> str:
    if kind == AppKey.Kind.RSA:
        return keys.public_key_pem(keys.parse_public_key(value))
    return value.decode() if isinstance(value, bytes) else value
