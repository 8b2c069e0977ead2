"""Pictures of the cashier for the README, taken from a running demo.

`python -m tests.browser.cashier_screenshots [var/demo.json] [directory]`: orders are opened as an app does,
paid through the sandbox, and the pictures go to `docs/img/cashier-*.png`.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

from tests.fakes.signing import sign_headers, to_json

CHROMIUM_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PHONE = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36"
LOOKS: dict[str, dict[str, Any]] = {
    "": {"viewport": {"width": 1280, "height": 800}},
    "-phone": {"viewport": {"width": 390, "height": 844}, "user_agent": PHONE, "device_scale_factor": 2},
    "-dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
}
ORDERS = {
    "zh": ("2026 年 11 月物业服务费", [("房号", "3 栋 2 单元 1201"), ("账期", "2026-11"), ("物业费", "¥1,180.00")]),
    "en": ("Property service fee, November 2026", [("Unit", "3-2-1201"), ("Period", "2026-11"), ("Fee", "¥1,180.00")]),
}


class Demo:
    """The running demo as an app and as the sandbox's payer see it."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.base: str = description["base_url"]
        self.sandbox: str = description["sandbox_url"]
        self.app: Mapping[str, str] = description["apps"][0]
        self.merchant_no: str = description["merchants"][0]["merchant_no"]

    def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A signed call; its `data`."""
        raw = to_json(body)
        headers = sign_headers("POST", path, raw, self.app["app_id"], self.app["hmac_secret"])
        answer = _post(self.base + path, raw, headers)
        if answer["errno"] != 0:
            raise SystemExit(f"{path} answered {answer['errno']} {answer['msg']}")
        return dict(answer["data"])

    def order(self, language: str) -> dict[str, Any]:
        """A cashier order with rows to look at."""
        subject, rows = ORDERS[language]
        return self.call("/v1/cashier/orders", {
            "merchant_no": self.merchant_no, "app_order_no": f"SHOT{time.time_ns()}", "amount": 128450,
            "subject": subject, "display": [{"label": label, "value": value} for label, value in rows],
        })  # fmt: skip

    def settle(self, trade_no: str) -> None:
        """The payer pays the order's current attempt at the channel."""
        attempt_no = self.call("/v1/query/trade", {"trade_no": trade_no})["attempt_no"]
        _post(f"{self.sandbox}/control/pay", to_json({"attempt_no": attempt_no}), {})


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise SystemExit(f"{url} is no web address")
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers}, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(json.load(answer))


def shoot(browser: Browser, demo: Demo, out: Path, language: str, look: str) -> None:
    """One order from choosing to paid."""
    locale = "zh-CN" if language == "zh" else "en-US"
    order = demo.order(language)
    page = browser.new_context(locale=locale, **LOOKS[look]).new_page()

    def keep(name: str) -> None:
        page.wait_for_timeout(400)
        page.screenshot(path=out / f"cashier-{name}-{language}{look}.png")

    page.goto(order["cashier_url"])
    keep("choose")
    if look != "-phone":  # a phone's methods lead to the channel's own page
        _show_code(page)
        keep("scan")
        demo.settle(order["trade_no"])
        page.locator(".state.paid").wait_for(timeout=20_000)
        keep("paid")
    page.context.close()


def _show_code(page: Page) -> None:
    """Pick the first method that shows a QR code."""
    for method in page.locator("input[name=method]:enabled").all():
        value = method.get_attribute("value") or ""
        if value.endswith(("_qr", "_native")):
            method.check()
            page.locator("form[data-pay] button[type=submit]").click()
            page.wait_for_url("**/go")
            return
    raise SystemExit("the demo's cashier offers no QR code")


def main(arguments: list[str]) -> int:
    source = Path(arguments[0] if arguments else "var/demo.json")
    out = Path(arguments[1] if len(arguments) > 1 else "docs/img")
    if not source.exists():
        print(f"{source} is not there: start the demo first (make demo)", file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    demo = Demo(json.loads(source.read_text()))
    with sync_playwright() as tool:
        found = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = tool.chromium.launch(executable_path=found, args=CHROMIUM_ARGS)
        for language in ORDERS:
            for look in LOOKS:
                shoot(browser, demo, out, language, look)
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
