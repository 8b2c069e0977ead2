"""`python -m deploy.soak [--minutes M] [--seed S]`: exit status 0 when all books agree; the last lines sum up."""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from deploy.checks.services import Unavailable
from deploy.demo.layout import ROOT, Trouble


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    folder = options.out / str(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    from deploy.soak.run import Run

    try:
        return Run(seed=seed, seconds=options.minutes * 60, folder=folder, clients=options.clients).go()
    except (Trouble, Unavailable) as exc:
        print(f"\nThe soak could not run: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="of load; settling and checking come on top")
    parser.add_argument("--seed", type=int, default=None, help="the plan; a random one is chosen and printed")
    parser.add_argument("--clients", type=int, default=6, help="orders that are acted out side by side")
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "soak", help="where a failing run leaves its bundle")
    return parser


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """As an exception, so that servers and programs are ended on the way out."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
