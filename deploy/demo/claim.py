"""One demo per data directory, and nothing half started: what is looked at before any program runs."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from deploy.demo.layout import HOST, Layout, Trouble, say

LEFTOVER_PATIENCE = 20.0  # seconds for the programs of a killed supervisor to end


def make_directories(layout: Layout) -> None:
    """Raises Trouble where the data directory cannot be written."""
    try:
        for folder in (layout.var, layout.logs, layout.heartbeat.parent):
            folder.mkdir(parents=True, exist_ok=True)
        probe = layout.var / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as exc:
        raise Trouble(
            f"Cannot write to {layout.var}: {exc.strerror}."
            " Set PAYCENTER_VAR to a directory you may write to, then start again."
        ) from exc


def claim(layout: Layout) -> IO[str]:
    """Lock the data directory for as long as the returned file stays open. Raises Trouble.

    The lock belongs to the open file, not to a process id, so nothing stale can be left behind. A
    killed supervisor's guard keeps it until the last of its programs is gone; that is waited for.
    """
    handle = (layout.var / "demo.lock").open("a+")
    limit = time.monotonic() + LEFTOVER_PATIENCE
    told = False
    while not _lock(handle):
        owner = _owner(handle)
        if owner and _alive(owner):
            handle.close()
            raise Trouble(
                f"A demo is already running on {layout.var} (pid {owner}). Its addresses are in {layout.document}."
                f" Stop it with: kill {owner}   or start a second one with other PAYCENTER_VAR, PAYCENTER_PORT and"
                " PAYCENTER_SANDBOX_PORT."
            )
        if time.monotonic() > limit:
            handle.close()
            raise Trouble(f"An earlier demo on {layout.var} is still stopping. Try again in a few seconds.")
        if not told:
            say("An earlier demo is still stopping; waiting for it ...")
            told = True
        time.sleep(0.2)
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def _lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(handle: IO[str]) -> int:
    handle.seek(0)
    with suppress(ValueError):
        return int(handle.read().strip() or "0")
    return 0


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def check_ports(layout: Layout) -> None:
    """Raises Trouble naming the busy port and the setting that moves it."""
    for name, port in (("PAYCENTER_PORT", layout.port), ("PAYCENTER_SANDBOX_PORT", layout.sandbox_port)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as exc:
                raise Trouble(_why_not(exc, name, port)) from exc


def _why_not(exc: OSError, name: str, port: int) -> str:
    way_on = f"set {name} to a free one, for example: {name}={port + 100 if port < 65000 else 8100} make demo"
    if exc.errno == errno.EADDRINUSE:
        return f"Port {port} on {HOST} is already in use. Stop the program that has it, or {way_on}"
    return f"Port {port} on {HOST} cannot be used ({exc.strerror}); {way_on}"
