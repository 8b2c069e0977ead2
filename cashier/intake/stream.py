"""The stream in Redis: entries as they were taken, and by each number or token of an order where its entry is.

All keys share a hash tag, so that they live on one node of a cluster and a script may use them together. A consumer
group (Redis 5) hands each entry to one writer; what a dead one had is handed to another.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from paycenter.errors import ApiError

log = structlog.get_logger(__name__)
_TAG = "paycenter:{orders}"
STREAM, GIVEN_UP, GROUP = f"{_TAG}:taken", f"{_TAG}:given-up", "writers"
KEPT_GIVEN_UP = 10_000
# Seconds for which a written order, or one about to be opened in the database, is not taken. Longer than any request.
HELD = 120
PATIENCE = 0.5  # seconds to wait for Redis in a request
_REST = 2.0  # seconds for which a Redis that did not answer is left alone
_TEXT, _PLACES = b"order", b"places"
_GONE = "-"  # in the place of an entry: the database is where to look

# The first check and the last write are one step: of two who take an order at once one does.
_TAKE = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 'known' end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 'full' end
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if oldest then
  local since = tonumber(string.match(oldest[1], '^%d+'))
  if tonumber(redis.call('TIME')[1]) * 1000 - since > tonumber(ARGV[3]) then return 'behind' end
end
local id = redis.call('XADD', KEYS[1], '*', 'order', ARGV[1], 'places', table.concat(KEYS, '\\n', 2))
for at = 2, #KEYS do redis.call('SET', KEYS[at], id) end
return 'taken'
"""
_CLAIM = """
local id = redis.call('GET', KEYS[1])
if id then return id end
redis.call('SET', KEYS[1], '-', 'EX', ARGV[1])
return false
"""


class StreamAway(ApiError):
    """Redis does not answer. `unsure`: what was asked may have been done. To an app it is our fault."""

    default_msg = "whether there is such an order cannot be found out now"

    def __init__(self, *, unsure: bool) -> None:
        super().__init__()
        self.unsure = unsure


class Taking(StrEnum):
    """What became of an order: taken; or why not: it is `known` already, the stream is `full`, or too far `behind`."""

    TAKEN = "taken"
    KNOWN = "known"
    FULL = "full"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class Names:
    """Under what an order is found. `order` is the app's key, the merchant's and the app's number."""

    order: str
    trade_no: str
    token: str
    code: str

    def places(self) -> tuple[str, ...]:
        pairs = (("order", self.order), ("trade", self.trade_no), ("token", self.token), ("code", self.code))
        return tuple(_key(kind, value) for kind, value in pairs)


@dataclass(frozen=True, slots=True)
class Entry:
    """An order in the stream; `places` are the keys under which it is found."""

    id: str
    text: str
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """How many orders are in the stream, how many seconds the oldest waits, and how many were given up."""

    length: int
    oldest: float
    given_up: int


def _key(kind: str, value: str) -> str:
    return f"{_TAG}:by:{kind}:{value}"


