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
    for scheme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            for language in ("zh-CN", "en"):
                page = shop.browse(
                    ua=ua, width=width, height=height, language=language, color_scheme=scheme,
                    reduced_motion="reduce", stay=True,
                )  # fmt: skip
                problems += [f"{size} {language} {scheme}: {p}" for p in _look(page, url, source)]
                _keep(page, f"{name}-{size}-{language}-{scheme}")
                page.context.close()
    assert problems == []


def _look(page: Any, url: str, axe: str) -> list[str]:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url, wait_until="domcontentloaded")
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        said.append("scrolls sideways")
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    for violation in found["violations"]:
        said += [f"{violation['id']}: {n['html'][:150]} {n['failureSummary'][:300]}" for n in violation["nodes"]]
    return [text for text in said if not any(expected in text for expected in _EXPECTED)]


def _keep(page: Any, name: str) -> None:
    folder = os.environ.get("PAYCENTER_SHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
