"""Pictures of the admin, taken from a running demo: `make screenshots` calls this for the README's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZE = (1440, 900)
LANGUAGES = {"zh": "zh-CN", "en": "en-US"}
# Picture's name → (who looks, list or page, whether to follow the link in the list's first row).
Shots = dict[str, tuple[str, str, bool]]


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


def shoot(browser: Browser, demo: dict[str, Any], out: Path, shots: Shots) -> None:
    """Every picture in both languages, on a desk."""
    admin, (width, height) = demo["admin"], SIZE
    for language, locale in LANGUAGES.items():
        pages: dict[str, Page] = {}
        for name, (who, place, first) in shots.items():
            if who not in pages:
                context = browser.new_context(locale=locale, viewport={"width": width, "height": height})
                pages[who] = context.new_page()
                sign_in(pages[who], admin["url"], admin["users"][who])
            open_page(pages[who], admin["url"], place, first)
            pages[who].screenshot(path=out / f"admin-{name}-{language}.png")
