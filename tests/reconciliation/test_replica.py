"""Reports and comparing read from a second server that holds something else, so that it shows who answered."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, connections
from django.db.utils import InternalError, load_backend

from deploy.checks import services
from merchants.models import Merchant
from paycenter.replica import REPLICA
from paycenter.settings import _replica
from reconciliation.models import Case, ReconciliationDay, SettlementBatch
from reconciliation.reconciling import day_match
from reconciliation.settlement.models import SettlementTerms
from tests.conftest import World
from tests.factories import HMAC_SECRET
from tests.fakes.exporting import exported
from tests.fakes.signing import Caller
from tests.fakes.staff import make_staff, signed_in
from tests.reconciliation.conftest import DAY, reconcile, row_of, take_in
from trades.models import Attempt

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def second_server() -> Iterator[str]:
    """The DATABASE_URL of another server."""
    try:
        with services.postgres() as url:
            yield url
    except services.Unavailable as exc:
        pytest.skip(str(exc))


@pytest.fixture
def world(committed_world: World) -> World:
    """Committed, so that it can be copied."""
    return committed_world


@pytest.fixture
def split(second_server: str, published: Any, world: World) -> Iterator[Any]:
    """Call it once the primary holds what the test needs: from then on there is a replica with the same content, in
    which the test changes something by the cursor it gets."""
    opened: list[psycopg.Connection[Any]] = []

    def copy() -> psycopg.Cursor[Any]:
        _copy_to(second_server)
        _configure(second_server)
        opened.append(psycopg.connect(second_server, autocommit=True))
        return opened[-1].cursor()

    yield copy
    for link in opened:
        link.close()
    if REPLICA in connections.settings:
        connections[REPLICA].close()
        connections[REPLICA].close_pool()  # type: ignore[attr-defined]
        del connections[REPLICA], connections.settings[REPLICA]


def _configure(url: str) -> None:
    """From now on this is the replica. Connected first: Django's tests allow no new alias to connect later."""
    settings = connections.configure_settings({"default": {}, REPLICA: _replica(url)})[REPLICA]
    replica = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, REPLICA)
    replica.connect()
    connections.settings[REPLICA] = settings
    connections[REPLICA] = replica


def _copy_to(url: str) -> None:
    """The primary's tables and content, as they are committed now, in place of what was there."""
    programs, mine = services.find_postgres(), connection.settings_dict
    assert programs is not None
    place = {f"PG{name}": str(mine[name]) for name in ("HOST", "PORT", "USER", "PASSWORD")}
    dump = subprocess.run(
        [str(programs / "pg_dump"), "--no-owner", "--dbname", mine["NAME"]], capture_output=True, check=True,
        env={**os.environ, **place},
    ).stdout  # fmt: skip
    assert urlsplit(url).port != mine["PORT"]
    again = b"DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n"
    subprocess.run([str(programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", url], input=again + dump, check=True,
                   capture_output=True)  # fmt: skip


def ask(client: Any, world: World, path: str, **more: Any) -> Any:
    answer = Caller(client, world.app.app_id, HMAC_SECRET)(path, {"merchant_no": world.merchant.merchant_no, **more})
    assert answer.status_code == 200, answer.content
    return answer.json()["data"]


def test_bill_calls_answer_from_the_replica(client: Any, world: World, paid: Any, split: Any) -> None:
    attempt = paid(amount=1000)
    reconcile(world, [row_of(attempt, fee=6)])
    there = split()
    there.execute("UPDATE trades_attempt SET paid_amount = 777")
    there.execute("UPDATE reconciliation_billrow SET fee = 5")
    found = ask(client, world, "/v1/query/bill", date=str(DAY))
    assert ([row["amount"] for row in found["rows"]], found["totals"]["CNY"]["paid"]) == ([777], 777)
    assert (found["rows"][0]["fee"], found["totals"]["CNY"]["fee"]) == (5, 5)
    # What decides about money reads from the primary.
    assert ask(client, world, "/v1/query/trade", app_order_no=attempt.trade.app_order_no)["paid_amount"] == 1000
    assert Attempt.objects.get(pk=attempt.pk).paid_amount == 1000


def test_permission_is_the_primarys(client: Any, world: World, paid: Any, split: Any) -> None:
    paid()
    split().execute("DELETE FROM merchants_appmerchant")
    assert len(ask(client, world, "/v1/query/bill", date=str(DAY))["rows"]) == 1


def test_settle_calls_and_exports_answer_from_the_replica(client: Any, world: World, paid: Any, split: Any) -> None:
    SettlementTerms.objects.create(account=world.account, days_after=1)
    reconcile(world, [row_of(paid(amount=1000), amount=999)])
    there = split()
    there.execute("UPDATE reconciliation_settlementbatch SET fee = 42")
    there.execute("UPDATE reconciliation_case SET trade_no = 'FROM-THE-REPLICA'")
    days = {"date_from": "2026-11-20", "date_to": "2026-11-30"}
    assert [batch["fee"] for batch in ask(client, world, "/v1/query/settle", **days)["batches"]] == [42]
    assert SettlementBatch.objects.get().fee != 42
    page = signed_in(make_staff("finance"))
    assert b"FROM-THE-REPLICA" in exported(page, "/admin/reconciliation/case/")
    assert "FROM-THE-REPLICA" not in page.get("/admin/reconciliation/case/").content.decode()


def test_a_day_is_compared_on_the_replica_once_it_has_the_bill(world: World, paid: Any, split: Any) -> None:
    right, wrong = paid(amount=1000), paid(amount=500)
    take_in(world, [row_of(right), row_of(wrong, amount=501)])
    there = split()
    # On the replica both agree, and nothing is found; the primary would find one.
    there.execute("UPDATE reconciliation_billrow SET amount = 500 WHERE amount = 501")
    day = ReconciliationDay.objects.get(account=world.account, day=DAY)
    assert day_match(day_id=day.pk) == 0
    # A replica that lags behind the bill is not believed.
    there.execute("UPDATE reconciliation_bill SET version = version - 1")
    assert day_match(day_id=day.pk) == 1
    assert Case.objects.get().attempt_id == wrong.pk


def test_what_lags_is_judged_by_the_primary(world: World, paid: Any, split: Any) -> None:
    attempt = paid(amount=1000)
    take_in(world, [row_of(attempt)])
    split().execute("UPDATE trades_attempt SET state = 'paying', paid_at = NULL")
    assert day_match(day_id=ReconciliationDay.objects.get(account=world.account, day=DAY).pk) == 0


def test_nothing_can_be_written_to_the_replica(world: World, split: Any) -> None:
    split()
    with pytest.raises(InternalError, match="read-only transaction"):
        Merchant.objects.using(REPLICA).update(name="written")
    merchant = Merchant.objects.using(REPLICA).get(pk=world.merchant.pk)
    merchant.name = "written where it belongs"
    merchant.save()
    assert Merchant.objects.get(pk=world.merchant.pk).name == "written where it belongs"
    assert Merchant.objects.using(REPLICA).get(pk=world.merchant.pk).name != "written where it belongs"
