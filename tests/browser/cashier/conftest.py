"""A cashier served on a free port with the fake channel in the same process, and pages of Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from cashier import icons
from cashier.models import CashierOrder
from channels.base import Label
from tests import factories
from tests.browser import chromium
from tests.cashier.conftest import PC, Cashier, cover_extra_scenes, install_extra_scenes
from tests.conftest import World
from tests.fakes import fakepay

FAKE_CHANNEL = ("https://*.fake.example/**", "https://fake.example/**")


@pytest.fixture(scope="package")
def chrome() -> Iterator[Any]:
    # Playwright's loop runs in this thread; Django would take every query here for one inside a coroutine.
    with pytest.MonkeyPatch.context() as patch, chromium.browser() as started:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield started


@dataclass
class Shop(Cashier):
    """A cashier on a live server, with browsers that look at it."""

    chrome: Any = None
    base: str = ""
    contexts: list[Any] | None = None

    def browse(
        self, *, ua: str = PC, width: int = 1280, height: int = 800, language: str = "en", stay: bool = False,
        **options: Any,
    ) -> Any:  # fmt: skip
        """A page of a fresh browser. The fake channel's addresses answer with a page of their own; with
        `stay` they answer 204, so that the browser stays on the page that leads there."""
        context = self.chrome.new_context(
            user_agent=ua, viewport={"width": width, "height": height}, locale=language, **options
        )
        context.set_default_timeout(10_000)
        for address in FAKE_CHANNEL:
            context.route(address, _nothing if stay else _fake_channel)
        assert self.contexts is not None
        self.contexts.append(context)
        return context.new_page()

    def url(self, page: CashierOrder, path: str = "") -> str:
        return f"{self.base}/c/{page.token}{path}"

    def settle(self, page: CashierOrder) -> None:
        """The payer pays the current attempt on a phone; the channel's notification arrives."""
        attempt = factories.fresh(page.trade).current_attempt
        self.world.book.pay(attempt.channel_order_no)
        body = json.dumps(self.world.book.notification(attempt.channel_order_no))
        answer = Client().post(f"/notify/{attempt.method}/{attempt.attempt_no}", body, content_type="application/json")
        assert answer.content == b"fake-ok"


def _nothing(route: Any) -> None:
    route.fulfill(status=204)


def _fake_channel(route: Any) -> None:
    request = route.request
    body = f"<h1>The channel's own page</h1><p id=referrer>{request.headers.get('referer', '')}</p>"
    route.fulfill(status=200, content_type="text/html", body=body)


@pytest.fixture
def shop(
    chrome: Any, committed_world: World, live_server: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> Iterator[Shop]:
    install_extra_scenes(monkeypatch)
    cover_extra_scenes(committed_world)
    settings.PUBLIC_BASE_URL = live_server.url
    made = Shop(committed_world, Client(), chrome=chrome, base=live_server.url, contexts=[])
    yield made
    chrome.put_away(made.contexts or [])


@pytest.fixture
def dressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake scenes under names and icons of a real length, for looking at the pages."""
    names = {
        fakepay.FakeQr: (Label("微信扫码支付", "WeChat Pay QR code"), "wechat"),
        fakepay.FakePage: (Label("支付宝（电脑网页）", "Alipay (PC web)"), "alipay"),
        fakepay.FakeJsapi: (Label("微信支付", "WeChat Pay"), "wechat"),
    }
    for scene, (label, _icon) in names.items():
        monkeypatch.setattr(scene, "name", label)
    drawn = {scene.code: f"/static/cashier/icons/{icon}.svg" for scene, (_label, icon) in names.items()}
    generic: Callable[..., str] = icons._address
    monkeypatch.setattr(icons, "_address", lambda wanted: drawn.get(wanted[0]) or generic(wanted))
