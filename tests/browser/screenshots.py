"""Pictures of the admin for the README, taken from a running demo.

`python -m tests.browser.screenshots [var/demo.json] [directory]`: addresses and logins come from the
demo's own description, the pictures go to `docs/img/admin-*.png`.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZES = {"": (1440, 900), "-phone": (390, 844)}
LANGUAGES = {"zh": "zh-CN", "en": "en-US"}
# Picture's name → (who looks, list or page, link to follow in the list's first row).
SHOTS: dict[str, tuple[str, str, bool]] = {
    "overview": ("operator", "", False),
    "trades": ("operator", "trades/trade/", False),
    "trade": ("operator", "trades/trade/", True),
    "merchant": ("operator", "merchants/merchant/", True),
    "account": ("operator", "merchants/paymentaccount/", True),
    "app": ("operator", "merchants/app/", True),
}


def sign_in(page: Page, admin_url: str, user: dict[str, str]) -> None:
    """Through the login form, as a person does."""
    page.goto(admin_url)
    page.fill("input[name=username]", user["username"])
    page.fill("input[name=password]", user["password"])
    page.click("#login-form button[type=submit]")
    page.wait_for_url(lambda url: "/login" not in url)


def open_page(page: Page, admin_url: str, place: str, first: bool) -> None:
    """Open a list, and the record of its first row where `first` says so."""
    page.goto(admin_url + place)
    if first:
        page.locator("#result_list tbody th a, #result_list tbody td a").first.click()
    page.wait_for_load_state("networkidle")


def shoot(browser: Browser, demo: dict[str, Any], out: Path, shots: dict[str, tuple[str, str, bool]]) -> None:
    """Every picture in both languages and both sizes."""
    admin = demo["admin"]
    for language, locale in LANGUAGES.items():
        for suffix, (width, height) in SIZES.items():
            pages: dict[str, Page] = {}
            for name, (who, place, first) in shots.items():
                if who not in pages:
                    context = browser.new_context(locale=locale, viewport={"width": width, "height": height})
                    pages[who] = context.new_page()
                    sign_in(pages[who], admin["url"], admin["users"][who])
                open_page(pages[who], admin["url"], place, first)
                pages[who].screenshot(path=out / f"admin-{name}-{language}{suffix}.png")


def main(arguments: list[str]) -> int:
    source = Path(arguments[0] if arguments else "var/demo.json")
    out = Path(arguments[1] if len(arguments) > 1 else "docs/img")
    if not source.exists():
        print(f"{source} is not there: start the demo first (make demo)", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as tool:
        found = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = tool.chromium.launch(executable_path=found, args=CHROMIUM_ARGS)
        shoot(browser, json.loads(source.read_text()), out, SHOTS)
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
