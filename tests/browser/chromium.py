"""Headless Chromium for browser tests, and axe-core. Absent: skipped with the reason; in CI a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


class Chromium:
    """A headless Chromium that is ended and started again after some contexts.

    Closing one context waits, without a limit, for a page that is just going somewhere; ending the browser kills it.
    """

    CONTEXTS = 15

    def __init__(self, playwright: Any) -> None:
        self._playwright, self._running, self._given = playwright, None, 0

    def new_context(self, **options: Any) -> Any:
        """A fresh browser profile; see Playwright's Browser.new_context."""
        if self._running is None:
            self._running = self._playwright.chromium.launch(executable_path=chromium_path(), args=list(ARGUMENTS))
        self._given += 1
        return self._running.new_context(**options)

    def put_away(self, contexts: list[Any]) -> None:
        """At the end of a test: its pages stop asking the server, which ends now."""
        for page in [page for context in contexts for page in context.pages]:
            with suppress(Exception):  # it may be closed, or stuck; the browser's end will have it
                page.goto("about:blank", timeout=2_000)
        if self._given >= self.CONTEXTS:
            self.end()

    def end(self) -> None:
        """End the browser with all that was left open."""
        if self._running is not None:
            self._running.close()
        self._running, self._given = None, 0


@contextmanager
def browser() -> Iterator[Chromium]:
    """Headless Chromium, started when first needed."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    chromium_path()
    with sync_playwright() as playwright:
        started = Chromium(playwright)
        try:
            yield started
        finally:
            started.end()


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
