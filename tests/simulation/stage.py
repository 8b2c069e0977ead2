"""Where histories are played: the center's services with their clock, channel, receiver and processes replaced."""

from __future__ import annotations

import random as chance
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from unittest import mock

from django.conf import settings
from django.db import connection
from django.db.backends.sqlite3.base import SQLiteCursorWrapper
from django.utils import timezone

from merchants.models import User
from notifications import deliveries
from paycenter import lanes, wakeup
from paycenter.http import HttpResponse
from refunds import services as refund_services
from refunds.models import RefundPolicy
from tests import factories
from tests.conftest import World
from tests.fakes import fakepay
from tests.simulation.database import InMemory, Points, Server
from tests.simulation.rules import AUTOMATIC_UP_TO, ONE_APPROVAL_UP_TO
from tests.simulation.scheduler import Clock, Scheduler
from trades import sending, shedding, switching
from trades import services as trade_services

PROCESSES = 3  # at work at the same time
URL = "http://127.0.0.1:9/told"


class Trouble:
    """Stands in for the loggers that swallow what must not happen; `log.exception` is a finding."""

    def __init__(self, found: list[str]) -> None:
        self._found = found

    def exception(self, text: str, **values: Any) -> None:
        import sys

        error = sys.exc_info()[1]
        if type(error).__name__ != "OperationalError":  # one that the history itself arranged
            self._found.append(f"{text}: {type(error).__name__}: {error} {values}")

    def __getattr__(self, _level: str) -> Callable[..., None]:
        return lambda *_arguments, **_values: None


@dataclass
class Receiver:
    """The app: what it was sent, and whether it acknowledges just now."""

    well: bool = True
    got: list[tuple[str, str, bool]] = field(default_factory=list)  # webhook id, body, acknowledged

    async def fetch(self, _method: str, _url: str, *, headers: Any, body: bytes, **_limits: Any) -> HttpResponse:
        self.got.append((headers["webhook-id"], body.decode(), self.well))
        return HttpResponse(200 if self.well else 500, {}, b"success")


@dataclass
class Stage:
    """Everything a history plays with."""

    world: World
    clerks: list[User]
    scheduler: Scheduler
    points: Points
    database: InMemory | Server
    clock: Clock
    receiver: Receiver
    trouble: list[str]

    def fresh(self) -> None:
        """As before any history."""
        self.database.restore()
        self.clock.passed = 0.0
        self.world.book.__init__()  # type: ignore[misc]
        self.world.book.tells_sums = True
        self.receiver.__init__()  # type: ignore[misc]
        self.trouble.clear()
        shedding._memory.__init__()  # type: ignore[misc]
        chance.seed(0)  # retry delays have a jitter


@contextmanager
def opened() -> Iterator[Stage]:
    """Needs a migrated test database that may be written to; leaves rows of its own there."""
    clock, trouble = Clock(), list[str]()
    scheduler = Scheduler(clock)
    points = Points(scheduler, overtaken_inside=connection.vendor == "postgresql")
    database: InMemory | Server = InMemory(points) if connection.vendor == "sqlite" else Server(points)
    scheduler.blockers = database.blockers
    scheduler.staff(PROCESSES, database)
    with ExitStack() as stack:
        stack.callback(scheduler.dismiss)
        for patch in _patches(clock, scheduler, trouble):
            stack.enter_context(patch)
        if isinstance(database, InMemory):
            from django.db import connections

            kept = connections["default"]
            database.use()
            stack.callback(connections.__setitem__, "default", kept)
        world, clerks = _world(stack)
        yield Stage(world, clerks, scheduler, points, database, clock, Receiver(), trouble)


def _world(stack: ExitStack) -> tuple[World, list[User]]:
    patch = SimpleNamespace(setattr=lambda target, name, value: stack.enter_context(
        mock.patch.object(target, name, value)))  # fmt: skip
    book = fakepay.install(patch)
    merchant = factories.make_merchant()
    app = factories.make_app(merchant, notify_url=URL)
    account = factories.make_account(merchant)
    clerks = [
        User.objects.get_or_create(username=f"sim{n}", defaults={"role": "finance", "is_staff": True})[0]
        for n in range(3)
    ]
    limits = {"automatic_up_to": AUTOMATIC_UP_TO, "one_approval_up_to": ONE_APPROVAL_UP_TO}
    RefundPolicy.objects.create(app=app, merchant=merchant, **limits)
    return World(book, merchant, app, account), clerks


def _patches(clock: Clock, scheduler: Scheduler, trouble: list[str]) -> list[Any]:
    """Time, broker, queues inside one process, and what is logged instead of raised."""
    time = SimpleNamespace(monotonic=clock.monotonic, sleep=scheduler.sleep)
    log = Trouble(trouble)
    patches = [
        mock.patch.object(timezone, "now", clock.now),
        mock.patch.object(wakeup._waker, "ask"),
        # Each piece of work is a process of its own: nothing of one process holds up another.
        mock.patch.object(refund_services, "turn_for", return_value=nullcontext()),
        mock.patch.object(settings, "WRITE_TOGETHER", 1),
        mock.patch.object(lanes, "_enter", return_value=True),
        mock.patch.object(lanes, "log", log),
    ]
    patches += [mock.patch.object(module, "time", time)
                for module in (trade_services, sending, switching, shedding, deliveries)]  # fmt: skip
    for module in ("trades.calling", "trades.inbound"):
        patches.append(mock.patch(f"{module}.log", log))
    return [*patches, *_channel_points(scheduler), _spelled_once()]


def _spelled_once() -> Any:
    """Django spells every statement anew for SQLite before it runs; long ones take longer for that than to run."""
    convert = SQLiteCursorWrapper.convert_query
    once = lru_cache(maxsize=1000)(lambda sql: convert(None, sql))  # type: ignore[arg-type] - it needs no cursor

    def converted(cursor: Any, query: str, *, param_names: Any = None) -> str:
        return once(query) if param_names is None else convert(cursor, query, param_names=param_names)

    return mock.patch.object(SQLiteCursorWrapper, "convert_query", converted)


def _channel_points(scheduler: Scheduler) -> list[Any]:
    """A process may be overtaken, or die, before the channel is asked and with its answer in hand."""

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **values: Any) -> Any:
            _channel_point(scheduler)
            try:
                return call(*arguments, **values)
            finally:
                _channel_point(scheduler)

        return called

    names = ("query", "close", "refund", "query_refund")
    patches = [mock.patch.object(fakepay.FakeProvider, name, around(getattr(fakepay.FakeProvider, name)))
               for name in names]  # fmt: skip
    return [*patches, mock.patch.object(fakepay, "_start", around(fakepay._start))]


def _channel_point(scheduler: Scheduler) -> None:
    from tests.simulation.scheduler import Died, current

    process = current()
    if process is None:
        return
    if process.dead:
        raise Died
    scheduler.pause()
    if process.points == process.dies_at and process.how == "killed":
        process.dead = True
        raise Died
