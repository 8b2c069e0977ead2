"""How long does a day of a million payments take to reconcile, next to what PostgreSQL needs for the bare file?

    .venv/bin/python -m bench.reconcile [--rows 1000000] [--small 100000] [--large 5000000] [--runs 3]

Every size runs in a process of its own, on a private PostgreSQL (or DATABASE_URL, an empty database of yours).
A size is N payments here and a bill of N rows, with PLANTED differences of every kind. Measured in turn, medians
over the runs: a bare COPY of the bill's file into a table of text columns without any index, and comparing the day,
cases and events written. Reading the bill into rows is shown beside it. Exit status 1: other differences than
the planted ones were found, or a bar was missed: comparing ≤ 2.5 × the bare COPY, memory of the process at N within
20 % of that at the small size, the large size (only when asked for) within 5.5 × the time of N.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

PLANTED = 500
KINDS = ("amount", "currency", "status", "missing_at_channel", "missing_here", "fee")
DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
PPM = 6000


# ---- the two sides ------------------------------------------------------------------------------------------
def make_book(rows: int) -> Any:
    """N trades with an attempt that paid each, made by the database; answers the account."""
    from django.db import connection

    from merchants.models import AccountMethod, App, Merchant, PaymentAccount
    from reconciliation.models import FeeRate

    merchant = Merchant.objects.create(merchant_no="MBENCH", name="Bench", state="active")
    app = App.objects.create(app_id="BENCH", name="Bench")
    account = PaymentAccount.objects.create(
        merchant=merchant, payment_no="ZBENCH", channel="wechat", name="Bench", state="active"
    )
    AccountMethod.objects.create(account=account, method="wechat_native")
    FeeRate.objects.create(account=account, from_day=DAY, ppm=PPM)
    with connection.cursor() as cursor:
        cursor.execute(TRADES, [rows, app.pk, merchant.pk])
        cursor.execute(ATTEMPTS, [account.pk])
        cursor.execute("ANALYZE trades_trade, trades_attempt")
    return account


TRADES = """
INSERT INTO trades_trade (trade_no, app_id, merchant_id, app_order_no, business_no, amount, currency, subject, body,
    notify_url, return_url, phone_tail, profit_sharing, contract_no, state, paid_amount, refunded_amount,
    refunding_amount, external_refunded, created_at, expire_at, close_tries, version)
SELECT 'P' || lpad(n::text, 27, '0'), a, m, 'O' || n, '', 100 + n %% 100000, 'CNY', 'Property fee, November', '', '',
    '', '', false, '', 'closed', 0, 0, 0, 0, now(), now(), 0, 3
FROM generate_series(1, %s) n, (SELECT %s::bigint a, %s::bigint m) who
"""
# Spread over the day, in the order in which they came; a page of JSON as gopay answers it.
ATTEMPTS = """
INSERT INTO trades_attempt (attempt_no, trade_id, account_id, channel, method, channel_order_no, order_day, amount,
    currency, state, created_at, sent_at, submitted_at, expire_at, pay, return_to, channel_trade_no, paid_amount,
    paid_currency, paid_at, channel_state, error_code, error_message, query_tries, close_tries, version)
SELECT 'A' || substr(trade_no, 2), id, %s, 'wechat', 'wechat_native', 'A' || substr(trade_no, 2), '', amount, 'CNY',
    'succeeded', at, at, at, at, '{"type": "qrcode", "content": "weixin://wxpay/bizpayurl?pr=0123456789"}', '',
    '42000012345620261120' || substr(trade_no, 19), amount, 'CNY', at, 'SUCCESS', '', '', 0, 0, 3
FROM (SELECT *, '2026-11-19 16:00:00+00'::timestamptz + (id %% 86400) * interval '1 second' AS at
      FROM trades_trade ORDER BY id) t
