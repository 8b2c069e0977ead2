"""Log tables in months: every row has a place, old months leave with an archive, and queries look at few of them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from notifications.models import Alert, Delivery, Notification
from notifications.partitions import keep_partitions
from paycenter.models import Exchange
from paycenter.partitions import converting, keeping, retiring
from paycenter.partitions.catalogue import DELIVERIES, EXCHANGES, LOGS, Log, Month, partitions
from tests import factories
from tests.conftest import World
from tests.fakes.staff import make_staff, signed_in
from trades.models import Trade

postgres = pytest.mark.postgres
LONG_PAST = datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC)


def exchange(at: datetime, **values: Any) -> Exchange:
    given = {"direction": "in", "peer": "app:x", "operation": "gopay", "method": "POST", "url": "/", **values}
    return Exchange.objects.create(created_at=at, **given)


def place(row: Exchange) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM paycenter_exchange WHERE id = %s", [row.pk])
        return str(cursor.fetchone()[0])


def names(log: Log) -> set[str]:
    return {one.name for one in partitions(log)}


def settled() -> None:
    """As after a commit: nothing is left to be checked that keeps a table from being changed."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_months_are_those_of_utc() -> None:
    shanghai_new_year = datetime.fromisoformat("2027-01-01T07:59:59+08:00")
    month = Month.of(shanghai_new_year)
    assert (str(month), str(month.plus(1)), str(month.plus(-12)), str(month.plus(13))) == (
        "2026_12", "2027_01", "2025_12", "2028_01")  # fmt: skip
    assert month.end == month.plus(1).start == datetime(2027, 1, 1, tzinfo=UTC)


def test_elsewhere_nothing_is_partitioned(db: None) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("what SQLite does")
    assert (keep_partitions(), Alert.objects.count()) == (0, 0)
    with pytest.raises(CommandError, match="PostgreSQL only"):
        call_command("log_partitions")


@postgres
def test_a_row_lies_in_its_month_and_one_without_is_moved_later(db: None) -> None:
    this, stray, edge = exchange(timezone.now()), exchange(LONG_PAST), exchange(LONG_PAST + timedelta(seconds=1))
    assert place(stray) == place(edge) == EXCHANGES.default
    assert place(this) in names(EXCHANGES) - {EXCHANGES.default}
    assert keeping.keep_ahead() == ["paycenter_exchange_2020_02", "paycenter_exchange_2020_03"]
    assert (place(stray), place(edge)) == ("paycenter_exchange_2020_02", "paycenter_exchange_2020_03")
    assert (keeping.keep_ahead(), keeping.stray_months(EXCHANGES)) == ([], {})
    assert Exchange.objects.get(pk=stray.pk).created_at == LONG_PAST


@postgres
def test_months_come_before_they_are_needed(db: None) -> None:
    begun = datetime(2031, 11, 30, 12, tzinfo=UTC)
    made = keeping.keep_ahead(begun)
    assert made == [f"{log.table}_{month}" for log in LOGS for month in ("2031_11", "2031_12", "2032_01", "2032_02")]
    with time_machine.travel(datetime(2032, 2, 29, tzinfo=UTC), tick=False):
        assert place(exchange(timezone.now())) == "paycenter_exchange_2032_02"


