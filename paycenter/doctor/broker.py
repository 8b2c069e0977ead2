"""The broker and Redis, and whether workers and beats are alive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from django.db import Error
from django.utils import timezone
from django.utils.translation import gettext as _

from cashier.intake.figures import facts
from cashier.intake.stream import is_in_use
from paycenter.doctor.finding import Finding, error, note, ok, unreachable, warning
from paycenter.heartbeats import FORGOTTEN, STALE
from paycenter.models import Heartbeat
from paycenter.views import ask_broker

QUEUE = "celery"
FULL = 10_000  # messages; what beat sends dies within seconds, so that few ever wait
SECONDS = 2.0
ORDERS_WAIT = 30.0  # seconds a cashier order may be in the stream
_START = {
    "worker": "celery --app paycenter.celery worker --pool threads --concurrency 8",
    "beat": "celery --app paycenter.celery beat",
}


def broker() -> Iterator[Finding]:
    """Whether tasks reach workers."""
    try:
        ask_broker()
    except Exception as exc:
        yield unreachable("broker.reachable", _("The broker"), exc,
                          _("Start it, or correct CELERY_BROKER_URL. Nothing is lost meanwhile; work waits."))
    else:
        yield ok("broker.reachable", _("The broker answers."))
    try:
        yield from heartbeats(timezone.now())
    except Error:
        return  # the database's own check says so


def heartbeats(now: datetime) -> Iterator[Finding]:
    """Whether a worker and a beat were heard of lately, and which have gone."""
    rows = list(Heartbeat.objects.filter(beaten_at__gte=now - FORGOTTEN).order_by("-beaten_at"))
    for part in Heartbeat.Part:
        own = [row for row in rows if row.part == part]
        alive = [row for row in own if row.beaten_at >= now - STALE]
        words = {"part": part.label, "names": ", ".join(row.name for row in alive)}
        if alive:
            yield ok(f"broker.{part.value}", _("Alive %(part)s: %(names)s.") % words)
            yield from _gone(part, [row for row in own if row not in alive], now)
            continue
        since = f"{(now - own[0].beaten_at).total_seconds():.0f} s" if own else _("a day or longer")
        yield error(f"broker.{part.value}", _("No %(part)s was heard of for %(since)s.") % {**words, "since": since},
                    _("Start one: %(command)s") % {"command": _START[part.value]})  # fmt: skip


def _gone(part: Heartbeat.Part, rows: list[Heartbeat], now: datetime) -> Iterator[Finding]:
    if rows:
        names = ", ".join(f"{row.name} ({(now - row.beaten_at).total_seconds():.0f} s)" for row in rows[:5])
        yield note(f"broker.{part.value}_gone", _("Not heard of any more: %(names)s.") % {"names": names},
                   _("Start them again, unless they were stopped on purpose."))  # fmt: skip


def redis_server() -> Iterator[Finding]:
    """How Redis is set up, where one is used."""
    url = settings.REDIS_URL or (settings.CELERY_BROKER_URL if settings.CELERY_BROKER_URL.startswith("redis") else "")
    if not url:
        return
    try:
        with redis.Redis.from_url(
            url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, decode_responses=True
        ) as client:
            yield from _redis_findings(client)
    except (redis.RedisError, OSError) as exc:
        yield unreachable("redis.reachable", "Redis", exc,
                          _("Start it, or correct REDIS_URL. Losing what it held loses no money."))  # fmt: skip


def _redis_findings(client: redis.Redis) -> Iterator[Finding]:
    info: Mapping[str, Any] = client.info()
    yield ok("redis.reachable", _("Redis %(version)s answers.") % {"version": info.get("redis_version", "?")})
    waiting = int(client.llen(QUEUE))
    if waiting > FULL:
        yield error("broker.queue", _("%(count)d tasks wait in the queue.") % {"count": waiting},
                    _("Start workers; what is too old they drop."))  # fmt: skip
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if limit and used > 0.8 * limit:
        yield warning("redis.memory", _("Redis uses %(percent)d %% of its memory.") % {"percent": used * 100 // limit},
                      _("Raise maxmemory."))  # fmt: skip
    yield from _redis_policy(info.get("maxmemory_policy", "noeviction"), limit)
    yield from _redis_durability(lambda name: info.get(name))
    if is_in_use():
        yield from _order_stream()


def _order_stream() -> Iterator[Finding]:
    """Whether the orders in the stream are being written."""
    found = facts()
    if found is None:
        yield error("redis.order_stream", _("The Redis of cashier orders does not answer; they go into the database."),
                    _("Start it, or correct PAYCENTER_ORDER_STREAM_URL."))  # fmt: skip
        return
    words = {"length": found.length, "oldest": found.oldest, "given_up": found.given_up}
    text = _("%(length)d cashier orders in the stream, the oldest for %(oldest).0f s, %(given_up)d given up.") % words
    if found.given_up or found.oldest > ORDERS_WAIT:
        yield error("redis.order_stream", text, _("Run manage.py write_orders; --again takes up what was given up."))
    else:
        yield ok("redis.order_stream", text)


def _redis_policy(policy: str, limit: int) -> Iterator[Finding]:
    if policy == "noeviction":
        yield ok("redis.policy", _("maxmemory-policy is noeviction."))
    else:
        finding = error if limit else warning
        yield finding("redis.policy", _("maxmemory-policy is %(policy)s: tasks may be dropped.") % {"policy": policy},
                      _("Set maxmemory-policy noeviction."))  # fmt: skip


def _redis_durability(of: Callable[[str], Any]) -> Iterator[Finding]:
    if of("aof_enabled"):
        broken = of("aof_last_write_status") not in (None, "ok")
        if broken:
            yield error("redis.aof", _("Redis cannot write its append-only file."), _("Look at its log and its disk."))
        else:
            yield ok("redis.aof", _("Redis keeps an append-only file."))
        return
    if is_in_use():
        yield error("redis.aof", _("Redis keeps no append-only file, and takes cashier orders: a restart loses those"
                                   " that are not written yet."),
                    _("Set appendonly yes and appendfsync always, or PAYCENTER_ORDER_STREAM=off."))  # fmt: skip
        return
    yield note("redis.aof", _("Redis keeps no append-only file: a restart empties it."),
                  _("Nothing is lost by it: due work stands in the database. Set appendonly yes where Redis also"
                    " holds something else."))  # fmt: skip
    if of("rdb_last_bgsave_status") not in (None, "ok"):
        yield warning("redis.save", _("Redis could not save its last snapshot; it may refuse writes."),
                      _("Look at its log and its disk."))  # fmt: skip
