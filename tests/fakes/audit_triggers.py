"""Lets tests that commit empty the tables afterwards, although events refuse to be deleted.

`transactional_db` empties every table at its end; the triggers stop that, as they should. While the
tables are flushed, and only then, the triggers are away. Also for tests that tamper on purpose.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management.commands.flush import Command as FlushCommand
from django.db import connections

_migration = importlib.import_module("paycenter.migrations.0002_event_triggers")


@contextmanager
def without_triggers(alias: str = "default") -> Iterator[None]:
    """The event table without its guards, for the time of the block."""
    connection = connections[alias]
    _migration._run(connection, _migration.REMOVE[connection.vendor])
    try:
        yield
    finally:
        _migration._run(connection, _migration.INSTALL[connection.vendor])


@pytest.fixture(scope="session", autouse=True)
def flush_around_triggers() -> Iterator[None]:
    """Import this in conftest.py: `manage.py flush`, which test teardown runs, then works in tests."""
    plain = FlushCommand.handle

    def handle(self: FlushCommand, **options: Any) -> None:
        with without_triggers(options["database"]):
            plain(self, **options)

    FlushCommand.handle = handle  # type: ignore[method-assign]
    try:
        yield
    finally:
        FlushCommand.handle = plain  # type: ignore[method-assign]
