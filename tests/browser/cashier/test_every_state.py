"""Every state of the payer's pages: fits every width, breaks no policy, and axe-core finds nothing.

`PAYCENTER_SHOTS=<directory>` also keeps a picture of each.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.browser.cashier.conftest import Shop
from tests.browser.cashier.states import STATES
from tests.browser.chromium import axe_source

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("dressed")]
# What Chromium says about an unknown page, and about a channel that is out of reach here.
_EXPECTED = ("404", "net::ERR_ABORTED")
SIZES = {"320": (320, 640), "390": (390, 844), "1280": (1280, 800)}


@pytest.mark.parametrize("name", STATES)
def test_state_is_readable_by_everybody(shop: Shop, name: str) -> None:
    url, ua = STATES[name](shop)
    source = axe_source()
    problems: list[str] = []
    for language in ("zh-CN", "en"):
        page = shop.browse(ua=ua, language=language, reduced_motion="reduce", stay=True)
        said = _listen(page)
        page.goto(url, wait_until="commit")
        page.locator("footer").wait_for()
        page.evaluate(source)
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                page.set_viewport_size({"width": width, "height": height})
                page.emulate_media(color_scheme=scheme)
                problems += [f"{size} {language} {scheme}: {p}" for p in _look(page)]
                _keep(page, f"{name}-{size}-{language}-{scheme}")
        problems += [f"{language}: {p}" for p in said if not any(expected in p for expected in _EXPECTED)]
    assert problems == []


def _listen(page: Any) -> list[str]:
    """What the browser complains about from now on, broken policies among it."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def _look(page: Any) -> list[str]:
    problems: list[str] = []
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        problems.append("scrolls sideways")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    for violation in found["violations"]:
        problems += [f"{violation['id']}: {n['html'][:150]} {n['failureSummary'][:300]}" for n in violation["nodes"]]
    return problems


def _keep(page: Any, name: str) -> None:
    folder = os.environ.get("PAYCENTER_SHOTS")
    if folder:
        page.wait_for_timeout(300)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
