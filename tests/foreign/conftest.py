"""Clients that nobody here wrote, against a sandbox on a free port.

Where a client cannot be had the tests are skipped with the reason; on CI its absence is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.foreign.conversation import Client
from tests.foreign.environments import Absent
from tests.sandbox.conftest import contracts, merchant, sandbox, state  # noqa: F401

StartClient = Callable[..., Client]


@pytest.fixture
def start() -> Iterator[StartClient]:
    """Starts a client by name; all end with the test."""
    running: list[Client] = []

    def begin(name: str, **config: Any) -> Client:
        try:
            client = Client(name, **config)
        except Absent as exc:
            if os.environ.get("CI", "").lower() == "true":
                pytest.fail(f"{name}: {exc}")
            pytest.skip(f"{name}: {exc}")
        running.append(client)
        return client

    yield begin
    for client in running:
        client.stop()
