"""`python -m tests.simulation [--minutes M] [--seed S] [--history SEED]`: exit status 0 when nothing was broken.

On SQLite, or on the PostgreSQL of DATABASE_URL (a test database is made there and removed).
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
    parser.add_argument("--keepdb", action="store_true", help="use the test database of an earlier run (PAYCENTER_VAR)")
    options = parser.parse_args()
    seed = options.seed or str(secrets.randbelow(1_000_000))
    with _test_database(options.keepdb):
        from tests.simulation.plan import make
        from tests.simulation.run import play, play_for, report
        from tests.simulation.stage import opened

        with opened() as stage:
            if options.history:
                print(make(options.history))
                broken = play(stage, make(options.history))
                print(broken or "nothing was broken")
                return int(broken is not None)
            score = play_for(stage, options.minutes * 60, seed)
            print(f"seed {seed}: {report(score)}")
            return int(score.failure is not None)


@contextmanager
def _test_database(keep: bool) -> Iterator[None]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.test.utils import setup_databases, teardown_databases

    databases = setup_databases(verbosity=0, interactive=False, keepdb=keep)
    try:
        yield
    finally:
        teardown_databases(databases, verbosity=0, keepdb=keep)


if __name__ == "__main__":
    sys.exit(main())
