"""`python -m tests.simulation [--minutes M] [--seed S] [--history SEED] [--workers N]`: exit status 0 when nothing was
broken.

On SQLite, or on the PostgreSQL of DATABASE_URL (test databases are made there and removed).
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", default=None)
    parser.add_argument("--history", default=None, help="play this one only")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="side by side; one per core")
    parser.add_argument("--keepdb", action="store_true", help="use the test database of an earlier run (PAYCENTER_VAR)")
    options = parser.parse_args()
    seed = options.seed or str(secrets.randbelow(1_000_000))
    workers = 1 if options.history else max(options.workers, 1)
    with _test_database(options.keepdb, workers):
        if options.history:
            return _again(options.history)
        from tests.simulation.run import report
        from tests.simulation.workers import play_side_by_side

        score = play_side_by_side(options.minutes * 60, seed, workers)
        print(f"seed {seed}, {workers} workers: {report(score)}")
        return int(score.failure is not None)


def _again(seed: str) -> int:
    from tests.simulation.plan import make
    from tests.simulation.run import play
    from tests.simulation.stage import opened

    with opened() as stage:
        print(make(seed))
        broken = play(stage, make(seed))
        print(broken or "nothing was broken")
        return int(broken is not None)


@contextmanager
def _test_database(keep: bool, copies: int = 1) -> Iterator[None]:
    """With more than one copy: `workers` says how each is used."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.test.utils import setup_databases, teardown_databases

    parallel = copies if copies > 1 else 0
    databases = setup_databases(verbosity=0, interactive=False, keepdb=keep, parallel=parallel)
    try:
        yield
    finally:
        teardown_databases(databases, verbosity=0, keepdb=keep, parallel=parallel)


if __name__ == "__main__":
    sys.exit(main())
