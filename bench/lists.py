"""What do the back office's lists and a trade's page cost with few payments and with many?

    .venv/bin/python -m bench.lists [--small 10000] [--large 1000000] [--runs 5]
    DATABASE_URL=postgres://… .venv/bin/python -m bench.lists --as-it-is

Each size stands in a private PostgreSQL of its own, filled by `manage.py demo_data`; `--as-it-is` measures the database
that DATABASE_URL names, whatever is in it. For every list (as it opens, a rare and a frequent filter, a far page, a
search) and the page of a trade: the number of queries and the milliseconds the database took, as the client saw them,
medians over the runs after one to warm up. Exit status 1: a page took over LIMIT times the small size's time and more
than SLACK ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LIMIT, SLACK = 1.5, 5.0
USER = "bench-lists"
Figures = dict[str, tuple[int, float]]


@contextmanager
def timed() -> Iterator[list[float]]:
    """Seconds of every query that the block asks."""
    from django.db import connection

    times: list[float] = []

    def around(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            times.append(time.perf_counter() - began)

    with connection.execute_wrapper(around):
        yield times


def pages() -> Iterator[tuple[str, str]]:
    """(what, address below /admin/) of everything that is measured."""
    from merchants.models import Merchant
    from trades.models import Trade

    newest = Trade.objects.order_by("-trade_no")[0]
    paid = Trade.objects.filter(state="paid", refunded_amount__gt=0).order_by("-trade_no").first() or newest
    merchant = Merchant.objects.order_by("id")[0].merchant_no
    trades = "trades/trade/"
    yield "trades", trades
    yield "trades, far page", f"{trades}?day_all=1&p={_place()}"
    yield "trades, closed", f"{trades}?state__exact=closed&day_all=1"
    yield "trades, failed", f"{trades}?state__exact=failed&day_all=1"
    yield "trades, one merchant", f"{trades}?merchant={merchant}&day_all=1"
    yield "trades, rare method", f"{trades}?method=mpgs_checkout&day_all=1"
    yield "trades, no such method", f"{trades}?method=bank_pc&day_all=1"
    yield from _money_days(merchant)
    yield "trades, oldest first", f"{trades}?o=0&day_all=1"
    yield "trades, by number", f"{trades}?q={newest.trade_no}"
    yield "trades, by phone", f"{trades}?q={paid.phone_tail or '0000'}"
    yield from (
        ("refunds", "refunds/refund/"), ("refunds, all", "refunds/refund/?state=all"),
        ("refunds, failed", "refunds/refund/?state=failed"), ("abnormal", "trades/abnormalpayment/?state=all"),
        ("notifications", "notifications/notification/"),
        ("notifications, given up", "notifications/notification/?state__exact=given_up"),
        ("events", "paycenter/event/"), ("events, by number", f"paycenter/event/?q={newest.trade_no}"),
        ("events, a past day", "paycenter/event/?day_from={0}&day_to={0}".format(_some_day())),
        ("attempts", "trades/attempt/"), ("attempts, failed", "trades/attempt/?state__exact=failed&day_all=1"),
        ("attempts, unknown", "trades/attempt/?state__exact=unknown&day_all=1"),
        ("attempts, one merchant", f"trades/attempt/?merchant={merchant}&day_all=1"),
        ("attempts, one account", f"trades/attempt/?account={_account()}&day_all=1"),
        ("attempts, a past day", f"trades/attempt/?p={_some_day(90)}&day_all=1"),
        ("deliveries", "notifications/delivery/"), ("deliveries, not acked", "notifications/delivery/?outcome=not"),
        ("deliveries, one app", f"notifications/delivery/?app={_app()}"),
        ("deliveries, a past day", f"notifications/delivery/?p={_some_day()}&day_all=1"),
        ("bill rows", "reconciliation/billrow/"), ("bill rows, refunds", "reconciliation/billrow/?kind=refund"),
        ("bill rows, other", "reconciliation/billrow/?kind=other"),
        ("bill rows, failed", "reconciliation/billrow/?state=failed"),
        ("bill rows, one account", f"reconciliation/billrow/?account={_account()}"),
        ("bill rows, a past month", f"reconciliation/billrow/?p={_some_day(60)[:7]}&day_all=1"),
        ("bill rows, by number", f"reconciliation/billrow/?q={_row_key()}"),
        ("trades, a past day", f"{trades}?p={_some_day(90)}&day_all=1"),
        ("refunds, a past day", f"refunds/refund/?state=all&p={_some_day(90)}&day_all=1"),
        ("exchanges", "paycenter/exchange/"), ("contracts", "trades/contract/"), ("cases", "reconciliation/case/"),
        ("bills", "reconciliation/bill/"),
    )  # fmt: skip
    yield "a trade's page", f"{trades}{paid.pk}/change/"


def _money_days(merchant: str) -> Iterator[tuple[str, str]]:
    """A month of payments and of refunds' ends, where dashboards lead."""
    first, last = _some_day(90), _some_day(60)
    paid = f"trades/trade/?paid_from={first}&paid_to={last}"
    yield "trades, paid in a month", paid
    yield "trades, paid in a month, one merchant", f"{paid}&merchant={merchant}"
    yield "trades, paid in a month, one app", f"{paid}&app={_app()}"
    yield "trades, paid in a month, rare method", f"{paid}&method=mpgs_checkout"
    yield "trades, paid in a month, other currency", f"{paid}&currency=USD"
    yield "trades, one app", f"trades/trade/?app={_app()}&day_all=1"
    yield "refunds, ended in a month", f"refunds/refund/?state=succeeded&done_from={first}&done_to={last}"


