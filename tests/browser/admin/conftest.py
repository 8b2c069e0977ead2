"""Staff in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandlerMixin

from tests.browser import chromium
from tests.conftest import World
from tests.fakes.staff import PASSWORD, make_staff


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    # Playwright's loop runs in this thread; Django would take every query here for one inside a coroutine.
    with pytest.MonkeyPatch.context() as patch, chromium.browser() as started:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield started


@pytest.fixture(autouse=True)
def _static_files_are_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By each browser: nobody changes them meanwhile."""
    plain = StaticFilesHandlerMixin.serve

    def serve(self: Any, request: Any) -> Any:
        answer = plain(self, request)
        answer["Cache-Control"] = "max-age=3600"
        return answer

    monkeypatch.setattr(StaticFilesHandlerMixin, "serve", serve)


class Desk:
    """A signed-in staff member's browser; `complaints` holds what its console objected to."""

    def __init__(self, page: Any, base: str) -> None:
        self.page, self.base, self.complaints = page, base, []
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self.complaints.append(str(e)))

    def go(self, path: str) -> Any:
        self.page.goto(f"{self.base}/admin/{path}", wait_until="load")
        return self.page


@pytest.fixture
def sit_down(chrome: Any, live_server: Any, committed_world: World) -> Iterator[Callable[..., Desk]]:
    """Somebody of a role signs in, as `sit_down("finance")`, or a given `user`; further values are the browser's
    (locale, viewport)."""
    contexts = []

    def sign_in(role: str, user: Any = None, **browser: Any) -> Desk:
        name = (user or make_staff(role)).username
        context = chrome.new_context(**{"locale": "en-US", "viewport": {"width": 1440, "height": 900}, **browser})
        contexts.append(context)
        context.set_default_timeout(10_000)
        desk = Desk(context.new_page(), live_server.url)
        page = desk.go("")
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", PASSWORD)
        page.click("#login-form button[type=submit]")
        page.wait_for_url(lambda url: "/login" not in url)
        return desk

    yield sign_in
    chrome.put_away(contexts)


@pytest.fixture
def desk(sit_down: Callable[..., Desk]) -> Desk:
    """An operator, signed in."""
    return sit_down("operator")
