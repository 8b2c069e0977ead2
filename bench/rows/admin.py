"""The back office's pages where much is stored, beside the same pages where little is."""

from __future__ import annotations

import sys
import time
from typing import Any

from bench.books import LONG, tell
from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series, Skipped

_EACH = 5  # times a page is opened for one figure; the quickest counts
_PAGES = {"admin_trade_list": "list", "admin_trade_page": "trade", "admin_dashboard": "dashboard"}


def fill(trades: int) -> bool:
    """Make a history; False where there is no command that makes one. Runs in a worker."""
    from django.core.management import call_command, get_commands

    if "demo_data" not in get_commands():
        return False
    tells = int(trades > LONG)
    if tells:
        tell(f"a history of {trades:,} trades is made")
    call_command("demo_data", trades=trades, verbosity=tells, stdout=sys.stderr if tells else None)
    return True


def pages() -> dict[str, float]:
    """Milliseconds of each page at the quickest. Runs in a worker."""
    from django.test import Client, override_settings
    from django.urls import reverse

    from merchants.models import User
    from trades.models import Trade

    user = User.objects.filter(username="bench").first() or User.objects.create_superuser("bench", password="bench")  # noqa: S106
    client = Client()
    client.force_login(user, backend="merchants.roles.RoleBackend")
    middle = Trade.objects.order_by("id").values_list("pk", flat=True)[Trade.objects.count() // 2]
    addresses = {
        "list": reverse("admin:trades_trade_changelist"), "trade": reverse("admin:trades_trade_change", args=[middle]),
        "dashboard": reverse("admin:index"),
    }  # fmt: skip
    with override_settings(ALLOWED_HOSTS=["*"], REQUIRE_TOTP=False):
        return {name: min(_opened(client, address) for _ in range(_EACH)) for name, address in addresses.items()}


def _opened(client: Any, address: str) -> float:
    began = time.perf_counter()
    answer = client.get(address)
    took = (time.perf_counter() - began) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"{address} answered {answer.status_code}")
    return took


def _measured(stage: Stage) -> list[tuple[dict[str, float], dict[str, float]]]:
    books = []
    stage.need_disk(stage.sizes.admin_small + stage.sizes.admin_large)  # before the smaller one is made for nothing
    for trades in (stage.sizes.admin_small, stage.sizes.admin_large):
        worker = stage.new_worker()
        if not worker.call("bench.rows.admin:fill", trades=trades):
            raise Skipped("manage.py demo_data, which makes the history, is not there")
        books.append(worker)
    small, large = books
    small.call("bench.rows.admin:pages"), large.call("bench.rows.admin:pages")
    return [(large.call("bench.rows.admin:pages"), small.call("bench.rows.admin:pages")) for _ in range(stage.runs)]


def _pairs(stage: Stage, page: str) -> Pairs:
    series = Series("ms")
    for ours, limit in stage.once("admin", lambda: _measured(stage)):
        series.add(ours[page], limit[page])
    return series.pairs(f"{stage.sizes.admin_large:,} trades against {stage.sizes.admin_small:,}")


def _row(name: str, page: str) -> Row:
    title = f"{name.removeprefix('admin_').replace('_', ' ')} in the admin at the larger size"
    return Row(name, title, "the same at the smaller", Bar(1.5, 1), lambda stage: _pairs(stage, page))


ROWS = tuple(_row(name, page) for name, page in _PAGES.items())
