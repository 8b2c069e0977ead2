"""Logins and keys of the demo: strong, random, kept over restarts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from channels.base import keys
from deploy.demo import private
from deploy.demo.layout import Layout
from merchants.keys import app_key_rotate
from merchants.models import App, AppKey, Merchant, Role, User

USERS: Mapping[str, Role] = {
    "operator": Role.OPERATOR,
    "owner": Role.OWNER,
    "merchant": Role.MERCHANT,
    "finance": Role.FINANCE,
    "finance2": Role.FINANCE,
    "service": Role.SERVICE,
    "auditor": Role.AUDITOR,
}


def staff(layout: Layout, merchant: Merchant) -> dict[str, dict[str, str]]:
    """One login per role, two for finance (who requests does not approve); the merchant is theirs who belong to one."""
    path = layout.var / "logins.json"
    known = private.read_json(path) or {}
    logins = {name: {"username": name, "password": _password(known.get(name))} for name in USERS}
    private.write_json(path, {name: login["password"] for name, login in logins.items()})
    for name, role in USERS.items():
        _login(name, role, logins[name]["password"], merchant if role in (Role.MERCHANT, Role.OWNER) else None)
    return logins


def _password(known: object) -> str:
    return known if isinstance(known, str) and known else secrets.token_urlsafe(15)


def _login(name: str, role: Role, password: str, merchant: Merchant | None) -> None:
    user = User.objects.filter(username=name).first()
    if user is None:
        user = User(username=name, role=role, merchant=merchant, is_staff=True)
    elif user.check_password(password):
        return
    user.set_password(password)
    user.save()


def app_secrets(layout: Layout, app: App) -> dict[str, str]:
    """What an app needs to sign and to verify; its RSA private key lies in a file of its own."""
    hmac = AppKey.objects.get(app=app, kind=AppKey.Kind.HMAC, slot=AppKey.Slot.CURRENT)
    return {
        "app_id": app.app_id,
        "hmac_secret": hmac.value,
        "rsa_private_key_path": str(_rsa_key(layout, app)),
        "webhook_secret": app.webhook_secret,
    }


def _rsa_key(layout: Layout, app: App) -> Path:
    """The app's private key; a new pair where the file is missing or is not the one that is registered."""
    folder = layout.var / "keys"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{app.app_id}.pem"
    registered = AppKey.objects.filter(app=app, kind=AppKey.Kind.RSA, slot=AppKey.Slot.CURRENT).first()
    if registered is not None and path.exists():
        known = keys.parse_private_key(path.read_bytes())
        if keys.public_key_pem(known.public_key()) == registered.value:
            return path
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private.write_text(path, keys.private_key_pem(made))
    public = keys.public_key_pem(made.public_key())
    app_key_rotate(app=app, kind=AppKey.Kind.RSA, value=public, actor="system", reason="demo")
    return path
