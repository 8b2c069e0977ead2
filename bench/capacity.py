"""What one payment costs: processor time, WAL, disk and Redis. `make bench-capacity`; docs/capacity.md reckons with it.

One payment is a gopay through a channel that answers at once and WeChat Pay's notification that it was paid.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
import redis

from bench.private_demo import NotStarted
from bench.rows.gopay import gopay_request
from bench.stage import Sizes, Stage
from bench.table import Skipped
from bench.wechat_notice import notices
from bench.wire import Unexpected, volley

_TABLES = ("trades_trade", "trades_attempt", "paycenter_event", "paycenter_exchange", "notifications_notification",
           "merchants_nonce")  # fmt: skip
# Of a partitioned table: of its partitions, which a plain one has none of.
_SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size(%(name)s::regclass))
    FROM pg_partition_tree(%(name)s::regclass)
"""
_SIDE_BY_SIDE = 16
_AT_A_TIME = 500
RATES, PACED_SECONDS = (10, 50, 100), 15  # payments a second at which the reckoning is looked at
_TICKS = 10


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one payment: milliseconds of processor time, bytes of WAL, of tables with their indexes, and of Redis.

    `per_second`: how many were answered a second as fast as this machine could, on which the load ran as well."""

    web_ms: float
    postgres_ms: float
    per_second: float
    wal: float
    disk: dict[str, float]
    redis: float

    @property
    def stored(self) -> float:
        return sum(self.disk.values())


def say(text: str) -> None:
    """Beside the result, which is JSON alone."""
    print(text, file=sys.stderr, flush=True)


def _state(stage: Stage, url: str) -> dict[str, Any]:
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("CHECKPOINT")
        wal = server.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
        sizes = {name: server.execute(_SIZE, {"name": name}).fetchone() for name in _TABLES}
    memory = redis.Redis.from_url(stage.environment["REDIS_URL"]).info("memory")
    return {
        "wal": float(wal[0]) if wal else 0.0, "redis": float(memory["used_memory"]),
        "disk": {name: float(size[0]) if size else 0.0 for name, size in sizes.items()},
    }  # fmt: skip


def measure(stage: Stage, payments: int, prefix: str) -> Cost:
    """The cost of one of so many payments; `prefix` begins the numbers of those that are told of, once.

    Raises NotStarted, Unexpected, Skipped.
    """
    site = stage.site
    volley(site.port, [gopay_request(site.document) for _ in range(100)], side_by_side=_SIDE_BY_SIDE)
    site.worker.call("bench.site:submitted", count=payments, prefix=prefix)
    before, used, seconds = _state(stage, site.worker.url), stage.processor(site.pid), 0.0
    for first in range(1, payments + 1, _AT_A_TIME):
        some = range(first, min(first + _AT_A_TIME, payments + 1))
        # Signed now: on a busy machine those signed at the beginning would be too old at the end.
        asked = [gopay_request(site.document) for _ in some]
        told = [one.wire for one in notices(site.document["signer"], {f"{prefix}{n}": 100 for n in some})]
        began = time.monotonic()
        for calls in (asked, told):
            volley(site.port, calls, side_by_side=_SIDE_BY_SIDE)
        seconds += time.monotonic() - began
        say(f"  {some[-1]} of {payments} payments")
    cost, after = used(), _state(stage, site.worker.url)
    return Cost(
        cost.web / payments, cost.postgres / payments, payments / seconds,
        (after["wal"] - before["wal"]) / payments,
        {name: (after["disk"][name] - before["disk"][name]) / payments for name in _TABLES},
        (after["redis"] - before["redis"]) / payments,
    )  # fmt: skip


def pace(stage: Stage, rate: int, seconds: int, prefix: str) -> tuple[float, float]:
    """So many payments a second for so long, a tenth of them every tenth of a second: how many a second there were in
    the end, and how many processors were busy with them, the load's own left out."""
    site, each = stage.site, rate // _TICKS
    site.worker.call("bench.site:submitted", count=rate * seconds, prefix=prefix)
    used, began = stage.processor(site.pid), time.monotonic()
    for tick in range(seconds * _TICKS):
        some = range(tick * each + 1, (tick + 1) * each + 1)
        volley(site.port, [gopay_request(site.document) for _ in some], side_by_side=_SIDE_BY_SIDE)
        told = notices(site.document["signer"], {f"{prefix}{n}": 100 for n in some})
        volley(site.port, [one.wire for one in told], side_by_side=_SIDE_BY_SIDE)
        time.sleep(max(0.0, began + (tick + 1) / _TICKS - time.monotonic()))
    took = time.monotonic() - began
    return rate * seconds / took, used().both / 1000 / took


def _found(stage: Stage, payments: int, prefix: str) -> dict[str, Any]:
    """The cost, and what it reckons to at some rates beside what these took."""
    cost = measure(stage, payments, prefix)
    paced = {}
    for rate in RATES:
        say(f"  {rate} payments a second for {PACED_SECONDS} s")
        done, processors = pace(stage, rate, PACED_SECONDS, f"{prefix}{rate}X")
        reckoned = done * (cost.web_ms + cost.postgres_ms) / 1000
        paced[str(rate)] = {"per_second": done, "processors": processors, "reckoned": reckoned}
    return {**asdict(cost), "stored": cost.stored, "paced": paced}


def measured(stage: Stage, payments: int, stored: int) -> dict[str, Any]:
    """The cost in an empty book, and where so many trades are stored; by how many there are."""
    say("starting PostgreSQL, Redis and the center ...")
    found = {"0": _found(stage, payments, "C")}
    if stored:
        say(f"storing {stored:,} trades ...")
        stage.need_disk(stored)
        stage.site.worker.call("bench.books:add", trades=stored)
        found[str(stored)] = _found(stage, payments, "D")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--payments", type=int, default=1000)
    parser.add_argument("--stored", type=int, default=100_000, help="trades beside which it is measured once more")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # so that what was started is ended
    try:
        with Stage(runs=1, sizes=Sizes.of(full=False, large=False)) as stage:
            found = measured(stage, given.payments, given.stored)
    except (NotStarted, Unexpected, Skipped, OSError, LookupError, psycopg.Error) as exc:
        print(f"not measured: {type(exc).__name__}: {exc}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