def _place() -> str:
    """A place in the middle of all trades, as the pager writes it."""
    from paycenter.staff.keyset import Key, token
    from trades.models import Trade

    last = Trade.objects.order_by("-id")[0].pk
    return "n." + token([Key("trade_no", True)], Trade.objects.filter(pk__gte=last // 2).order_by("pk")[0])


def _some_day(ago: int = 12) -> str:
    from datetime import timedelta

    from django.utils import timezone

    return (timezone.localdate() - timedelta(days=ago)).isoformat()


def _account() -> str:
    from merchants.models import PaymentAccount

    return PaymentAccount.objects.order_by("id")[0].payment_no


def _app() -> str:
    from merchants.models import App

    return App.objects.order_by("id")[0].app_id


def _row_key() -> str:
    from reconciliation.models import BillRow

    return BillRow.objects.order_by("pk")[0].key


def measure(runs: int) -> Figures:
    """Of the database at hand."""
    from django.conf import settings
    from django.test import Client

    from merchants.models import User

    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]
    user = User.objects.filter(username=USER).first() or User.objects.create_superuser(USER, role="operator")
    User.objects.filter(pk=user.pk).update(is_active=True)  # one that measured before was put away
    client = Client(headers={"accept-language": "en"})
    client.force_login(user, backend="merchants.roles.RoleBackend")
    found: Figures = {}
    for name, path in list(pages()):
        times, counts = [], []
        for _run in range(runs + 1):
            with timed() as queries:
                answer = client.get(f"/admin/{path}")
            if answer.status_code != 200:
                raise SystemExit(f"{name}: /admin/{path} answered {answer.status_code}")
            times.append(sum(queries) * 1000)
            counts.append(len(queries))
        found[name] = (counts[-1], statistics.median(times[1:]))
    User.objects.filter(pk=user.pk).update(is_active=False)
    return found


def one_size(trades: int | None, runs: int) -> Figures:
    """Fill the database (unless `trades` is None) and measure it, in this process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paycenter.settings")
    import django

    django.setup()
    from django.core.management import call_command

    if trades is not None:
        call_command("migrate", verbosity=0)
        began = time.perf_counter()
        call_command("demo_data", trades=trades, verbosity=0, stdout=sys.stderr)
        print(f"{trades:,} trades in {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return measure(runs)


def in_a_process(trades: int, runs: int) -> Figures:
    """The same on a PostgreSQL of its own."""
    from deploy.checks.services import postgres

    with postgres() as url:
        command = [sys.executable, "-m", "bench.lists", "--one", str(trades), "--runs", str(runs)]
        environment = {**os.environ, "DATABASE_URL": url}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return {name: (count, ms) for name, (count, ms) in json.loads(done.stdout.splitlines()[-1]).items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--as-it-is", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(one_size(options.one, options.runs)))
        return 0
    if options.as_it_is:
        for name, (count, ms) in one_size(None, options.runs).items():
            print(f"{name:28} {count:3} queries {ms:8.1f} ms")
        return 0
    return compare(in_a_process(options.small, options.runs), in_a_process(options.large, options.runs))


def compare(small: Figures, large: Figures) -> int:
    """Print both sizes side by side; the exit status."""
    missed = 0
    for name, (count, ms) in large.items():
        before = small[name][1]
        bad = ms > LIMIT * before and ms - before > SLACK
        missed += bad
        print(f"{name:28} {count:3} queries {before:8.1f} ms {ms:8.1f} ms  {ms / max(before, 0.01):5.2f} ×"
              f"{'  MISSED' if bad else ''}")  # fmt: skip
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