@postgres
def test_somebody_is_told_when_a_month_cannot_be_made(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(*_given: Any) -> str:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(keeping, "partition_create", held)
    with time_machine.travel(datetime(2033, 5, 2, tzinfo=UTC), tick=False):
        exchange(timezone.now())  # writing goes on
        assert keep_partitions() == 0
        alerts = set(Alert.objects.values_list("key", "severity"))
    assert alerts == {
        (f"partition:missing:{log.table}:{month}", "critical") for log in LOGS for month in ("2033_05", "2033_06")
    }
    monkeypatch.undo()
    assert keep_partitions() >= 1


@postgres
def test_many_rows_without_a_month_are_left_to_a_quiet_hour(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOVED_AT_ONCE", 0)
    monkeypatch.setattr(keeping.keep_ahead, "__kwdefaults__", {"moved_at_once": 0})
    exchange(LONG_PAST)
    assert keep_partitions() == 0
    alert = Alert.objects.get()
    assert alert.key == "partition:stray:paycenter_exchange:2020_02"
    said = StringIO()
    call_command("log_partitions", settle=True, stdout=said)
    assert said.getvalue() == "made paycenter_exchange_2020_02\n"


@postgres
def test_two_workers_make_a_month_once(transactional_db: None, in_threads: Callable[..., list[Any]]) -> None:
    month = Month(2040, 7)
    try:
        done = in_threads(lambda _index: keeping.partition_create(EXCHANGES, month), 4)
        assert sorted(done) == ["", "", "", "paycenter_exchange_2040_07"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS paycenter_exchange_2040_07")


@postgres
def test_writers_notice_nothing(transactional_db: None, in_threads: Callable[..., list[Any]]) -> None:
    """Rows of a month come in while it gets its partition, with those that were written before, and loses it again."""
    day = datetime(2041, 3, 4, tzinfo=UTC)
    exchange(day)

    def work(index: int) -> int:
        if index:
            return len([exchange(day) for _row in range(60)])
        keeping.partition_create(EXCHANGES, Month(2041, 3))
        return len([exchange(day) for _row in range(5)])

    try:
        assert in_threads(work, 3) == [5, 60, 60]
        assert Exchange.objects.filter(created_at=day).count() == 126
        assert {place(row) for row in Exchange.objects.all()} == {"paycenter_exchange_2041_03"}
        retiring.detach(EXCHANGES, "paycenter_exchange_2041_03")
        assert (Exchange.objects.count(), place(exchange(day))) == (0, EXCHANGES.default)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS paycenter_exchange_2041_03")


@postgres
def test_a_try_is_written_while_its_month_is_made(
    world_told: Notification, in_threads: Callable[..., list[Any]]
) -> None:
    """Whoever tells an app writes the notification first, then the try: the months' maker takes them in this order."""
    day = datetime(2041, 3, 4, tzinfo=UTC)
    Delivery.objects.create(notification=world_told, number=1, started_at=day)

    def work(index: int) -> Any:
        if index == 0:
            return keeping.partition_create(DELIVERIES, Month(2041, 3))
        for number in range(20):
            with transaction.atomic():
                Notification.objects.filter(pk=world_told.pk).update(tries=number)
                Delivery.objects.create(notification=world_told, number=number, started_at=day)
        return ""

    try:
        assert in_threads(work, 3) == ["notifications_delivery_2041_03", "", ""]
        assert Delivery.objects.filter(started_at=day).count() == 41
    finally:
        Delivery.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS notifications_delivery_2041_03")


@pytest.fixture
def world_told(committed_world: World) -> Notification:
    return Notification.objects.create(
        webhook_id="w", app=committed_world.app, type="trade.paid", url="http://x/", body="{}",
        created_at=timezone.now(),
    )  # fmt: skip


@postgres
def test_a_held_table_is_not_waited_for_long(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paycenter.partitions.catalogue.LOCK_SECONDS", 0.1)
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
        other.execute("LOCK TABLE paycenter_exchange IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(OperationalError, match="lock timeout"):
            keeping.partition_create(EXCHANGES, Month(2040, 8))
    assert "paycenter_exchange_2040_08" not in names(EXCHANGES)


# -- retention


@pytest.fixture
def old_months(db: None) -> list[Exchange]:
    """Rows of January and February 2020 in partitions of their own, and one of now."""
    made = [exchange(LONG_PAST - timedelta(days=40), response='"quoted",\nline'), exchange(LONG_PAST)]
    keeping.keep_ahead()
    settled()
    return [*made, exchange(timezone.now())]


@postgres
def test_everything_is_kept_unless_it_is_set(old_months: list[Exchange], tmp_path: Path) -> None:
    call_command("log_partitions", retire=True, archive=tmp_path, drop=True)
    assert Exchange.objects.count() == 3


@postgres
def test_old_months_leave_with_an_archive(old_months: list[Exchange], settings: Any, tmp_path: Path) -> None:
    now = timezone.now()
    settings.KEEP_EXCHANGES_MONTHS = (now.year - 2020) * 12 + now.month - 2  # February 2020 is the last one kept
    said = StringIO()
    call_command("log_partitions", retire=True, archive=tmp_path, stdout=said)
    assert said.getvalue().splitlines() == [
        "detached paycenter_exchange_2020_01",
        f"archived paycenter_exchange_2020_01: 1 rows in {tmp_path}/paycenter_exchange_2020_01.csv.gz",
    ]
    assert set(Exchange.objects.values_list("pk", flat=True)) == {row.pk for row in old_months[1:]}
    with gzip.open(tmp_path / "paycenter_exchange_2020_01.csv.gz", "rt", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["response"]) == (str(old_months[0].pk), '"quoted",\nline')
    assert json.loads((tmp_path / "paycenter_exchange_2020_01.json").read_text())["rows"] == 1
    assert (tmp_path / "paycenter_exchange_2020_01.csv.gz").stat().st_mode & 0o077 == 0
    call_command("log_partitions", retire=True, archive=tmp_path, drop=True, stdout=said)
    assert said.getvalue().splitlines()[2:] == ["dropped paycenter_exchange_2020_01"]
    assert retiring.detached(EXCHANGES) == []


@postgres
def test_a_damaged_archive_is_made_again_before_anything_is_dropped(
    old_months: list[Exchange], settings: Any, tmp_path: Path
) -> None:
    settings.KEEP_EXCHANGES_MONTHS = 12
    call_command("log_partitions", retire=True, archive=tmp_path, stdout=StringIO())
    file = tmp_path / "paycenter_exchange_2020_02.csv.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    call_command("log_partitions", retire=True, archive=tmp_path, drop=True, stdout=StringIO())
    assert file.read_bytes() == whole
    with pytest.raises(CommandError, match="--drop goes with --archive"):
        call_command("log_partitions", retire=True, drop=True)


@postgres
def test_what_is_no_former_partition_is_never_dropped(db: None) -> None:
    for name in ("paycenter_event", "paycenter_exchange", EXCHANGES.default):
        with pytest.raises(ValueError, match="not a detached partition"):
            retiring.drop(EXCHANGES, name)


# -- partitioning a table that has rows

PLAIN = Log("old_log", "written_at", "KEEP_EXCHANGES_MONTHS")


@pytest.fixture
def plain(db: None) -> Iterator[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE old_owner (id bigint PRIMARY KEY); INSERT INTO old_owner VALUES (1);"
            "CREATE TABLE old_log (id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, written_at timestamptz NOT"
            " NULL, size integer CHECK (size >= 0), owner_id bigint NOT NULL CONSTRAINT old_log_owner REFERENCES"
            " old_owner DEFERRABLE INITIALLY DEFERRED);"
            "CREATE INDEX old_log_size ON old_log (size, id) WHERE size > 0;"
        )
        yield cursor


def filled(cursor: Any, newest: datetime) -> int:
    cursor.execute(
        "INSERT INTO old_log (written_at, size, owner_id) SELECT %s - n * interval '1 day', n, 1"
        " FROM generate_series(0, 99) n", [newest],
    )  # fmt: skip
    settled()
    cursor.execute("SELECT pg_relation_filenode('old_log')")
    return int(cursor.fetchone()[0])


@postgres
@pytest.mark.parametrize("prepared", [False, True])
def test_what_a_table_holds_stays_where_it_is(plain: Any, prepared: bool) -> None:
    now = timezone.now()
    node = filled(plain, now)
    ends = converting.prepare(PLAIN) if prepared else None
    assert converting.prepare(PLAIN) == ends if prepared else True, "it can be run again"
    converting.convert(PLAIN)
    old = f"old_log_until_{Month.of(now).plus(2 if prepared else 1)}"
    plain.execute("SELECT pg_relation_filenode(%s)", [old])
    assert plain.fetchone()[0] == node, "no row was copied"
    plain.execute("INSERT INTO old_log (written_at, size, owner_id) VALUES (%s, 7, 1), (%s, 8, 1) RETURNING id",
                  [now, now + timedelta(days=70)])  # fmt: skip
    assert [row[0] for row in plain.fetchall()] == [101, 102]
    plain.execute("SELECT tableoid::regclass::text FROM old_log WHERE id > 99 ORDER BY id")
    later = f"old_log_{Month.of(now + timedelta(days=70))}"
    assert [row[0] for row in plain.fetchall()] == [old, old, later]
    plain.execute("SELECT count(*) FROM pg_constraint WHERE conname LIKE 'old_log_until%%' AND contype = 'c'")
    assert plain.fetchone()[0] == 0
    converting.convert(PLAIN)  # nothing is left to do


@postgres
def test_constraints_and_indexes_hold_as_before(plain: Any) -> None:
    filled(plain, timezone.now())
    converting.convert(PLAIN)
    plain.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'old_log_size'")
    assert "(size, id) WHERE (size > 0)" in plain.fetchone()[0]
    plain.execute("SELECT conname, condeferred, contype FROM pg_constraint WHERE conrelid = 'old_log'::regclass"
                  " ORDER BY contype")  # fmt: skip
    assert plain.fetchall() == [("old_log_size_check", False, "c"), ("old_log_owner", True, "f")]
    plain.execute("SELECT count(*) FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid"
                  " WHERE h.inhparent = 'old_log_size'::regclass")  # fmt: skip
    assert plain.fetchone()[0] == len(partitions(PLAIN)), "each partition has it"


@postgres
def test_an_empty_table_leaves_nothing_behind(plain: Any) -> None:
    converting.convert(PLAIN)
    assert [one.name for one in partitions(PLAIN) if "until" in one.name] == []
    assert [one.is_default for one in partitions(PLAIN)].count(True) == 1


# -- what is asked of them


def plans(queries: CaptureQueriesContext, log: Log) -> dict[str, str]:
    """Plans of the queries of one log, with sequential scans forbidden, by statement."""
    asked = [q["sql"] for q in queries if q["sql"].startswith("SELECT") and f'FROM "{log.table}"' in q["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        found = {}
        for sql in asked:
            cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
            found[sql] = "\n".join(row[0] for row in cursor.fetchall())
    return found


@pytest.fixture
def told(world: World) -> Trade:
    """A paid trade with an exchange and a delivery, beside two old months of both logs."""
    trade = factories.trade_pay(app=world.app, order=world.order(), method="fake_qr").trade
    note = Notification.objects.create(
        webhook_id="w", app=world.app, type="payment.succeeded", url="http://x/", body="{}", trade_no=trade.trade_no,
        created_at=timezone.now(),
    )  # fmt: skip
    for at in (LONG_PAST - timedelta(days=40), LONG_PAST):
        exchange(at)
        Delivery.objects.create(notification=note, number=1, started_at=at)
    settled()
    keeping.keep_ahead()
    Delivery.objects.create(notification=note, number=2, started_at=timezone.now())
    return Trade.objects.get(pk=trade.pk)


@postgres
def test_a_trade_s_page_looks_at_its_own_time_only(told: Trade) -> None:
    desk: Client = signed_in(make_staff("operator", is_superuser=True))
    with CaptureQueriesContext(connection) as queries:
        assert desk.get(f"/admin/trades/trade/{told.pk}/change/").status_code == 200
        note = Notification.objects.get(webhook_id="w")
        assert desk.get(f"/admin/notifications/notification/{note.pk}/change/").status_code == 200
    for log in LOGS:
        found = plans(queries, log)
        assert found, log
        for sql, plan in found.items():
            assert "2020_0" not in plan, (sql, plan)
            assert "Seq Scan" not in plan, (sql, plan)


@postgres
def test_the_newest_are_found_by_key_in_every_month(told: Trade) -> None:
    desk: Client = signed_in(make_staff("operator", is_superuser=True))
    with CaptureQueriesContext(connection) as queries:
        for query in ("", "?day_from=2020-02-01&day_to=2020-02-29", f"?q={told.trade_no}"):
            assert desk.get(f"/admin/paycenter/exchange/{query}").status_code == 200
    found = plans(queries, EXCHANGES)
    assert not [(sql, plan) for sql, plan in found.items() if "Seq Scan" in plan]
    newest = [plan for sql, plan in found.items() if "WHERE" not in sql and '"id" DESC' in sql]
    assert newest
    assert all("Merge Append" in plan and "Sort  (" not in plan for plan in newest), newest


@postgres
def test_a_try_at_telling_needs_its_notification(told: Trade) -> None:
    """The foreign key holds in every partition, and a notification takes its tries along."""
    note = Notification.objects.get(webhook_id="w")
    assert note.deliveries.count() == 3
    note.delete()
    assert not Delivery.objects.exists()
    assert names(DELIVERIES) >= {"notifications_delivery_2020_01", DELIVERIES.default}