class OrderStream:
    """Raises StreamAway where Redis does not answer."""

    def __init__(self, url: str, *, patience: float) -> None:
        # No second try: it might take an order twice.
        self._redis: Any = redis.Redis.from_url(
            url, socket_timeout=patience, socket_connect_timeout=patience, retry=Retry(NoBackoff(), 0)
        )
        self._take, self._claim = self._redis.register_script(_TAKE), self._redis.register_script(_CLAIM)
        self._away_until = 0.0

    def _ask(self, call: Any) -> Any:
        if time.monotonic() < self._away_until:
            raise StreamAway(unsure=False)
        try:
            return call()
        except (redis.RedisError, OSError) as exc:
            if not isinstance(exc, redis.ResponseError):
                self._away_until = time.monotonic() + _REST
            log.warning("the order stream does not answer", error=type(exc).__name__, words=str(exc)[:200])
            raise StreamAway(unsure=True) from exc

    # ---- taking and finding ----------------------------------------------------------------------------------
    def take(self, places: Sequence[str], text: str, *, limit: int, oldest: float) -> Taking:
        """Put an order in, unless it is known, the stream holds `limit` orders, or one older than `oldest` seconds."""
        found = self._ask(lambda: self._take(keys=[STREAM, *places], args=[text, limit, int(oldest * 1000)]))
        return Taking(found.decode())

    def put(self, entry: Entry) -> bool:
        """Put an order in once more, however many there are; False where it is known or no order."""
        return bool(entry.places) and self.take(entry.places, entry.text, limit=2**40, oldest=2.0**40) is Taking.TAKEN

    def claim(self, order: str) -> Entry | None:
        """The entry of the app's order; where there is none, it is not taken for the next HELD seconds."""
        return self._entry(self._ask(lambda: self._claim(keys=[_key("order", order)], args=[HELD])))

    def find(self, kind: str, value: str) -> Entry | None:
        """The entry by `order`, `trade`, `token` or `code`. With an empty text it was written a moment ago."""
        return self._entry(self._ask(lambda: self._redis.get(_key(kind, value))))

    def _entry(self, at: bytes | None) -> Entry | None:
        if at is None:
            return None
        found = [] if at == _GONE.encode() else self._ask(lambda: self._redis.xrange(STREAM, at, at))
        return _entries(found)[0] if found else Entry(at.decode(), "")

    # ---- writing them ----------------------------------------------------------------------------------------
    def open_group(self) -> None:
        """See that there is a group of writers, which begins with the oldest entry."""
        try:
            self._redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except redis.ResponseError as exc:
            if not str(exc).startswith("BUSYGROUP"):
                raise StreamAway(unsure=True) from exc
        except (redis.RedisError, OSError) as exc:
            raise StreamAway(unsure=True) from exc

    def read(self, writer: str, *, count: int, seconds: float) -> list[Entry]:
        """New entries for this writer; waits for some for so long."""
        milliseconds = max(int(seconds * 1000), 1)
        found = self._ask(
            lambda: self._redis.xreadgroup(GROUP, writer, {STREAM: ">"}, count=count, block=milliseconds)
        )
        return _entries(found[0][1]) if found else []

    def take_over(self, writer: str, *, count: int, idle: float) -> list[Entry]:
        """Entries that some writer got so many seconds ago and did not finish."""
        found = self._ask(
            lambda: self._redis.xautoclaim(STREAM, GROUP, writer, min_idle_time=int(idle * 1000), count=count)
        )
        return _entries(found[1])

    def forget_writers(self, *, idle: float) -> None:
        """Remove writers that have nothing to finish and were not heard of for so many seconds."""
        for one in self._ask(lambda: self._redis.xinfo_consumers(STREAM, GROUP)):
            if one["pending"] == 0 and one["idle"] > idle * 1000:
                self._ask(lambda name=one["name"]: self._redis.xgroup_delconsumer(STREAM, GROUP, name))

    def done(self, written: Sequence[Entry]) -> None:
        """Take written orders out. Who looked into the database a moment before is told to look again."""

        def run(pipe: Any) -> None:
            for place in (place for entry in written for place in entry.places):
                pipe.set(place, _GONE, ex=HELD)
            _take_out(pipe, written)

        self._together(run)

    def give_up(self, entry: Entry, reason: str) -> None:
        """Take out what cannot be written, and keep it beside; the app may send the order again at once."""

        def run(pipe: Any) -> None:
            fields: Any = {_TEXT: entry.text, _PLACES: "\n".join(entry.places), "reason": reason[:300]}
            pipe.xadd(GIVEN_UP, fields, maxlen=KEPT_GIVEN_UP, approximate=True)
            if entry.places:
                pipe.delete(*entry.places)
            _take_out(pipe, [entry])

        self._together(run)

    def given_up(self, count: int) -> list[Entry]:
        """The oldest of what was given up."""
        return _entries(self._ask(lambda: self._redis.xrange(GIVEN_UP, count=count)))

    def forget_given_up(self, entry: Entry) -> None:
        self._ask(lambda: self._redis.xdel(GIVEN_UP, entry.id))

    def facts(self) -> Facts:
        with_oldest = self._ask(lambda: self._redis.xrange(STREAM, count=1))
        length, beside = (self._ask(lambda name=name: self._redis.xlen(name)) for name in (STREAM, GIVEN_UP))
        since = int(with_oldest[0][0].partition(b"-")[0]) / 1000 if with_oldest else time.time()
        return Facts(int(length), max(time.time() - since, 0.0), int(beside))

    def _together(self, fill: Any) -> None:
        def run() -> None:
            with self._redis.pipeline(transaction=True) as pipe:
                fill(pipe)
                pipe.execute()

        self._ask(run)


def _take_out(pipe: Any, entries: Sequence[Entry]) -> None:
    ids = [entry.id for entry in entries]
    pipe.xack(STREAM, GROUP, *ids)
    pipe.xdel(STREAM, *ids)


def _entries(found: Sequence[Any]) -> list[Entry]:
    """Without those that were taken out meanwhile (Redis 6 answers nothing in their place)."""
    return [_entry(at, fields) for at, fields in found if at and fields]


def _entry(at: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    text, places = (fields.get(name, b"").decode(errors="replace") for name in (_TEXT, _PLACES))
    return Entry(at.decode(), text, tuple(places.split("\n")) if places else ())


def is_in_use() -> bool:
    """Whether orders may be in the stream."""
    return bool(settings.ORDER_STREAM != "off")


def stream() -> OrderStream:
    """The one of the settings, for use in a request."""
    return _stream(settings.ORDER_STREAM_URL)


@lru_cache(maxsize=4)
def _stream(url: str) -> OrderStream:
    return OrderStream(url, patience=PATIENCE)
