"""Fixtures every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import translation

from merchants import channels
from merchants.models import App, Merchant, PaymentAccount
from paycenter import schedules, wakeup
from paycenter.memory import Memory
from tests import factories, prepared
from tests.fakes import fakepay
from tests.fakes.audit_triggers import flush_around_triggers  # noqa: F401
from trades import shedding


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: Any, django_db_modify_db_settings: None
) -> Iterator[None]:
    """In place of pytest-django's, which runs all migrations in every process."""
    with django_db_blocker.unblock():
        remove = prepared.use_copy()
    yield
    with django_db_blocker.unblock():
        remove()


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No state of one test reaches the next; wake-ups to the broker go nowhere."""
    cache.clear()
    schedules.forget_cached()
    channels._cache.clear()
    Memory.forget_all()
    shedding._memory.__init__()  # type: ignore[misc]
    monkeypatch.setattr(wakeup._waker, "ask", lambda task: None)


@pytest.fixture(autouse=True)
def _skip_without_postgres(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("postgres") and connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: SQLite has no row locks and one writer at a time")


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> fakepay.Book:
    """The fake channel, installed; its book starts empty."""
    return fakepay.install(monkeypatch)


@dataclass
class World:
    """One merchant with an account at the fake channel, and one app that collects for it."""

    book: fakepay.Book
    merchant: Merchant
    app: App
    account: PaymentAccount

    def order(self, **values: Any) -> Any:
        return factories.make_order(self.merchant, **values)


@pytest.fixture
def world(db: None, book: fakepay.Book) -> World:
    merchant = factories.make_merchant()
    app = factories.make_app(merchant, notify_url="http://127.0.0.1:9/told")
    return World(book, merchant, app, factories.make_account(merchant))


@pytest.fixture
def committed_world(transactional_db: None, book: fakepay.Book) -> World:
    """As `world`, really committed, for tests with threads."""
    merchant = factories.make_merchant()
    app = factories.make_app(merchant, notify_url="http://127.0.0.1:9/told")
    return World(book, merchant, app, factories.make_account(merchant))


@pytest.fixture
def in_threads() -> Callable[..., list[Any]]:
    """Run a function in n threads at once; their results or exceptions, in order."""
    from tests.fakes.threads import run_together

    return run_together


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests have to say about a run that passed: how much of it there was."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name == "summary" and report.when == "call":
                    terminalreporter.write_line(text)


@pytest.fixture
def in_english() -> Iterator[None]:
    """For tests that look for a message's words: otherwise it is in the language of whoever was served last."""
    with translation.override("en"):
        yield
