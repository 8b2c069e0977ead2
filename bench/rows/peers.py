"""Ours beside others: the usual way to write it, and packages from the index in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.private_demo import ROOT
from bench.processor import seconds_of_tree
from bench.rows import gopay
from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series, Skipped
from bench.wire import volley

_CALLS = 400
_STORED = 100_000
_VENV = ROOT / "var" / "bench-peers"
# An environment each: django-getpaid holds back a package that psycopg 3 needs newer.
_PACKAGES = {
    "django-payments": ("django-payments", "django==5.2.*", "psycopg[binary]>=3.2"),
    "django-getpaid": ("django-getpaid", "django==5.2.*", "psycopg2-binary", "setuptools<81"),
}
_INSTALL_LIMIT = 240  # seconds


def _ours(stage: Stage) -> float:
    return gopay.ours(stage, stage.site, _CALLS).milliseconds


def _naive(stage: Stage) -> Pairs:
    site = stage.site
    with stage.database() as url:
        environment = {
            **stage.environment, "DJANGO_SETTINGS_MODULE": "bench.peers.naive_settings",
            "DATABASE_URL": url, "NAIVE_SECRET": site.document["apps"][0]["hmac_secret"],
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "bench.peers.naive_wsgi"], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-800:])
        with stage.served("bench.peers.naive_wsgi:application", environment) as (port, pid):
            return _beside(stage, lambda: _naive_calls(stage, port, pid))


def _naive_calls(stage: Stage, port: int, pid: int) -> float:
    requests = [gopay.gopay_request(stage.site.document) for _ in range(_CALLS)]
    used = stage.processor(pid)
    volley(port, requests, side_by_side=gopay.CONNECTIONS, expected=b'"errno":0,')
    return used().both / _CALLS


def _beside(stage: Stage, theirs: Callable[[], float]) -> Pairs:
    series = Series("ms")
    _ours(stage), theirs()
    for _ in range(stage.runs):
        limit = theirs()
        series.add(_ours(stage), limit)
    return series.pairs()


def _python(package: str) -> Path:
    """Of the environment with the package, made once. Raises Skipped where it cannot be had."""
    folder = _VENV / package
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        for command in ([sys.executable, "-m", "venv", "--clear", str(folder)],
                        [str(python), "-m", "pip", "install", "--quiet", *_PACKAGES[package]]):  # fmt: skip
            try:
                subprocess.run(  # noqa: S603 - fixed words
                    command, check=True, capture_output=True, text=True, timeout=_INSTALL_LIMIT
                )
            except subprocess.CalledProcessError as exc:
                raise Skipped(f"its package could not be installed: {exc.stderr.strip()[-200:]}") from exc
            except (OSError, subprocess.TimeoutExpired) as exc:
                raise Skipped(f"its package could not be installed: {type(exc).__name__}") from exc
        (folder / ".complete").touch()
    return python


def _foreign(stage: Stage, package: str) -> Pairs:
    python = _python(package)
    with stage.database() as url:
        environment = {**{k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}, "DATABASE_URL": url}
        process = subprocess.Popen(  # noqa: S603 - our own program
            [str(python), str(ROOT / "bench" / "peers" / "foreign.py"), package, str(_STORED)], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            _line(process)
            return _beside(stage, lambda: _theirs(stage, process))
        finally:
            process.terminate()
            process.communicate()


def _theirs(stage: Stage, process: subprocess.Popen[str]) -> float:
    """With PostgreSQL's time. The process's own is what it says itself."""
    before, began = seconds_of_tree(stage.postmaster), time.monotonic()
    if process.stdin is not None:
        process.stdin.write("\n")
        process.stdin.flush()
    found = json.loads(_line(process))
    if time.monotonic() - began > 600:
        raise RuntimeError("it took too long")
    return float(found["milliseconds"]) + (seconds_of_tree(stage.postmaster) - before) * 1000 / float(found["calls"])


def _line(process: subprocess.Popen[str]) -> str:
    """Raises RuntimeError where the process ended."""
    line = process.stdout.readline() if process.stdout is not None else ""
    if not line:
        raise RuntimeError(process.stderr.read()[-600:] if process.stderr is not None else "it ended")
    return line


_LEAST, _REPORTED = Bar(1, 1), Bar(None, 1)  # libraries without server, signature and log are only reported

ROWS = (
    Row("peer_naive", "gopay", "the usual way to write it: REST framework, serializers, ORM", _LEAST, _naive),
    Row("peer_django_payments", "gopay, with the HTTP request", "django-payments at 100 thousand payments, without",
        _REPORTED, lambda stage: _foreign(stage, "django-payments")),
    Row("peer_django_getpaid", "gopay, with the HTTP request", "django-getpaid at 100 thousand payments, without",
        _REPORTED, lambda stage: _foreign(stage, "django-getpaid")),
)  # fmt: skip
