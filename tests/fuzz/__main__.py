"""`python -m tests.fuzz [--seconds S] [--seed N] [--target BEGINNING] [--input FILE]`: exit status 0 without findings.

Every parser of foreign bytes, S seconds each. What is found goes to var/fuzz/SEED: the input, and beside it what
happened. `--input` tries one of those again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import pickle
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fuzz import guided
from tests.fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]
_NUMBERS = "numbers.json"  # of the site that the inputs of these were made for


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target")
    parser.add_argument("--seed", default=None)
    parser.add_argument("--target", default="", help="only those whose name begins so, or one of: a,b,c")
    parser.add_argument("--input", default=None, type=Path, help="a file that a run wrote: try it again")
    parser.add_argument("--plain", action="store_true", help="without atheris, even where it is installed")
    options = parser.parse_args()
    with _prepared():
        if options.input is not None:
            return _again(options.input)
        seed = options.seed or str(secrets.randbelow(1_000_000))
        return _run(seed, options.seconds, tuple(options.target.split(",")), plain=options.plain)


@contextmanager
def _prepared() -> Iterator[None]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.test.utils import setup_test_environment, teardown_test_environment

    from paycenter.logging import configure

    configure("CRITICAL")
    setup_test_environment()
    try:
        yield
    finally:
        teardown_test_environment()


def _run(seed: str, seconds: float, wanted: tuple[str, ...], *, plain: bool) -> int:
    from tests.fuzz.engine import Score, play, write
    from tests.fuzz.everything import pure_targets
    from tests.fuzz.samples import sample_all

    folder = ROOT / "var" / "fuzz" / seed
    folder.mkdir(parents=True, exist_ok=True)
    steered = guided.is_possible() and not plain
    how = "steered by coverage (atheris)" if steered else "not steered by coverage"
    print(f"seed {seed}: sampling every channel's stand-in; mutants are {how}", flush=True)
    with tempfile.TemporaryDirectory() as state:
        samples = sample_all(Path(state))
    (folder / "samples.pickle").write_bytes(pickle.dumps(samples))
    scores: list[Score] = []
    gc.freeze()  # what is there already is no garbage, and looking through it takes longer than the inputs

    def done(score: Score) -> None:
        scores.append(score)
        print(score, flush=True)
        for finding, path in zip(score.findings.values(), write(score, folder), strict=True):
            print(f"    {finding.kind}\n    {path}", flush=True)

    for name, make in pure_targets(samples).items():
        if name.startswith(wanted):
            done(_steered(name, seconds, seed, folder) if steered else play(make(), seed, seconds=seconds))
    for score in _web(seed, seconds, wanted, folder):
        done(score)
    return _summary(seed, scores)


def _summary(seed: str, scores: list) -> int:  # type: ignore[type-arg]
    found = sum(len(score.findings) for score in scores)
    tried = sum(score.tried for score in scores)
    print(f"seed {seed}: {len(scores)} targets, {tried} inputs, {found} findings")
    if not scores:
        print("no target has such a name", file=sys.stderr)
    return int(found > 0 or not scores)


def _steered(name: str, seconds: float, seed: str, folder: Path):  # type: ignore[no-untyped-def]
    """In a process of its own; one that ends without a score is a finding in itself."""
    from tests.fuzz.engine import Finding, Score

    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds), seed, str(folder)]
    path = folder / f"{name}.score"
    path.unlink(missing_ok=True)
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if path.exists():
        score = pickle.loads(path.read_bytes())
        path.unlink()
        return score
    text = ended.stderr[-4000:].decode(errors="replace")
    return Score(name, findings={"died": Finding(f"died with {ended.returncode}", b"", text)})


def _web(seed: str, seconds: float, wanted: tuple[str, ...], folder: Path):  # type: ignore[no-untyped-def]
    from tests.fuzz.engine import play
    from tests.fuzz.web_targets import NAMES, site, web_targets
    from tests.simulation.__main__ import _test_database

    if not any(name.startswith(wanted) for name in NAMES):
        return
    with _test_database(keep=False), site() as made:
        (folder / _NUMBERS).write_text(json.dumps(made.numbers))
        for name, make in web_targets(made).items():
            if name.startswith(wanted):
                yield play(make(), seed, seconds=seconds)


def _again(path: Path) -> int:
    name = path.stem.rpartition("-")[0]
    from tests.fuzz.web_targets import NAMES, moved, site, web_targets

    if name in NAMES:
        from tests.simulation.__main__ import _test_database

        numbers = json.loads((path.parent / _NUMBERS).read_text())
        with _test_database(keep=False), site() as made:
            return _try(web_targets(made)[name](), moved(path.read_bytes(), numbers, made))
    from tests.fuzz.everything import pure_targets

    targets = pure_targets(pickle.loads((path.parent / "samples.pickle").read_bytes()))
    return _try(targets[name](), path.read_bytes())


def _try(target: Target, data: bytes) -> int:
    from tests.fuzz.engine import Runner, guarded

    run = Runner(target)
    with guarded(), target.around():
        run(data)
    for finding in run.score.findings.values():
        print(finding.kind, finding.text, sep="\n")
    print(run.score, *run.score.outcomes)
    return int(bool(run.score.findings))


if __name__ == "__main__":
    sys.exit(main())
