"""When a row was committed, not when it was written: asked of a PostgreSQL of the test's own."""

from __future__ import annotations

import time

import psycopg
import pytest
from django.apps import apps

from deploy.checks import services
from deploy.soak import commits


def test_every_watched_table_is_there() -> None:
    assert set(commits.WATCHED) <= {model._meta.db_table for model in apps.get_models()}


@pytest.mark.postgres
def test_the_moment_is_that_of_the_commit_whatever_happens_to_the_row_later() -> None:
    with (
        services.postgres_server(**commits.SETTINGS) as (_server, url),
        psycopg.connect(url.replace("postgres://", "postgresql://")) as server,
    ):
        server.execute("CREATE TABLE paid (id bigint PRIMARY KEY, state text)")
        commits.watch(server.cursor(), ("paid",))
        server.commit()
        server.execute("INSERT INTO paid VALUES (1, 'new')")
        with server.transaction():  # a savepoint
            server.execute("INSERT INTO paid VALUES (2, 'new')")
        written = time.time()
        time.sleep(0.05)
        before = time.time()
        server.commit()
        after = time.time()
        server.execute("UPDATE paid SET state = 'done'")
        server.execute("DELETE FROM paid WHERE id = 2")
        server.commit()
        found = commits.moments(server.cursor())
    assert set(found) == {("paid", 1), ("paid", 2)}
    assert all(written < before <= at <= after for at in found.values())
