"""Talks to a client's process: one JSON object a line, `{"do": action, ...}` in, the result out."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from tests.foreign.environments import command_for


class ForeignError(Exception):
    """What the client itself threw, as text."""


class Client:
    """Raises environments.Absent where the client cannot be had."""

    def __init__(self, name: str, **config: Any) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        # Alipay's SDKs stamp requests with local wall-clock time: they only work where that is Beijing's.
        environment["TZ"] = "Asia/Shanghai"
        self._process = subprocess.Popen(
            command_for(name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.ask("configure", **config)

    def ask(self, action: str, **arguments: Any) -> Any:
        """The action's result; ForeignError where the client threw."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": action, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ForeignError(f"the client ended with {self._process.wait(5)}")
        answer = json.loads(line)
        if "error" in answer:
            raise ForeignError(answer["error"])
        return answer["result"]

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
