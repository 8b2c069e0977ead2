"""Every figure of the center beside the machine's own limit. `make bench`; bench/README.md says how to read it.

Exit status: 0 when every bar holds, 1 when one is missed, 2 when something was not measured and no bar was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.private_demo import ROOT
from bench.processor import Processor
from bench.registry import MORE, ROWS
from bench.stage import Sizes, Stage
from bench.table import HEAD, Result, Row, Skipped, exit_status, from_data, line

FILE = ROOT / "var" / "bench.json"
QUIET = 0.2  # processors that other programs may use without the figures being doubtful


def say(text: str) -> None:
    print(text, flush=True)


def measure(row: Row, stage: Stage) -> Result:
    """The row's result; what cannot be measured has a reason instead."""
    began = time.monotonic()
    result = Result(row)
    try:
        result.pairs = row.measure(stage)
    except Exception as exc:  # whatever it is, the rows after this one are measured
        result.reason = f"{'' if isinstance(exc, Skipped) else f'{type(exc).__name__}: '}{' '.join(str(exc).split())}"
    result.seconds = time.monotonic() - began
    return result


class Book:
    """What is found, kept in a file as it is found: an interrupted long run goes on where it was."""

    def __init__(self, path: Path, *, resume: bool, scale: str) -> None:
        self._path, self._scale = path, scale
        self._found: dict[str, Any] = self._read() if resume else {}

    def _read(self) -> dict[str, Any]:
        try:
            stored = json.loads(self._path.with_suffix(".partial.json").read_text())
        except (OSError, ValueError):
            return {}
        return dict(stored["rows"]) if stored.get("scale") == self._scale else {}

    def before(self, row: Row) -> Result | None:
        """The row's result of the run that was interrupted."""
        data = self._found.get(row.name)
        return from_data(row, data) if data and data.get("ratio") is not None else None

    def add(self, result: Result) -> None:
        self._found[result.row.name] = result.data()
        self._write(self._path.with_suffix(".partial.json"), {"scale": self._scale, "rows": self._found})

    def finish(self) -> None:
        self._write(self._path, self._found)
        self._path.with_suffix(".partial.json").unlink(missing_ok=True)

    def _write(self, path: Path, data: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(data, indent=1, ensure_ascii=False))
        part.replace(path)


def bench(rows: Sequence[Row], stage: Stage, book: Book) -> list[Result]:
    results = []
    say(HEAD)
    for row in rows:
        known = book.before(row)
        result = known or measure(row, stage)
        results.append(result)
        book.add(result)
        say(line(result) + (" (measured before)" if known else ""))
    book.finish()
    return results


def report(results: Sequence[Result], others: float) -> None:
    skipped = [result.row.name for result in results if result.pairs is None]
    missed = [result.row.name for result in results if result.ok is False]
    if skipped:
        say(f"not measured: {', '.join(skipped)}")
    say(f"MISSED: {', '.join(missed)}" if missed else "no bar is missed")
    if others > QUIET:
        say(f"other programs kept {others:.2f} of {os.cpu_count()} processors busy: repeat this on a quiet machine")


def chosen(names: Sequence[str], *, full: bool) -> list[Row]:
    """The rows of these names, else those of the run. Raises SystemExit for a name that no row has."""
    every = (*ROWS, *MORE)
    unknown = set(names) - {row.name for row in every}
    if unknown:
        raise SystemExit(f"no such row: {', '.join(sorted(unknown))}. There are: {', '.join(r.name for r in every)}")
    return [row for row in every if (row.name in names if names else full or row in ROWS)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this row; may be repeated")
    parser.add_argument("--runs", type=int, default=3, help="pairs of each row")
    parser.add_argument("--full", action="store_true", help="1 and 10 million stored trades; takes hours")
    parser.add_argument("--large", action="store_true", help="with --full: 50 million")
    parser.add_argument("--sizes", type=int, nargs=2, metavar=("SMALL", "LARGE"), help="other numbers of stored trades")
    parser.add_argument("--fresh", action="store_true", help="forget an interrupted run")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    rows = chosen(given.only, full=given.full)
    file = FILE.with_name("bench-only.json") if given.only else FILE
    sizes = Sizes(*given.sizes, *given.sizes) if given.sizes else Sizes.of(full=given.full, large=given.large)
    book = Book(file, resume=given.full and not given.fresh, scale=str(sizes))
    machine = Processor()
    with Stage(runs=given.runs, sizes=sizes) as stage:
        results = bench(rows, stage, book)
        others = machine.used().others
    report(results, others)
    return exit_status(results)


if __name__ == "__main__":
    sys.exit(main())
