"""What does it cost to open a dashboard, however many trades are stored?

    .venv/bin/python -m bench.dashboards [--trades 100000] [--large 1000000] [--runs 5] [--days 90]
    DATABASE_URL=postgres://… .venv/bin/python -m bench.dashboards --as-it-is

Each size is a history of a year made by the database (merchants, apps, trades, attempts, refunds, abnormal money,
exchanges), on a private PostgreSQL (or DATABASE_URL, an empty database of yours), the sums counted by
`dashboards_rebuild`. Then every dashboard is opened as its staff would open it: statements, and milliseconds the
database took for them (median over the runs, the first one warms up). Exit status 1: more than MOST_QUERIES
statements, more than MOST_MS, or the larger size takes more than 1.5 times the smaller one (where that is more than
5 ms). `--as-it-is` measures the database that DATABASE_URL names, such as one that `demo_data` filled. Other benches
call `cost_of_dashboards()` in a database of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

MOST_QUERIES, MOST_MS, MOST_RATIO = 10, 150.0, 1.5
MERCHANTS, APPS, YEAR = 200, 5, 365
PAGES = (
    ("operations", "operator", "operations"), ("finance", "finance", "finance"), ("merchant", "merchant", "business"),
    ("app", "app", "business"),
)  # fmt: skip

# Spread over the year to the second; the numbers carry the time, as ours do.
TRADES = """
INSERT INTO trades_trade (trade_no, app_id, merchant_id, app_order_no, business_no, amount, currency, subject, body,
    notify_url, return_url, phone_tail, profit_sharing, contract_no, state, paid_amount, refunded_amount,
    refunding_amount, external_refunded, created_at, expire_at, close_tries, version)
SELECT 'P' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS') || lpad(to_hex(n), 7, '0'), a.id, m.id, 'O' || n, '',
    100 + n %% 100000, 'CNY', 'Property fee', '', '', '', '', false, '', 'closed', 0, 0, 0, 0, at, at, 0, 3
FROM (SELECT n, now() - (%(days)s * 86400.0 * n / %(rows)s) * interval '1 second' AS at
      FROM generate_series(1, %(rows)s) n) t
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS at_m FROM merchants_merchant) m ON m.at_m = n %% %(merchants)s
JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS at_a FROM merchants_app) a ON a.at_a = n %% %(apps)s
"""
ATTEMPTS = """
INSERT INTO trades_attempt (attempt_no, trade_id, account_id, channel, method, channel_order_no, order_day, amount,
    currency, state, created_at, sent_at, submitted_at, expire_at, return_to, channel_trade_no, paid_amount,
    paid_currency, paid_at, channel_state, error_code, error_message, query_tries, close_tries, version)
SELECT 'A' || substr(t.trade_no, 2), t.id, a.id, a.channel,
    a.channel || CASE WHEN t.id %% 2 = 0 THEN '_pc' ELSE '_qr' END,
    'A' || substr(t.trade_no, 2), '', t.amount, 'CNY', CASE WHEN paid THEN 'succeeded' ELSE 'closed' END, t.created_at,
    t.created_at, t.created_at, t.created_at, '', CASE WHEN paid THEN 'C' || substr(t.trade_no, 2) END,
    CASE WHEN paid THEN t.amount END, CASE WHEN paid THEN 'CNY' ELSE '' END, CASE WHEN paid THEN t.created_at END,
    '', '', '', 0, 0, 3
FROM (SELECT *, id %% 10 < 9 AS paid FROM trades_trade) t
JOIN (SELECT id, channel, merchant_id, row_number() OVER (PARTITION BY merchant_id ORDER BY id) - 1 AS nth
      FROM merchants_paymentaccount) a ON a.merchant_id = t.merchant_id AND a.nth = (t.id / 7) %% 2
"""
PAID = """
UPDATE trades_trade t SET state = 'paid', paid_amount = a.amount, paid_at = a.paid_at, settled_attempt_id = a.id
FROM trades_attempt a WHERE a.trade_id = t.id AND a.state = 'succeeded'
"""
REFUNDS = """
INSERT INTO refunds_refund (refund_no, app_id, merchant_id, trade_id, attempt_id, account_id, channel, amount,
    requested_amount, currency, reason, type, kind, route, source, notify_url, state, approvals_needed, round,
    held_because, requested_at, finished_at, channel_request_no, channel_state, error_code, error_message, resendable,
    needs_attention, amount_known, counted_as_external, sends, whole, send_tries, query_tries, version)
