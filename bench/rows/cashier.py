"""The hosted page of an order, opened for the first time, and what it polls; beside a view that answers a constant."""

from __future__ import annotations

import os

from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series
from bench.wire import request, volley

_REQUESTS = {"page": 4000, "status": 4000, "constant": 6000}
_SIDE_BY_SIDE = 8
_BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
    "Accept": "text/html", "Accept-Language": "zh-CN,zh;q=0.9",
}  # fmt: skip


def _cost(stage: Stage, port: int, pid: int, paths: list[str], expected: bytes) -> float:
    requests = [request("GET", path, _BROWSER) for path in paths]
    used = stage.processor(pid)
    volley(port, requests, side_by_side=_SIDE_BY_SIDE, expected=expected)
    return used().both / len(requests)


def _limit(stage: Stage) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    port, pid = stage.once("constant view", lambda: stage.serve("bench.constant_view:application", environment))
    return _cost(stage, port, pid, ["/"] * _REQUESTS["constant"], b"ok")


def _pairs(stage: Stage, kind: str, expected: bytes) -> Pairs:
    site, count, end = stage.site, _REQUESTS[kind], "/status" if kind == "status" else ""
    series = Series("ms")
    _limit(stage)
    for number in range(stage.runs + 1):
        tokens = site.worker.call("bench.site:pages", count=count, prefix=f"{kind}{number}X")
        mine = _cost(stage, site.port, site.pid, [f"/c/{token}{end}" for token in tokens], expected)
        if number:  # the first one warms up
            series.add(mine, _limit(stage))
    return series.pairs()


ROWS = (
    Row("cashier_page", "an order's page, opened for the first time", "a Django view that answers a constant",
        Bar(3, 1.5), lambda stage: _pairs(stage, "page", b"</html>")),
    Row("cashier_status", "what an open page polls", "a Django view that answers a constant",
        Bar(3, 1.5), lambda stage: _pairs(stage, "status", b'"phase"')),
)  # fmt: skip
