"""`python -m deploy.hosts [--webs N] [--minutes M]`: exit status 0 when no request failed and all books agree."""

from __future__ import annotations

import argparse
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
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True, mode=0o700)
    from deploy.hosts.run import Run

    try:
        return Run(
            folder=options.out, webs=options.webs, seconds=options.minutes * 60, clients=options.clients,
            broker_url=options.broker,
        ).go()  # fmt: skip
    except (Trouble, Unavailable) as exc:
        print(f"\nIt could not run: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.hosts", description=__doc__)
    parser.add_argument("--webs", type=int, default=2, help="web hosts, each with the public and the internal entrance")
    parser.add_argument("--minutes", type=float, default=1.0, help="of rolling restarts; at least once over everything")
    parser.add_argument("--clients", type=int, default=4, help="apps that call side by side")
    parser.add_argument("--broker", default="", help="CELERY_BROKER_URL, for example of RabbitMQ; otherwise Redis")
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "hosts", help="data and logs of the last run")
    return parser


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """As an exception, so that servers and programs are ended on the way out."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
