"""`python -m deploy.checks lint|test [pytest arguments]`: every check in order, a summary at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from deploy.checks import catalogues, services

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PACKAGES = (
    "paycenter", "channels", "merchants", "notifications", "trades", "refunds", "cashier", "onboarding",
    "reconciliation", "dashboards", "sandbox", "deploy", "bench",
)  # fmt: skip
# A database or broker of the developer's own must not become the one that tests write to.
OURS = (
    "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "PAYCENTER_VAR", "PAYCENTER_MODE", "PAYCENTER_ENTRANCE",
)  # fmt: skip

# Tests of what knows no database (providers, stand-ins, foreign clients, documentation, nginx): a second database tells
# nothing new of them, and they take as long as all the others. tests/checks holds these folders to it.
WITHOUT_DATABASE = ("tests/channels", "tests/sandbox", "tests/foreign", "tests/docs", "tests/hosts")

# What a browser shows of a page is run once anyway: what the page asks of each database, its own tests ask on both.
# The others start programs that use the embedded database whatever this run uses, fire at parsers, or walk through the
# whole admin. Of the demo one life is lived on each database; its way with dying programs is the same on both.
RUN_ONCE = (
    "tests/browser", "tests/checks", "tests/paycenter/test_newchannel.py", "tests/observability/test_processes.py",
    "tests/backup/test_backup.py", "tests/backup/test_moments.py", "tests/fuzz/test_fuzz.py",
    "tests/fuzz/test_known.py", "tests/merchants/admin/test_strangers.py", "tests/merchants/admin/test_trail.py",
    "tests/merchants/admin/test_second_person.py", "tests/merchants/admin/test_only_looking.py",
    "tests/demo/test_end_to_end.py::test_a_program_that_is_killed_comes_back",
    "tests/demo/test_end_to_end.py::test_a_start_that_was_cut_short_is_taken_up_again",
)  # fmt: skip

# pytest's exit status when the arguments select no test, as `-k` of one test does for the second of two runs.
NOTHING_SELECTED = 5

Result = tuple[str, bool, float]


def _environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, **extra}


def _step(
    name: str, command: Sequence[str], environment: Mapping[str, str] | None = None, also_good: int = 0
) -> Result:
    print(f"\n=== {name}", flush=True)
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=dict(environment or _environment()), check=False)
    return name, done.returncode in (0, also_good), time.monotonic() - began


def _catalogues() -> Result:
    print("\n=== message catalogues are compiled", flush=True)
    began = time.monotonic()
    problems = catalogues.stale(ROOT)
    for problem in problems:
        print(f"{problem}; run: make messages")
    return "message catalogues", not problems, time.monotonic() - began


def lint() -> list[Result]:
    packages = [name for name in PACKAGES if (ROOT / name).is_dir()]
    manage = [sys.executable, "manage.py"]
    settings = _environment(DJANGO_SETTINGS_MODULE="tests.settings")
    return [
        _step("ruff", [str(BIN / "ruff"), "check", "."]),
        _step("mypy", [str(BIN / "mypy"), *packages]),
        _step("import rules", [str(BIN / "lint-imports")]),
        _step("migrations match the models", [*manage, "makemigrations", "--check", "--dry-run"], settings),
        _catalogues(),
    ]


def pytest(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> list[Result]:
    """Most tests side by side; then, by themselves, those that hold something to fractions of a second."""
    # One more than processors: much of the suite waits for clocks, sockets and browsers.
    at_once = str((os.cpu_count() or 1) + 1)
    program = [str(BIN / "pytest"), "-q"]
    together = _step(
        name, [*program, "-n", at_once, "--dist", "worksteal", "-m", "not clock", *arguments], environment
    )  # fmt: skip
    alone = _step(
        f"{name}, by the clock", [*program, "-m", "clock", *arguments], environment, also_good=NOTHING_SELECTED
    )  # fmt: skip
    return [together, alone]


def _real_servers(arguments: Sequence[str]) -> list[Result]:
    """The same tests on PostgreSQL and Redis: given by address, or private ones made here."""
    name = "tests on PostgreSQL and Redis"
    with ExitStack() as stack:
        try:
            database = os.environ.get("TEST_DATABASE_URL") or stack.enter_context(services.postgres())
            redis = os.environ.get("TEST_REDIS_URL") or stack.enter_context(services.redis())
        except services.Unavailable as exc:
            # A developer's machine may lack them; a build machine must not pass without.
            print(f"\n=== {name}: NOT RUN, {exc}", flush=True)
            return [(f"{name} (not run: {exc})", not os.environ.get("CI"), 0.0)]
        left_out = (*WITHOUT_DATABASE, *RUN_ONCE)
        ignored = [f"--deselect={name}" if "::" in name else f"--ignore={name}" for name in left_out]
        print(f"\n=== not again, as they ask no database: {', '.join(WITHOUT_DATABASE)};"
              f" run once anyway: {', '.join(RUN_ONCE)}", flush=True)  # fmt: skip
        return pytest(name, [*ignored, *arguments], _environment(DATABASE_URL=database, REDIS_URL=redis))
    raise AssertionError("unreachable")


def test(arguments: Sequence[str]) -> list[Result]:
    return [
        *lint(),
        *pytest("tests on SQLite", arguments, _environment()),
        *_real_servers(arguments),
    ]


def _summary(results: Sequence[Result]) -> int:
    print("\n=== summary")
    for name, passed, seconds in results:
        print(f"{'ok    ' if passed else 'FAILED'}  {seconds:7.1f} s  {name}")
    return 0 if all(passed for _name, passed, _seconds in results) else 1


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """As an exception, so that the private servers are stopped and removed on the way out."""
    raise SystemExit(128 + number)


def main(arguments: Sequence[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        match arguments:
            case ["lint"]:
                return _summary(lint())
            case ["test", *rest]:
                return _summary(test(rest))
    except KeyboardInterrupt:
        return 130
    print("usage: python -m deploy.checks lint | test [pytest arguments]", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