SELECT 'R' || substr(t.trade_no, 2), t.app_id, t.merchant_id, t.id, a.id, a.account_id, a.channel, 100, 100, 'CNY',
    'moved out', 'partial', 'business', 'original', 'api', '', CASE WHEN t.id %% 5000 = 0 THEN 'pending_approval'
    ELSE 'succeeded' END, 0, 1, '', t.created_at, t.created_at + interval '1 day', 'R' || substr(t.trade_no, 2), '', '',
    '', false, false, true, false, 1, false, 0, 0, 3
FROM trades_trade t JOIN trades_attempt a ON a.id = t.settled_attempt_id WHERE t.id %% 50 = 0
"""
ABNORMAL = """
INSERT INTO trades_abnormalpayment (trade_id, attempt_id, account_id, kind, state, amount, currency, channel_trade_no,
    refunded_amount, refunding_amount, external_refunded, created_at, acceptance_reason, version)
SELECT trade_id, id, account_id, 'late', CASE WHEN id %% 20000 = 0 THEN 'open' ELSE 'accepted' END, amount, 'CNY', '',
    0, 0, 0, created_at, '', 1
FROM trades_attempt WHERE id %% 1000 = 0
"""
EXCHANGES = """
INSERT INTO paycenter_exchange (created_at, direction, peer, operation, app_order_no, trade_no, attempt_no, merchant_no,
    method, url, status, elapsed_ms, request, response, error, request_id)
SELECT now(), 'out', 'channel:alipay', 'pay', '', '', '', '', 'POST', 'https://channel.example/', 200, n %% 900,
    repeat('q', 900), repeat('a', 900), '', ''
FROM generate_series(1, least(%(rows)s, 200000)) n
"""


def make_history(rows: int) -> float:
    """A year of `rows` trades in the present, empty database; answers the seconds the sums took to count."""
    from django.db import connection

    from dashboards.rebuilding import rebuild_everything
    from merchants.models import App, Merchant, PaymentAccount

    for n in range(MERCHANTS):
        merchant = Merchant.objects.create(merchant_no=f"MB{n}", name=f"Property {n}", state="active")
        for channel in ("alipay", "wechat"):
            PaymentAccount.objects.create(merchant=merchant, payment_no=f"ZB{n}{channel[0]}", channel=channel,
                                          name=channel, state="active")  # fmt: skip
    for n in range(APPS):
        App.objects.create(app_id=f"AB{n}", name=f"App {n}")
    values = {"rows": rows, "days": YEAR, "merchants": MERCHANTS, "apps": APPS}
    with connection.cursor() as cursor:
        for statement in (TRADES, ATTEMPTS, PAID, REFUNDS, ABNORMAL, EXCHANGES):
            cursor.execute(statement, values)
        cursor.execute("VACUUM ANALYZE")
    began = time.perf_counter()
    rebuild_everything()
    seconds = time.perf_counter() - began
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE dashboards_paymentday, dashboards_channelday, dashboards_appday")
    return seconds


def cost_of_dashboards(*, runs: int = 5, days: int = 90) -> dict[str, dict[str, Any]]:
    """Statements and database milliseconds of each dashboard in the present database, which has a merchant and an app.

    The busiest merchant and app are looked at. Makes staff named `bench-…`.
    """
    from django.db.models import Sum

    from dashboards.models import AppDay, PaymentDay
    from merchants.models import App, Merchant

    of = PaymentDay.objects.order_by().values_list("merchant_id").annotate(n=Sum("paid_count")).order_by("-n").first()
    by = AppDay.objects.order_by().values_list("app_id").annotate(n=Sum("paid_count")).order_by("-n").first()
    tenants = {
        "merchant": Merchant.objects.get(pk=of[0]) if of else Merchant.objects.first(),
        "app": App.objects.get(pk=by[0]) if by else App.objects.first(),
    }
    return {name: _cost(role, f"/admin/dashboards/{page}/?days={days}", tenants, runs) for name, role, page in PAGES}


def _cost(role: str, address: str, tenants: dict[str, Any], runs: int) -> dict[str, Any]:
    client = _signed_in(role, tenants)
    times, queries = [], []
    for _run in range(runs + 1):  # the first also notes the new session
        with _timed() as taken:
            answer = client.get(address)
        if answer.status_code != 200:
            raise SystemExit(f"{address} answered {answer.status_code} to {role}")
        times.append(sum(taken) * 1000)
        queries.append(len(taken))
    return {"queries": max(queries[1:]), "ms": statistics.median(times[1:]), "first_ms": times[0]}


def _signed_in(role: str, tenants: dict[str, Any]) -> Any:
    from django.test import Client

    from merchants.models import User

    own = {role: tenants[role]} if role in tenants else {}
    values = {"role": role, "is_staff": True, "merchant": own.get("merchant"), "app": own.get("app")}
    user, _new = User.objects.update_or_create(username=f"bench-{role}", defaults=values)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user, backend="merchants.roles.RoleBackend")
    return client


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Seconds of each statement inside, on every database."""
    from django.db import connections

    taken: list[float] = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            taken.append(time.perf_counter() - began)

    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(wrapper))
        yield taken


