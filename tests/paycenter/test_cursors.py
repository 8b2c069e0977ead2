"""On PostgreSQL: one row read on a connection that is only borrowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, DataError, OperationalError, ProgrammingError, connection, connections
from psycopg_pool import PoolClosed, PoolTimeout

from paycenter import pools
from paycenter.cursors import default_db, first_row
from paycenter.pools import borrow, give_back, use_the_warmest

pytestmark = [pytest.mark.postgres, pytest.mark.django_db]


@pytest.fixture(params=[2, None], ids=["prepared", "unprepared"])
def pooled(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The database through a pool of one connection: whoever keeps it stops everybody else."""
    db = connection.copy(alias="pool_of_one")
    options = {"pool": {"min_size": 1, "max_size": 1, "timeout": 5}, "prepare_threshold": request.param}
    db.settings_dict = {**db.settings_dict, "CONN_MAX_AGE": 0, "OPTIONS": options}
    yield db
    db.close_pool()


def end(pid: int) -> None:
    """As a restart of PostgreSQL ends a connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_a_connection_is_borrowed_for_one_statement(pooled: Any) -> None:
    assert [first_row(pooled, "SELECT %s::int, NULL", [n], binary=n % 2 == 1) for n in range(20)] == [
        (n, None) for n in range(20)
    ]
    assert first_row(pooled, "SELECT 1 WHERE FALSE", []) is None
    assert pooled.connection is None
    assert pooled.pool.get_stats()["pool_available"] == 1


def test_what_fails_gives_it_back(pooled: Any) -> None:
    for wrong, error in (("SELECT 1 / %s::int", DataError), ("SELECT nothing(%s)", ProgrammingError)):
        for _ in range(3):
            with pytest.raises(error):
                first_row(pooled, wrong, [0])
    assert first_row(pooled, "SELECT 7", []) == (7,)


def test_nothing_is_left_open_on_it(pooled: Any) -> None:
    """No transaction is: another would see an old state, and vacuum would wait."""
    pooled.pool.open()
    raw = pooled.pool.getconn()
    raw.autocommit = False
    pooled.pool.putconn(raw)
    first_row(pooled, "SELECT 1", [])
    raw = pooled.pool.getconn()
    try:
        assert (raw.autocommit, raw.info.transaction_status.name) == (True, "IDLE")
    finally:
        pooled.pool.putconn(raw)


def test_the_connection_given_back_last_is_used_next(pooled: Any) -> None:
    pooled.settings_dict["OPTIONS"]["pool"]["max_size"] = 3
    use_the_warmest(pooled)
    pooled.pool.open()
    one, two, three = (pooled.pool.getconn() for _ in range(3))
    for given_back in (two, three, one):
        pooled.pool.putconn(given_back)
    used = [first_row(pooled, "SELECT pg_backend_pid()", []) for _ in range(5)]
    assert used == [(one.info.backend_pid,)] * 5


def test_nobody_gets_a_connection_that_died_while_it_rested(pooled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "RESTED", 0.0)
    pooled.settings_dict["OPTIONS"]["pool"]["max_size"] = 3
    use_the_warmest(pooled)
    pooled.pool.open()
    raw = [pooled.pool.getconn() for _ in range(3)]
    for one in raw:
        pooled.pool.putconn(one)
    for one in raw:
        end(one.info.backend_pid)
    assert [first_row(pooled, "SELECT 1", []) for _ in range(5)] == [(1,)] * 5


def test_what_psycopg_forgets_is_prepared_again(pooled: Any) -> None:
    """It gives up all that is prepared when it rolls back, and what a migration changed cannot be run."""

    def run(*statements: str, autocommit: bool = True) -> None:
        raw = pooled.pool.getconn()
        raw.autocommit = autocommit
        for statement in statements:
            raw.execute(statement, prepare=True)
        raw.rollback()
        raw.autocommit = True
        pooled.pool.putconn(raw)

    pooled.pool.open()
    run("CREATE TABLE changing (n int)", "INSERT INTO changing VALUES (5)")
    try:
        assert first_row(pooled, "SELECT n FROM changing", []) == (5,)
        run("SELECT 6", "SELECT 6", autocommit=False)
        assert [first_row(pooled, f"SELECT {n}", []) for n in (7, 8)] == [(7,), (8,)]
        assert first_row(pooled, "SELECT n FROM changing", []) == (5,)
        run("ALTER TABLE changing ALTER n TYPE text")
        assert first_row(pooled, "SELECT n FROM changing", []) == ("5",)
    finally:
        run("DROP TABLE changing")


def test_a_text_is_never_cut_off(pooled: Any) -> None:
    with pytest.raises((DataError, ValueError)):
        first_row(pooled, "SELECT %s::text", ["a\0b"])


def test_many_take_turns(pooled: Any) -> None:
    """Each thread has wrappers of its own in production; the pool is what they share."""
    copies = [pooled.copy(alias=pooled.alias) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: first_row(copies[n % 8], "SELECT %s::int", [n]), range(200)))
    assert found == [(n,) for n in range(200)]


def test_a_thread_with_a_connection_uses_it() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE only_mine (n int)")
        cursor.execute("INSERT INTO only_mine VALUES (5)")
    assert first_row(connection, "SELECT n FROM only_mine", []) == (5,)


def test_nobody_waits_longer_than_it_says(pooled: Any) -> None:
    pooled.pool.open()
    raw = pooled.pool.getconn()
    try:
        began = time.monotonic()
        with pytest.raises(OperationalError):
            first_row(pooled, "SELECT 1", [], wait=0.1)
        assert time.monotonic() - began < 3
    finally:
        pooled.pool.putconn(raw)
    assert first_row(pooled, "SELECT 1", [], wait=0.1) == (1,)


def test_a_connection_that_broke_is_not_used_again(pooled: Any) -> None:
    (pid,) = first_row(pooled, "SELECT pg_backend_pid()", [])
    end(pid)
    with pytest.raises(OperationalError):
        first_row(pooled, "SELECT 1", [])
    assert first_row(pooled, "SELECT 1", []) == (1,)


@pytest.fixture
def warmest(pooled: Any) -> Any:
    """Its pool hands out the connection that was given back last."""
    use_the_warmest(pooled)
    pooled.pool.open()
    return pooled


def test_a_pool_that_is_closed_is_opened(warmest: Any) -> None:
    warmest.close_pool()
    use_the_warmest(warmest)
    assert first_row(warmest, "SELECT 1", []) == (1,)


def test_many_take_turns_with_the_warmest(warmest: Any) -> None:
    copies = [warmest.copy(alias=warmest.alias) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        asked = threads.map(lambda n: first_row(copies[n % 8], "SELECT %s::int, pg_sleep(0.001)", [n]), range(200))
        found = list(asked)
    assert [n for n, _slept in found] == list(range(200))
    assert warmest.pool.get_stats()["pool_available"] == 1


def test_who_waits_gets_what_is_given_back(warmest: Any) -> None:
    raw = borrow(warmest.pool)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(warmest.pool.getconn, 5)
        while not warmest.pool.get_stats().get("requests_waiting"):
            time.sleep(0.01)
        give_back(warmest.pool, raw)
        assert waiting.result(5) is raw
    warmest.pool.putconn(raw)


def test_a_connection_that_breaks_while_it_is_lent_is_replaced(warmest: Any) -> None:
    for _ in range(3):
        (pid,) = first_row(warmest, "SELECT pg_backend_pid()", [])
        end(pid)
        with pytest.raises(OperationalError):
            first_row(warmest, "SELECT 1", [])
        assert first_row(warmest, "SELECT 1", []) == (1,)
    assert warmest.pool.get_stats()["pool_size"] == 1


def test_a_transaction_left_open_is_ended(warmest: Any) -> None:
    raw = borrow(warmest.pool)
    raw.autocommit = False
    raw.execute("SELECT 1")
    give_back(warmest.pool, raw)
    again = borrow(warmest.pool)
    assert (again, again.info.transaction_status.name) == (raw, "IDLE")
    give_back(warmest.pool, again)


def test_an_old_connection_is_replaced(warmest: Any) -> None:
    raw = borrow(warmest.pool)
    old = raw.info.backend_pid
    raw._expire_at = time.monotonic() - 1
    give_back(warmest.pool, raw)
    assert first_row(warmest, "SELECT pg_backend_pid()", []) != (old,)
    assert raw.closed


def test_a_connection_given_back_to_a_closed_pool_is_closed(warmest: Any) -> None:
    raw = borrow(warmest.pool)
    warmest.close_pool()
    with pytest.raises((PoolClosed, PoolTimeout)):
        warmest.pool.getconn(0.1)
    give_back(raw._pool, raw)
    assert raw.closed


def test_the_threads_own_connection_is_djangos() -> None:
    def in_turn() -> tuple[Any, Any]:
        return default_db(), connections[DEFAULT_DB_ALIAS]

    here, djangos = in_turn()
    assert here is djangos
    with ThreadPoolExecutor(1) as thread:
        for _ in range(2):
            there, djangos = thread.submit(in_turn).result()
            assert there is djangos
            assert there is not here

        async def in_a_loop() -> tuple[Any, Any]:  # where Django keeps others
            return in_turn()

        inside, djangos = thread.submit(lambda: asyncio.run(in_a_loop())).result()
        assert inside is djangos
        assert inside not in (here, there)
