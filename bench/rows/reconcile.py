"""A day of a million payments against its bill (bench.reconcile); of fewer where less is stored."""

from __future__ import annotations

import os

from bench import reconcile
from bench.stage import Stage
from bench.table import Bar, Pairs, Row, Skipped

_ROWS = 1_000_000


def _pairs(stage: Stage) -> Pairs:
    rows = min(_ROWS, stage.sizes.large)
    stage.need_disk(rows)
    with stage.database() as url:
        before = dict(os.environ)
        os.environ.update({**stage.environment, "DATABASE_URL": url})
        try:
            found = reconcile.measure(rows, stage.runs)
        finally:
            os.environ.clear()
            os.environ.update(before)
    if not found["right"]:
        raise Skipped("other differences than the planted ones were found")
    return Pairs(found["compare"], found["copy"], "s", f"{rows:,} rows, peak {found['peak_mb']:.0f} MB")


ROWS = (
    Row("reconcile", "reconcile a million bill rows, cases written", "bare COPY of the file", Bar(2.5, 1), _pairs),
)  # fmt: skip
