"""The test database: migrated once, and copied for each process that runs tests.

The migrations take a process a quarter of a minute of processor time, a copy takes a moment and is the same. The
originals are kept for the day: below var/tests (PAYCENTER_MIGRATED names another folder), or on the PostgreSQL server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

KEPT = Path(os.environ.get("PAYCENTER_MIGRATED") or Path(settings.BASE_DIR) / "var" / "tests")
PREFIX = "paycenter_migrated_"
_DAY = 86_400  # seconds
_LOCK = 0x7061796D  # any number that nobody else locks


def fingerprint() -> str:
    """Of everything the migrated database depends on. They may look at the day: months get their partitions."""
    found = hashlib.sha256(f"{django.VERSION} {timezone.now():%Y-%m-%d}".encode())
    for app in apps.get_app_configs():
        for file in sorted((Path(app.path) / "migrations").glob("*.py")):
            found.update(f"{app.label}/{file.name}\n".encode() + file.read_bytes())
    return found.hexdigest()[:24]


def use_copy() -> Callable[[], None]:
    """From now on the connection is to a new copy; what is answered removes it and turns back."""
    own, name = connection.settings_dict["NAME"], connection.creation._get_test_db_name()
    drop = _postgres(name) if connection.vendor == "postgresql" else _sqlite(name)
    _turn_to(name)

    def remove() -> None:
        _turn_to(own)
        drop()

    return remove


def _turn_to(name: str) -> None:
    connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()  # it is to the database before
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name


def _migrate(name: str) -> None:
    own = connection.settings_dict["NAME"]
    _turn_to(name)
    try:
        call_command("migrate", verbosity=0, interactive=False, run_syncdb=True)
    finally:
        _turn_to(own)


def _sqlite(name: str) -> Callable[[], None]:
    original = KEPT / f"{fingerprint()}.sqlite3"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not original.exists():
            for old in KEPT.glob("*.sqlite3"):
                if time.time() - old.stat().st_mtime > _DAY:
                    old.unlink()
            making = original.with_suffix(".making")
            making.unlink(missing_ok=True)
            _migrate(str(making))
            os.replace(making, original)
    shutil.copyfile(original, name)
    return lambda: Path(name).unlink(missing_ok=True)


def _postgres(name: str) -> Callable[[], None]:
    original = PREFIX + fingerprint()
    with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])  # until this connection ends
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{PREFIX}%"])
        there = {found for (found,) in cursor.fetchall()}
        if original not in there:
            for old in there:
                cursor.execute(f'DROP DATABASE "{old}" WITH (FORCE)')
            making = f"{PREFIX}making"
            cursor.execute(f'CREATE DATABASE "{making}"')
            _migrate(making)
            cursor.execute(f'ALTER DATABASE "{making}" RENAME TO "{original}"')
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{original}"')
    return lambda: _drop(name)


def _drop(name: str) -> None:
    with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
