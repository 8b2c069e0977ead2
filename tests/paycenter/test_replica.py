"""Reads of reports go to the replica where there is one; nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, router

from merchants.models import Merchant
from paycenter.replica import report_alias, reporting, reports

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a replica were configured; it is never connected to."""
    monkeypatch.setitem(connections.settings, "replica", {**connections.settings["default"]})


def test_without_the_setting_everything_is_the_primary() -> None:
    with reports():
        assert (reporting(), report_alias(), router.db_for_read(Merchant)) == ("default",) * 3


def test_only_reads_inside_a_report_lead_to_the_replica(configured: None) -> None:
    assert (router.db_for_read(Merchant), report_alias()) == ("default", "default")
    with reports():
        assert (router.db_for_read(Merchant), report_alias()) == ("replica", "replica")
        assert router.db_for_write(Merchant) == "default"
        assert Merchant.objects.select_for_update().db == "default"
    assert (router.db_for_read(Merchant), report_alias()) == ("default", "default")


def test_a_record_read_from_the_replica_is_written_to_the_primary(configured: None) -> None:
    merchant = Merchant()
    merchant._state.db = "replica"
    assert router.db_for_write(Merchant, instance=merchant) == "default"


def test_migrations_never_touch_the_replica(configured: None) -> None:
    assert router.allow_migrate("default", "trades")
    assert not router.allow_migrate("replica", "trades")


def test_the_setting_makes_a_replica_whose_sessions_cannot_write(tmp_path: Path) -> None:
    found = _databases(tmp_path, REPLICA_DATABASE_URL="postgres://reader:pw@127.0.0.1:9/center")
    assert found == "default,replica center -c jit=off -c default_transaction_read_only=on"
    assert _databases(tmp_path) == "default"


def test_what_a_session_says_at_its_beginning_can_be_set(tmp_path: Path) -> None:
    url = "postgres://reader:pw@127.0.0.1:9/center"
    own = _databases(tmp_path, REPLICA_DATABASE_URL=f"{url}?options=-c%20statement_timeout%3D9s")
    assert own == "default,replica center -c jit=off -c statement_timeout=9s -c default_transaction_read_only=on"
    none = _databases(tmp_path, REPLICA_DATABASE_URL=url, PAYCENTER_DB_OPTIONS="")
    assert none == "default,replica center -c default_transaction_read_only=on"


def _databases(var: Path, **environ: Any) -> str:
    """What a process of its own makes of these settings."""
    code = (
        "from paycenter import settings as s; r = s.DATABASES.get('replica');"
        "print(','.join(s.DATABASES), *((r['NAME'], r['OPTIONS']['options']) if r else ()))"
    )
    inherited = {name: value for name, value in os.environ.items() if name != "REPLICA_DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**inherited, "PAYCENTER_VAR": str(var), "PAYCENTER_MODE": "embedded", **environ},
    )  # fmt: skip
    return done.stdout.strip()