def one_size(rows: int, runs: int, days: int) -> dict[str, Any]:
    """Everything for one size, in this process."""
    import django

    django.setup()
    from django.core.management import call_command

    from dashboards.models import PaymentDay

    call_command("migrate", verbosity=0)
    seconds = make_history(rows)
    return {"rows": rows, "counting": seconds, "sums": PaymentDay.objects.count(),
            "pages": cost_of_dashboards(runs=runs, days=days)}  # fmt: skip


def as_it_is(runs: int, days: int) -> dict[str, Any]:
    """The same of what is there."""
    import django

    django.setup()
    from dashboards.models import PaymentDay
    from trades.models import Trade

    return {"rows": Trade.objects.count(), "counting": 0.0, "sums": PaymentDay.objects.count(),
            "pages": cost_of_dashboards(runs=runs, days=days)}  # fmt: skip


def measure(rows: int, runs: int, days: int) -> dict[str, Any]:
    """One size in a process and, unless DATABASE_URL is given, on a server of its own."""
    from deploy.checks import services

    with ExitStack() as stack:
        var = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-var-"))
        url = os.environ.get("DATABASE_URL") or stack.enter_context(services.postgres())
        environment = {**os.environ, "DATABASE_URL": url, "PAYCENTER_VAR": var,
                       "DJANGO_SETTINGS_MODULE": "paycenter.settings", "PAYCENTER_LOG_LEVEL": "WARNING"}  # fmt: skip
        options = {"--one": rows, "--runs": runs, "--days": days}
        command = [sys.executable, "-m", "bench.dashboards", *(str(word) for pair in options.items() for word in pair)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return dict(json.loads(done.stdout.splitlines()[-1]))


def show(one: dict[str, Any]) -> None:
    counted = f", counted in {one['counting']:.0f} s" if one["counting"] else ""
    print(f"{one['rows']:,} trades, {one['sums']:,} rows of sums{counted}", flush=True)
    for name, cost in one["pages"].items():
        print(f"  {name:<12} {cost['queries']:>3} statements {cost['ms']:>8.1f} ms   first {cost['first_ms']:.1f} ms")


def missed(sizes: list[dict[str, Any]]) -> list[str]:
    """The bars that were missed."""
    found = []
    for one in sizes:
        for name, cost in one["pages"].items():
            if cost["queries"] > MOST_QUERIES or cost["ms"] > MOST_MS:
                found.append(f"{name} at {one['rows']:,}: {cost['queries']} statements, {cost['ms']:.1f} ms")
    small, large = sizes[0], sizes[-1]
    for name, cost in large["pages"].items():
        before = small["pages"][name]["ms"]
        if cost["ms"] > MOST_RATIO * before and cost["ms"] > 5:
            found.append(f"{name}: {cost['ms']:.1f} ms at {large['rows']:,}, {before:.1f} ms at {small['rows']:,}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=1_000_000, help="0: only one size")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--days", type=int, default=90, choices=(7, 30, 90))
    parser.add_argument("--as-it-is", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_it_is:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paycenter.settings")
        return judge([as_it_is(options.runs, options.days)])
    if options.one:
        print(json.dumps(one_size(options.one, options.runs, options.days)))
        return 0
    return judge(measure(rows, options.runs, options.days) for rows in (options.trades, options.large) if rows)


def judge(measured: Iterable[dict[str, Any]]) -> int:
    """Show each size when it is there, then what was missed; the exit status."""
    sizes = []
    for one in measured:
        sizes.append(one)
        show(one)
    lines = missed(sizes)
    print("\n".join(lines) or "every bar is met")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
