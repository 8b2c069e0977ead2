"""A real replica that streams, and stands still: reports are late, nothing fails, and the metric says how late."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, connections
from django.db.utils import load_backend
from django.test import Client

from deploy.checks import services
from merchants.models import Merchant
from paycenter.replica import REPLICA, replica_lag, reports
from paycenter.settings import _replica
from tests import factories

pytestmark = pytest.mark.postgres
PATIENCE = 30.0  # seconds for a replica on a busy machine


@pytest.fixture
def replica(transactional_db: None) -> Iterator[psycopg.Connection]:
    """The replica, configured as such; a connection to command it with."""
    own = connection.settings_dict
    place = f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}"
    try:
        with services.replica_server(f"{place}/{own['NAME']}") as (_server, url):
            there = urlsplit(url)._replace(path=f"/{own['NAME']}").geturl()
            _configure(there)
            with psycopg.connect(there, autocommit=True) as command:
                yield command
            connections[REPLICA].close()
            connections[REPLICA].close_pool()  # type: ignore[attr-defined]
            del connections[REPLICA], connections.settings[REPLICA]
    except services.Unavailable as exc:
        pytest.skip(str(exc))


def _configure(url: str) -> None:
    """Connected first: Django's tests allow no new alias to connect later."""
    settings = connections.configure_settings({"default": {}, REPLICA: _replica(url)})[REPLICA]
    backend = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, REPLICA)
    backend.connect()
    connections.settings[REPLICA] = settings
    connections[REPLICA] = backend


def shown() -> int:
    with reports():
        return Merchant.objects.count()


def until(shows: int) -> None:
    """Until reports show so many merchants, and the replica has everything."""
    limit = time.monotonic() + PATIENCE
    while shown() != shows or replica_lag() != 0:
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_reports_are_late_and_nothing_fails(replica: psycopg.Connection, client: Client) -> None:
    factories.make_merchant()
    until(1)
    replica.execute("SELECT pg_wal_replay_pause()")
    factories.make_merchant()
    assert (Merchant.objects.count(), shown()) == (2, 1)
    assert (replica_lag() or 0) > 0
    found = client.get("/metrics").content.decode()
    assert float(re.search(r"^paycenter_replica_lag_seconds (\S+)$", found, re.MULTILINE)[1]) > 0  # type: ignore[index]
    assert client.get("/readyz").status_code == 200
    replica.execute("SELECT pg_wal_replay_resume()")
    until(2)
