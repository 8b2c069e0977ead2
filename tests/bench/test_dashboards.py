"""What the bench of the dashboards says of a database, and when it complains."""

from __future__ import annotations

from typing import Any

from bench import dashboards as bench
from tests.conftest import World
from tests.dashboards.test_pages import keep
from tests.refunds.paying import paid_trade


def test_every_dashboard_is_opened_and_costed(world: World) -> None:
    paid_trade(world, 100)
    keep()
    cost = bench.cost_of_dashboards(runs=1)
    assert list(cost) == ["operations", "finance", "merchant", "app"]
    assert {name for name, one in cost.items() if not 0 < one["queries"] <= bench.MOST_QUERIES} == set()
    assert all(one["ms"] > 0 for one in cost.values())


def size(rows: int, ms: float, queries: int = 9) -> dict[str, Any]:
    return {"rows": rows, "pages": {"finance": {"queries": queries, "ms": ms, "first_ms": ms}}}


def test_what_costs_too_much_is_named() -> None:
    assert bench.missed([size(10, 4.0), size(1000, 5.0)]) == []
    assert bench.missed([size(10, 4.0), size(1000, 9.0)]) == ["finance: 9.0 ms at 1,000, 4.0 ms at 10"]
    assert bench.missed([size(10, 151.0)]) == ["finance at 10: 9 statements, 151.0 ms"]
    assert bench.missed([size(10, 4.0, queries=11)]) == ["finance at 10: 11 statements, 4.0 ms"]
