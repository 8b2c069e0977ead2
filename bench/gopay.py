"""What one gopay costs: processor time of the web process and of PostgreSQL. `make bench-gopay`; see bench/README.md.

Starts a PostgreSQL, a Redis and one web process of its own, measures, and ends them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bench.constant import CHANNEL, SCENE, install
from bench.load import Caller
from bench.private_demo import NotStarted, private_servers
from bench.processor import seconds_of_tree
from bench.served import postmaster, serving
from deploy.checks.services import free_port

SERVED, REFUSED = 0, 50301
WARM_UP = 30


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of processor time, user and system, per call."""

    name: str
    web: float
    postgres: float
    calls: int
    errnos: Mapping[int, int]

    def line(self) -> str:
        return (
            f"{self.name:8}  web {self.web:6.2f}  postgres {self.postgres:5.2f}  sum {self.web + self.postgres:6.2f}"
            f" ms  {self.calls} calls, errno {dict(self.errnos)}"
        )


def seed(base_url: str) -> dict[str, Any]:
    """Two merchants, each with an account at the constant channel; the second one's is switched off.

    As demo.json describes them: what `bench.load.Caller` reads.
    """
    from merchants.models import AccountMethod, App, AppKey, AppMerchant, Merchant, PaymentAccount
    from merchants.states import MerchantState
    from trades.shedding import switch_set

    app = App.objects.create(app_id="APPBENCH", name="bench", requests_per_second=100_000)
    secret = secrets.token_urlsafe(32)
    AppKey.objects.create(app=app, kind=AppKey.Kind.HMAC, value=secret)
    merchants = []
    for number, switch in enumerate(("auto", "off")):
        merchant = Merchant.objects.create(merchant_no=f"M{number}", name=switch, state=MerchantState.ACTIVE)
        AppMerchant.objects.create(app=app, merchant=merchant)
        account = PaymentAccount.objects.create(
            payment_no=f"Z{number}", merchant=merchant, channel=CHANNEL, name=switch, state=MerchantState.ACTIVE,
            config={"base_url": base_url},  # type: ignore[misc]
        )  # fmt: skip
        AccountMethod.objects.create(account=account, method=SCENE)
        switch_set(account=account, switch=switch, actor="system:bench", reason="measuring")
        merchants.append({"merchant_no": merchant.merchant_no})
    return {"apps": [{"app_id": app.app_id, "hmac_secret": secret}], "merchants": merchants}


def prepare(base_url: str) -> dict[str, Any]:
    """Set up Django in this process, make the tables and fill them."""
    import django

    django.setup()
    install()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    document = seed(base_url)
    connection.close()
    return document


async def measure(name: str, caller: Caller, pids: Sequence[int], calls: int, side_by_side: int) -> Cost:
    """The cost of `calls` payments, `side_by_side` of them at a time."""
    await _pay(caller, WARM_UP, side_by_side)
    before = [seconds_of_tree(pid) for pid in pids]
    errnos = await _pay(caller, calls, side_by_side)
    used = [(seconds_of_tree(pid) - was) * 1000 / calls for pid, was in zip(pids, before, strict=True)]
    return Cost(name, used[0], used[1], calls, errnos)


async def _pay(caller: Caller, calls: int, side_by_side: int) -> Counter[int]:
    left = iter(range(calls))
    errnos: Counter[int] = Counter()

    async def one_after_the_other() -> None:
        for _ in left:
            errno, _status = await caller.gopay(SCENE)
            errnos[errno] += 1

    await asyncio.gather(*(one_after_the_other() for _ in range(side_by_side)))
    return errnos


async def run(
    document: dict[str, Any], pids: Sequence[int], channel_port: int, given: argparse.Namespace
) -> list[Cost]:
    """Both kinds of call, `given.runs` times in turn. Raises NotStarted where calls ended otherwise."""
    channel = web.AppRunner(_channel())
    await channel.setup()
    await web.TCPSite(channel, "127.0.0.1", channel_port).start()
    costs = []
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            kinds = {"refused": (1, REFUSED), "served": (0, SERVED)}
            for name, (merchant, errno) in list(kinds.items()) * given.runs:
                caller = Caller({**document, "merchants": document["merchants"][merchant:]}, session)
                cost = await measure(name, caller, pids, given.calls, given.side_by_side)
                print(cost.line(), flush=True)
                if set(cost.errnos) != {errno}:
                    raise NotStarted(f"{name}: every call was to end with {errno}")
                costs.append(cost)
    finally:
        await channel.cleanup()
    return costs


def _channel() -> web.Application:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"code": "SUCCESS", "qr": "constant://pay"})

    application = web.Application()
    application.router.add_post("/", answer)
    return application


def bench(given: argparse.Namespace) -> None:
    """Raises NotStarted."""
    channel_port = free_port()
    with private_servers() as servers:
        environment = {
            **servers.environment, "DJANGO_SETTINGS_MODULE": "paycenter.settings",
            "PAYCENTER_EGRESS_ALLOWED": "127.0.0.0/8",
        }  # fmt: skip
        os.environ.update(environment)
        document = prepare(f"http://127.0.0.1:{channel_port}/")
        document["base_url"] = f"http://127.0.0.1:{environment['PAYCENTER_PORT']}"
        port, log = int(environment["PAYCENTER_PORT"]), servers.var / "web.log"
        with serving("bench.constant_wsgi:application", port, environment, log) as process:
            database = postmaster(servers.database_url)
            if database is None:
                raise NotStarted("PostgreSQL's processes cannot be seen")
            pids = (process.pid, database)
            costs = asyncio.run(run(document, pids, channel_port, given))
    if given.json:
        given.json.write_text(json.dumps([{"name": c.name, "web": c.web, "postgres": c.postgres} for c in costs]))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", default=3, type=int)
    parser.add_argument("--calls", default=300, type=int, help="of each kind and run")
    parser.add_argument("--side-by-side", default=4, type=int, help="calls at a time")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        bench(given)
    except NotStarted as exc:
        print(f"not measured: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
