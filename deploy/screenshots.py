"""`make screenshots`: the README's pictures, taken in Chromium from a running `make demo`."""

from __future__ import annotations

import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ViewportSize, sync_playwright

from deploy.demo import private
from deploy.demo.client import Client
from deploy.demo.layout import ROOT, read
from tests.browser import screenshots as staff

OUT = ROOT / "docs" / "img"
LANGUAGES = {"zh": "zh-CN", "en": "en-US"}
PHONE, DESK = ViewportSize(width=390, height=844), ViewportSize(width=1200, height=880)
PHONE_AGENT = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36"
ORDER = {
    "zh": ("物业费 2026年11月", [("房屋", "安居苑 3 栋 1201"), ("周期", "2026-11-01 至 2026-11-30")]),
    "en": ("Management fee, November 2026", [("Home", "Building 3, 1201"), ("Period", "1 to 30 November 2026")]),
}


def cashier_order(demo: dict[str, Any], language: str) -> str:
    """Address of a fresh cashier page."""
    app, merchant = demo["apps"][0], demo["merchants"][0]
    subject, rows = ORDER[language]
    order = Client(demo["base_url"], app["app_id"], app["hmac_secret"]).call(
        "/v1/cashier/orders", merchant_no=merchant["merchant_no"], app_order_no=f"PICTURE-{secrets.token_hex(6)}",
        amount=12850, subject=subject, display=[{"label": label, "value": value} for label, value in rows],
    )  # fmt: skip
    return str(order["cashier_url"])


def staff_pictures(trade_no: str) -> staff.Shots:
    """The landing page and the paid example, looked up by its number."""
    return {"overview": ("operator", "", False), "trade": ("operator", f"trades/trade/?q={trade_no}", True)}


def shoot_cashier(browser: Browser, demo: dict[str, Any], out: Path) -> None:
    """On a desk and on a phone, in both languages."""
    for language, locale in LANGUAGES.items():
        address = cashier_order(demo, language)
        for suffix, size in (("", DESK), ("-phone", PHONE)):
            phone = bool(suffix)
            context = browser.new_context(
                locale=locale,
                viewport=size,
                is_mobile=phone,
                has_touch=phone,
                user_agent=PHONE_AGENT if phone else None,
            )
            page = context.new_page()
            page.goto(address)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=out / f"cashier-{language}{suffix}.png")
            context.close()


def main() -> int:
    layout = read()
    demo = private.read_json(layout.document)
    if demo is None:
        print(f"{layout.document} is not there: start the demo first (make demo)", file=sys.stderr)
        return 1
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as tool:
        found = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = tool.chromium.launch(executable_path=found, args=staff.CHROMIUM_ARGS)
        staff.shoot(browser, demo, OUT, staff_pictures(private.read_json(layout.example)["trade_no"]))
        shoot_cashier(browser, demo, OUT)
        browser.close()
    for picture in sorted(OUT.glob("*.png")):
        print(f"{picture.relative_to(ROOT)}  {picture.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
