"""Where the demo lives: addresses, directories and what the environment says about them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"


class Trouble(Exception):
    """What keeps the demo from running and a way on, in words for whoever typed the command."""


def say(text: str) -> None:
    """Print, unless nobody listens any more: a closed pipe must not end the demo."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 -- for the rest of our life


@dataclass(frozen=True, slots=True)
class Layout:
    """`database_url` empty means SQLite below `var`; `broker_url` and `redis_url` empty mean our own."""

    var: Path
    port: int
    sandbox_port: int
    database_url: str = ""
    broker_url: str = ""
    redis_url: str = ""

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def sandbox_url(self) -> str:
        return f"http://{HOST}:{self.sandbox_port}"

    @property
    def logs(self) -> Path:
        return self.var / "log"

    @property
    def sandbox_state(self) -> Path:
        return self.var / "sandbox"

    @property
    def document(self) -> Path:
        """What other programs read: there only while everything answers."""
        return self.var / "demo.json"

    @property
    def seeded(self) -> Path:
        """What the seed left for the supervisor: apps, merchants, logins (0600)."""
        return self.var / "seed.json"

    @property
    def example(self) -> Path:
        """The numbers of the payment that was taken first."""
        return self.var / "first-payment.json"

    @property
    def heartbeat(self) -> Path:
        """Touched by the worker for tasks that came from beat through the broker."""
        return self.var / "run" / "worker-heartbeat"

    @property
    def metrics(self) -> Path:
        """Where every program counts, so that whichever answers `/metrics` answers for all."""
        return self.var / "run" / "metrics"


def read(environ: Mapping[str, str] = os.environ) -> Layout:
    """The layout that the environment asks for. Raises Trouble."""
    layout = Layout(
        var=Path(environ.get("PAYCENTER_VAR") or ROOT / "var").expanduser().absolute(),
        port=_port(environ, "PAYCENTER_PORT", 8000),
        sandbox_port=_port(environ, "PAYCENTER_SANDBOX_PORT", 8001),
        database_url=environ.get("DATABASE_URL", ""),
        broker_url=environ.get("CELERY_BROKER_URL", ""),
        redis_url=environ.get("REDIS_URL", ""),
    )
    if layout.port == layout.sandbox_port:
        raise Trouble("PAYCENTER_PORT and PAYCENTER_SANDBOX_PORT are the same; give them different values.")
    return layout


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise Trouble(f"{name} is {text!r}; it must be a number from 1 to 65535.")
    return int(text)


def surroundings(layout: Layout, broker: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of every program of the demo; `broker` says where tasks and the cache go."""
    return {
        **environ,
        **broker,
        "PAYCENTER_MODE": "embedded",
        "PAYCENTER_ENTRANCE": "all",
        "PAYCENTER_VAR": str(layout.var),
        "PAYCENTER_PORT": str(layout.port),
        "PAYCENTER_SANDBOX_PORT": str(layout.sandbox_port),
        "PAYCENTER_PUBLIC_URL": layout.base_url,
        # Apps under development listen on this machine.
        "PAYCENTER_EGRESS_ALLOWED": "127.0.0.0/8,::1/128",
        "PROMETHEUS_MULTIPROC_DIR": str(layout.metrics),
        "DJANGO_SETTINGS_MODULE": "paycenter.settings",
        "PYTHONUNBUFFERED": "1",
    }