"""


def bill_lines(rows: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(planted kind or "", values) of every row the bill should have, in order."""
    step = max(rows // (PLANTED * len(KINDS) + 1), 1)
    for n in range(1, rows + 1):
        place, rest = divmod(n, step)
        planted = rest == 0 and 1 <= place <= PLANTED * len(KINDS)
        yield (KINDS[(place - 1) % len(KINDS)] if planted else "", _values(n))


def _values(n: int) -> dict[str, Any]:
    amount, tail = 100 + n % 100000, f"{n:027d}"
    return {
        "order_no": f"A{tail}", "trade_no": f"42000012345620261120{tail[17:]}", "amount": amount, "currency": "CNY",
        "fee": (amount * PPM + 500_000) // 1_000_000, "state": "succeeded", "at": "2026-11-20T12:00:00+08:00",
    }  # fmt: skip


_CHANGES: dict[str, Any] = {
    "amount": lambda v: {"amount": v["amount"] + 1}, "currency": lambda v: {"currency": "USD"},
    "status": lambda v: {"state": "failed"}, "fee": lambda v: {"fee": v["fee"] + 1},
    "missing_here": lambda v: {"order_no": f"X{v['order_no'][1:]}", "trade_no": f"X{v['trade_no'][1:]}"},
}  # fmt: skip


def write_bill(path: Path, rows: int) -> dict[str, str]:
    """The file, as CSV; answers what has to be found, by key."""
    plan: dict[str, str] = {}
    with path.open("w", encoding="utf-8") as out:
        for kind, values in bill_lines(rows):
            if kind == "missing_at_channel":
                plan[values["order_no"]] = kind
                continue
            if kind == "missing_here":
                out.write(_csv(values))  # the payment itself, and one more that is not ours
            values = {**values, **_CHANGES.get(kind, lambda v: {})(values)}
            if kind:
                plan[values["order_no"]] = kind
            out.write(_csv(values))
    return plan


def _csv(values: dict[str, Any]) -> str:
    return ",".join(str(value) for value in values.values()) + "\n"


# ---- what is measured ---------------------------------------------------------------------------------------
def bare_copy(path: Path) -> float:
    """Seconds of COPY of the file into seven text columns."""
    from django.db import connection

    names = ", ".join(f"c{n} text" for n in range(7))
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS bench_bare; CREATE TABLE bench_bare ({names})")
        began = time.perf_counter()
        with path.open("rb") as stream, cursor.copy("COPY bench_bare FROM STDIN (FORMAT csv)") as copy:
            while block := stream.read(1024 * 1024):
                copy.write(block)
        return time.perf_counter() - began


class BenchChannel:
    """Reads the bench's file; all that is asked of a provider here."""

    def bill_rule(self) -> Any:
        from channels.base.bills import BillRule

        return BillRule()

    def read_bill(self, path: Path, _day: date, _kind: Any) -> Iterator[Any]:
        from channels.base.bills import BillRow, BillRowKind, BillRowState
        from paycenter.money import Money

        with path.open(encoding="utf-8") as stream:
            for number, text in enumerate(stream, start=1):
                order_no, trade_no, amount, currency, fee, state, at = text.rstrip("\n").split(",")
                yield BillRow(
                    line=number, kind=BillRowKind.PAYMENT, amount=Money(int(amount), currency),
                    occurred_at=datetime.fromisoformat(at), order_no=order_no, channel_trade_no=trade_no,
                    fee=Money(int(fee), currency), state=BillRowState(state),
                )  # fmt: skip


def take_in(account: Any, path: Path) -> float:
    """Import the bill on the normal path; the seconds."""
    from channels.base.bills import BillKind
    from merchants import channels
    from reconciliation import files
    from reconciliation.bills import bill_import, bill_upload

    channels._cache[account.pk] = (account.config_version, BenchChannel())  # type: ignore[assignment]
    began = time.perf_counter()
    with files.scratch_file() as scratch:
        shutil.copyfile(path, scratch)
        bill = bill_upload(account=account, day=DAY, kind=BillKind.TRADE, path=scratch, name="b.csv", actor="bench")
    bill = bill_import(bill_id=bill.pk, actor="bench")
    if bill.state != "imported":
        raise SystemExit(f"the bill was refused: {bill.refusal}")
    return time.perf_counter() - began


def compare(account: Any) -> tuple[float, dict[str, str]]:
    """Seconds of comparing the day, cases written; and the cases by key."""
    from reconciliation.models import Case, ReconciliationDay
    from reconciliation.reconciling import day_match

    Case.objects.all().delete()
    began = time.perf_counter()
    day_match(day_id=ReconciliationDay.objects.get(account=account).pk, actor="bench")
    return time.perf_counter() - began, dict(Case.objects.values_list("key", "kind"))


def one_size(rows: int, runs: int) -> dict[str, Any]:
    """Everything for one size, in this process."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    account = make_book(rows)
    path = Path(tempfile.mkdtemp(prefix="bench-")) / "bill.csv"
    plan = write_bill(path, rows)
    reading = take_in(account, path)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE trades_attempt, reconciliation_billrow")
    copies, compares, right = [], [], True
    for _run in range(runs):
        copies.append(bare_copy(path))
        seconds, found = compare(account)
        compares.append(seconds)
        right = right and found == plan
    shutil.rmtree(path.parent)
    return {
        "rows": rows, "planted": dict(Counter(plan.values())), "right": right, "copy": copies, "compare": compares,
        "reading": reading, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


# ---- many sizes ----------------------------------------------------------------------------------------------
def measure(rows: int, runs: int) -> dict[str, Any]:
    """One size in a process and, unless DATABASE_URL is given, on a server of its own."""
    from contextlib import ExitStack

    from deploy.checks import services

    with ExitStack() as stack:
        var = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-var-"))
        url = os.environ.get("DATABASE_URL") or stack.enter_context(services.postgres())
        environment = {**os.environ, "DATABASE_URL": url, "PAYCENTER_VAR": var,
                       "DJANGO_SETTINGS_MODULE": "paycenter.settings", "PAYCENTER_LOG_LEVEL": "WARNING",
                       "PAYCENTER_RECONCILIATION_CARRY_DAYS": "0"}  # fmt: skip
        command = [sys.executable, "-m", "bench.reconcile", "--one", str(rows), "--runs", str(runs)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return dict(json.loads(done.stdout.splitlines()[-1]))


HEAD = f"{'rows':>10} {'bare COPY s':>12} {'compare s':>10} {'ratio':>6} {'reading s':>10} {'peak MB':>8}  found"


def line(one: dict[str, Any]) -> str:
    copy, seconds = statistics.median(one["copy"]), statistics.median(one["compare"])
    found = "exactly the planted" if one["right"] else "WRONG"
    return (
        f"{one['rows']:>10,} {copy:>12.2f} {seconds:>10.2f} {seconds / copy:>6.2f} {one['reading']:>10.1f}"
        f" {one['peak_mb']:>8.0f}  {found} ({min(one['compare']):.2f}-{max(one['compare']):.2f})"
    )


def verdict(small: dict[str, Any], main: dict[str, Any], large: dict[str, Any] | None) -> list[str]:
    """The bars that were missed."""
    seconds = statistics.median(main["compare"])
    wrong = [one["rows"] for one in (small, main, large) if one and not one["right"]]
    missed = [f"{rows}: other differences were found" for rows in wrong]
    if seconds / statistics.median(main["copy"]) > 2.5:
        missed.append("comparing took more than 2.5 times the bare COPY")
    if main["peak_mb"] > 1.2 * small["peak_mb"]:
        missed.append("memory grew by more than 20 %")
    if large and statistics.median(large["compare"]) > 5.5 * seconds:
        missed.append("the large size took more than 5.5 times as long")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_size(options.one, options.runs)))
        return 0
    sizes = [options.small, options.rows, *([options.large] if options.large else [])]
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < max(sizes) * 4_000:
        print(f"not run: {free / 1e9:.0f} GB free, about {max(sizes) * 4_000 / 1e9:.0f} needed")
        return 2
    print(HEAD, flush=True)
    found = []
    for rows in sizes:
        found.append(measure(rows, options.runs))
        print(line(found[-1]), flush=True)
    missed = verdict(found[0], found[1], found[2] if len(found) > 2 else None)
    print("\n".join(missed) or "every bar is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
