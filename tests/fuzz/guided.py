"""`python -m tests.fuzz.guided TARGET SECONDS SEED FOLDER`: one target, steered to new lines by atheris (libFuzzer).

A process of its own: libFuzzer takes it over and never gives it back. The score goes to FOLDER as a pickle.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

_PARSERS = ["channels", "merchants", "notifications", "paycenter", "reconciliation", "cashier", "trades"]
_LIBFUZZERS_SHARE = 0.2


def is_possible() -> bool:
    """Whether atheris is there: it has wheels for Linux on x86-64 only."""
    return find_spec("atheris") is not None


def main(name: str, seconds: float, seed: str, folder: Path) -> None:
    import atheris

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    with atheris.instrument_imports(include=_PARSERS):
        import django

        django.setup()
        from tests.fuzz.everything import pure_targets

        target = pure_targets(pickle.loads((folder / "samples.pickle").read_bytes()))[name]()
    _fuzz(atheris, target, seconds, seed, folder)


def _fuzz(atheris: Any, target: Any, seconds: float, seed: str, folder: Path) -> None:
    from tests.fuzz.engine import Runner, guarded
    from tests.fuzz.mutation import MAX_BYTES, mutate

    run, began = Runner(target), time.monotonic()

    def one(data: bytes) -> None:
        run(data)
        if time.monotonic() - began > seconds:
            run.score.seconds = time.monotonic() - began
            (folder / f"{target.name}.score").write_bytes(pickle.dumps(run.score))
            os._exit(0)

    def spoil(data: bytes, most: int, number: int) -> bytes:
        random = Random(number)
        if random.random() < _LIBFUZZERS_SHARE:
            return bytes(atheris.Mutate(data, most))
        return mutate(data, random, target.seeds)[:most]

    with tempfile.TemporaryDirectory() as corpus, guarded(), target.around():
        for number, genuine in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(genuine)
        number = sum(seed.encode()) + 1
        options = [f"-max_len={MAX_BYTES}", f"-seed={number}", "-verbosity=0", "-timeout=120", "-rss_limit_mb=0"]
        atheris.Setup([sys.argv[0], *options, corpus], one, custom_mutator=spoil)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
