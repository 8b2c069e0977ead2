"""What settings must never be in production, and the generated secrets of an embedded installation."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

MODES = ("embedded", "production")
STREAM_MODES = ("off", "drain", "auto", "on")
ENTRANCES = ("internal", "portal", "public", "all")


def embedded_secrets(var: Path) -> dict[str, Any]:
    """Keys of a single-machine installation, made once and kept in `var/secrets.json` (0600)."""
    path = var / "secrets.json"
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return _create(path)
    except (OSError, ValueError) as exc:
        raise ImproperlyConfigured(f"{path} cannot be read ({exc}); restore it or remove var/ to start over") from exc


def _create(path: Path) -> dict[str, Any]:
    made = {"secret_key": secrets.token_urlsafe(50), "encryption_keys": [Fernet.generate_key().decode()]}
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(made, out)
        os.link(scratch, path)  # atomic, and loses politely to another process that was first
    except FileExistsError:
        return dict(json.loads(path.read_text()))
    except OSError as exc:
        raise ImproperlyConfigured(
            f"cannot write {path}: {exc.strerror}; set PAYCENTER_VAR to a writable directory"
        ) from exc
    finally:
        scratch.unlink(missing_ok=True)
    return made


def refuse_unknown_stream(mode: str, url: str) -> None:
    """Raises ImproperlyConfigured where cashier orders are to go through a stream that is not there."""
    if mode not in STREAM_MODES:
        raise ImproperlyConfigured(f"PAYCENTER_ORDER_STREAM must be one of {', '.join(STREAM_MODES)}")
    if mode != "off" and not url:
        raise ImproperlyConfigured("PAYCENTER_ORDER_STREAM needs PAYCENTER_ORDER_STREAM_URL or REDIS_URL")


def refuse_unsafe(
    *, mode: str, entrance: str, debug: bool, secret_key: str, encryption_keys: list[str],
    allowed_hosts: list[str], egress_allowed: list[str], public_base_url: str, internal_networks: list[str],
) -> None:  # fmt: skip
    """Raises ImproperlyConfigured naming every setting that is unusable or unsafe for the mode."""
    wrong: list[str] = []
    if mode not in MODES:
        wrong.append(f"PAYCENTER_MODE must be one of {', '.join(MODES)}")
    if entrance not in ENTRANCES:
        wrong.append(f"PAYCENTER_ENTRANCE must be one of {', '.join(ENTRANCES)}")
    for key in encryption_keys:
        try:
            Fernet(key)
        except ValueError:
            wrong.append("PAYCENTER_ENCRYPTION_KEYS holds something that is not a Fernet key")
    if mode == "production":
        wrong += _unsafe_in_production(
            entrance, debug, secret_key, encryption_keys, allowed_hosts, egress_allowed, public_base_url,
            internal_networks,
        )  # fmt: skip
    if wrong:
        raise ImproperlyConfigured("; ".join(wrong))


def _unsafe_in_production(
    entrance: str, debug: bool, secret_key: str, encryption_keys: list[str], allowed_hosts: list[str],
    egress_allowed: list[str], public_base_url: str, internal_networks: list[str],
) -> list[str]:  # fmt: skip
    checks = {
        "DEBUG must be off": debug,
        "SECRET_KEY must be set to 50 or more random characters": len(secret_key) < 50 or len(set(secret_key)) < 10,
        "PAYCENTER_ENCRYPTION_KEYS must be set": not encryption_keys,
        "ALLOWED_HOSTS must name the hosts that are served": not allowed_hosts or "*" in allowed_hosts,
        "PAYCENTER_EGRESS_ALLOWED is for development only": bool(egress_allowed),
        "PAYCENTER_ENTRANCE=all is for the embedded demo only": entrance == "all",
        "PAYCENTER_PUBLIC_URL must be the https address of the public entrance": not public_base_url.startswith("https://"),
        "PAYCENTER_INTERNAL_NETWORKS must name who may use the internal entrance": entrance == "internal"
        and not internal_networks,
    }
    return [text for text, bad in checks.items() if bad]
