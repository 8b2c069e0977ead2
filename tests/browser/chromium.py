"""Headless Chromium for browser tests, and axe-core. Absent: skipped with the reason; in CI a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.conf import settings

AXE_VERSION = "4.14.1"
_TOOLS = Path(settings.BASE_DIR) / "var" / "browser-tools"
_CANDIDATES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-domain-reliability", "--no-first-run",
)  # fmt: skip


def missing(reason: str) -> NoReturn:
    """Skip, or fail where a skip would hide that nothing was tested."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{reason} (CI must have it)", pytrace=False)
    pytest.skip(reason)


def chromium_path() -> str:
    """Where Chromium is: `PAYCENTER_CHROMIUM`, or one of the usual places."""
    named = os.environ.get("PAYCENTER_CHROMIUM")
    found = named or next((p for p in _CANDIDATES if Path(p).exists()), None)
    return found or missing("Chromium is not installed")


@contextmanager
def browser() -> Iterator[Any]:
    """A running headless Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium_path(), args=list(ARGUMENTS))
        try:
            yield started
        finally:
            started.close()


def axe_source() -> str:
    """The pinned axe-core, fetched once into var/."""
    script = _TOOLS / f"axe-{AXE_VERSION}" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        _install(script.parents[2])
    return script.read_text() if script.exists() else missing("axe-core could not be fetched")


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        missing("npm is not installed, so axe-core cannot be fetched")
    folder.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(folder), "--no-save", "--no-package-lock", "--ignore-scripts",
               "--no-audit", "--no-fund", f"axe-core@{AXE_VERSION}"]  # fmt: skip
    try:
        subprocess.run(command, check=True, timeout=60, capture_output=True)
    except (subprocess.SubprocessError, OSError):
        missing(f"axe-core {AXE_VERSION} could not be fetched from the npm registry")
