"""Claiming due rows where much is stored: it must cost what is due, not what is stored."""

from __future__ import annotations

import time

from bench import site
from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Series

DUE = 1000
_EACH = 5  # claims of one figure; the quickest counts


def claim() -> float:
    """Milliseconds in which a worker claims 1,000 due queries, at the quickest. Runs in a worker."""
    from django.utils import timezone

    from paycenter.claims import claim_due
    from trades.models import Attempt

    if not Attempt.objects.filter(attempt_no="DUE1").exists():
        site.submitted(DUE, "DUE")
        site.run("VACUUM ANALYZE trades_attempt")
    took = []
    for _ in range(_EACH):
        # No other row of the book is due.
        Attempt.objects.filter(attempt_no__startswith="DUE", channel="wechat").update(next_query_at=timezone.now())
        began = time.perf_counter()
        claimed = claim_due(Attempt, "next_query_at", now=timezone.now(), lease=60, limit=DUE)
        took.append((time.perf_counter() - began) * 1000)
        if len(claimed) != DUE:
            raise RuntimeError(f"{len(claimed)} rows were claimed")
    return min(took)


def _pairs(stage: Stage) -> Pairs:
    small, large = stage.book(stage.sizes.small), stage.book(stage.sizes.large)
    series = Series("ms")
    small.call("bench.rows.claim:claim"), large.call("bench.rows.claim:claim")
    for _ in range(stage.runs):
        limit = small.call("bench.rows.claim:claim")
        series.add(large.call("bench.rows.claim:claim"), limit)
    return series.pairs(f"{stage.sizes.large:,} trades against {stage.sizes.small:,}")


ROWS = (
    Row("claim_1000", "claim 1,000 due rows at the larger size", "the same at the smaller", Bar(1.5, 1), _pairs),
)  # fmt: skip
