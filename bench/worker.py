"""A process of the center on some database that does what it is told: one line of JSON asks, one answers.

Rows compare databases and measure the processor time of one process; Django has one default database per process.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.private_demo import ROOT, NotStarted

_MARK = "ANSWER "  # what else is printed is not an answer


@dataclass(frozen=True, slots=True)
class Worker:
    """`url` is its database."""

    url: str
    _process: subprocess.Popen[str]

    @classmethod
    @contextmanager
    def started(cls, environment: Mapping[str, str]) -> Iterator[Worker]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"], cwd=ROOT, env=dict(environment), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            yield cls(environment["DATABASE_URL"], process)
        finally:
            process.terminate()
            process.wait()

    def call(self, function: str, **arguments: Any) -> Any:
        """Run `module:function` there. Raises NotStarted with its traceback where it fails."""
        if self._process.stdin is None or self._process.stdout is None:
            raise NotStarted("a worker without pipes")
        self._process.stdin.write(json.dumps([function, arguments]) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith(_MARK):
                answer = json.loads(line.removeprefix(_MARK))
                if "failed" in answer:
                    raise NotStarted(f"{function}: {answer['failed']}")
                return answer["value"]
        raise NotStarted(f"{function}: the process ended")


def _answer(line: str) -> dict[str, Any]:
    name, arguments = json.loads(line)
    module, _, function = name.partition(":")
    try:
        return {"value": getattr(importlib.import_module(module), function)(**arguments)}
    except Exception:
        return {"failed": traceback.format_exc()[-2000:]}


def main() -> None:
    import django

    from bench.constant import install

    django.setup()
    install()
    from paycenter.working import settled

    settled()  # as a worker of the center does
    for line in sys.stdin:
        print(_MARK + json.dumps(_answer(line)), flush=True)


if __name__ == "__main__":
    main()
