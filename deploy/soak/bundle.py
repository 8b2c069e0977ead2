"""What a failing run leaves behind in var/soak/SEED, for whoever has to explain it."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

from deploy.soak.books import Books, concerning
from deploy.soak.plan import plan
from deploy.soak.verdict import Verdict

_ABOUT = 60  # differences whose rows are written out


def write(folder: Path, *, seed: int, items: int, verdict: Verdict, books: Books) -> None:
    """`summary.txt`, `differences.txt` in words, `plan.txt` as far as it was followed, `rows.json` with all rows
    concerned.

    The log of operations (`operations.jsonl`, with the trace of every trouble) and the programs' own logs (`log/`) are
    there already.
    """
    (folder / "summary.txt").write_text("".join(f"{line}\n" for line in verdict.lines), encoding="utf-8")
    (folder / "differences.txt").write_text("".join(f"{one}\n" for one in verdict.wrong), encoding="utf-8")
    lines = [str(item) for item in islice(plan(seed), items)]
    (folder / "plan.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = {str(one): concerning(books, one.numbers) for one in verdict.wrong[:_ABOUT] if one.numbers}
    (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1, default=str), encoding="utf-8")
