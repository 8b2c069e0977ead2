"""The doctor finds what is planted, says what to do, changes nothing, tells no secret, and works with parts down."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cashier.intake.stream import Facts
from deploy.checks.services import free_port
from merchants.models import AppKey, PaymentAccount
from paycenter import heartbeats
from paycenter.doctor import broker, clocks, configuration, database, machine, secrets
from paycenter.doctor.examination import CHECKS, examine, exit_status
from paycenter.doctor.finding import Finding, Level, error, ok, warning
from paycenter.models import AuditVerification, Heartbeat
from trades.models import Trade

pytestmark = pytest.mark.usefixtures("in_english")
SECRET = "Zq7-very-secret-9xK"


def codes(found: Iterator[Finding], level: Level = Level.WARNING) -> set[str]:
    return {one.code for one in found if one.level >= level}


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("doctor", *arguments, stdout=out)
    except SystemExit as exc:
        return int(exc.code or 0), out.getvalue()
    return 0, out.getvalue()


# ---- the command ------------------------------------------------------------------------------
def test_a_sound_installation_has_no_findings_beyond_its_programs(world: Any) -> None:
    heartbeats.heartbeat_note(part="worker", name="celery@a")
    heartbeats.heartbeat_note(part="beat", name="a")
    status, text = run("--json", "--language", "en", "--only", "database", "--only", "keys", "--only", "broker",
                       "--only", "clocks", "--only", "channels")  # fmt: skip
    found = json.loads(text)
    bad = [one for one in found["findings"] if one["level"] in ("warning", "error")]
    assert (status, found["status"], bad) == (0, 0, [])
    assert {"keys.accounts", "broker.worker", "database.schema"} <= {one["code"] for one in found["findings"]}


def test_the_exit_status_tells_how_bad_it_is() -> None:
    assert exit_status([ok("a.b", "x")]) == 0
    assert exit_status([ok("a.b", "x"), warning("a.b", "x", "y")]) == 1
    assert exit_status([error("a.b", "x", "y"), warning("a.b", "x", "y")]) == 2


def test_lines_say_what_to_do(db: None) -> None:
    status, text = run("--only", "broker", "--language", "en", "--quiet")
    assert status == 2
    assert "✗ No worker was heard of for a day or longer." in text
    assert "→ Start one: celery --app paycenter.celery worker" in text
    assert "✓" not in text


def test_every_trouble_has_an_advice(world: Any, settings: Any) -> None:
    settings.MODE, settings.TRUSTED_PROXIES, settings.EGRESS_ALLOWED = "production", ["0.0.0.0/0"], ["10.0.0.0/8"]
    every = [one for _name, found in examine([name for name in CHECKS if name != "channels"]) for one in found]
    assert len(every) > 10
    assert [one.code for one in every if one.level >= Level.WARNING and not one.advice] == []


def test_it_only_reads(world: Any) -> None:
    with CaptureQueriesContext(connection) as seen:
        list(examine(list(CHECKS)))
    words = {query["sql"].lstrip().split(None, 1)[0].upper() for query in seen.captured_queries}
    assert words <= {"SELECT", "PRAGMA", "SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "DECLARE"}


# ---- parts that are down ------------------------------------------------------------------------
def test_without_the_database_the_rest_is_examined(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def down() -> None:
        raise OperationalError(f"connection to 10.0.0.5 failed: password={SECRET}")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", down)
        status, text = run("--json", "--offline")
    found = {one["code"]: one for one in json.loads(text)["findings"]}
    assert status == 2
    assert found["database.reachable"]["level"] == "error"
    assert {"configuration.mode", "storage.disk", "broker.reachable"} <= set(found)
    assert not {code for code in found if code.startswith("keys.")}
    assert SECRET not in text


def test_without_redis(settings: Any) -> None:
    settings.REDIS_URL = f"redis://:{SECRET}@127.0.0.1:{free_port()}/0"
    (found,) = broker.redis_server()
    assert (found.code, found.level) == ("redis.reachable", Level.ERROR)
    assert SECRET not in found.text


def test_a_check_that_breaks_is_a_finding(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Finding]:
        yield ok("x.y", "fine so far")
        raise RuntimeError(f"secret={SECRET}")

    monkeypatch.setitem(CHECKS, "machine", ("Machine", broken))  # type: ignore[arg-type]
    ((_name, found),) = examine(["machine"])
    assert [one.code for one in found] == ["x.y", "machine.examined"]
    assert SECRET not in found[1].text


# ---- configuration ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"DEBUG": True}, "configuration.debug"),
        ({"ALLOWED_HOSTS": ["*"]}, "configuration.allowed_hosts"),
        ({"SECRET_KEY": "short"}, "configuration.secret_key"),
        ({"ENCRYPTION_KEYS": []}, "configuration.encryption_keys"),
        ({"PUBLIC_BASE_URL": "http://pay.example.com"}, "configuration.public_url"),
        ({"PUBLIC_BASE_URL": "https://10.1.2.3"}, "configuration.public_url_private"),
        ({"TRUSTED_PROXIES": []}, "configuration.trusted_proxies"),
        ({"TRUSTED_PROXIES": ["0.0.0.0/0"]}, "configuration.networks"),
        ({"INTERNAL_NETWORKS": ["ten"]}, "configuration.networks"),
        ({"EGRESS_ALLOWED": ["10.0.0.0/8"]}, "configuration.egress"),
        ({"REDIS_URL": ""}, "configuration.redis"),
        ({"CELERY_BROKER_URL": "memory://"}, "configuration.broker"),
        ({"EMAIL_HOST": ""}, "configuration.mail"),
        ({"EMAIL_USE_SSL": True, "EMAIL_USE_TLS": True}, "configuration.mail"),
        ({"EMAIL_HOST_PASSWORD": "x", "EMAIL_USE_SSL": False, "EMAIL_USE_TLS": False}, "configuration.mail_open"),
    ],
)
def test_what_is_unsafe_in_production_is_found(
    settings: Any, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], code: str
) -> None:
    monkeypatch.setattr(configuration, "_django", lambda: iter(()))
    monkeypatch.setattr(configuration.os, "environ", {})
    sound = {
        "MODE": "production", "ALLOWED_HOSTS": ["pay.example.com"], "PUBLIC_BASE_URL": "https://pay.example.com",
        "STAFF_BASE_URL": "https://staff.example.com", "TRUSTED_PROXIES": ["10.0.0.1"], "EGRESS_ALLOWED": [],
        "INTERNAL_NETWORKS": ["10.0.0.0/8"], "REDIS_URL": "redis://x", "CELERY_BROKER_URL": "redis://x",
        "EMAIL_HOST": "mail.example.com", "EMAIL_USE_SSL": True, "EMAIL_USE_TLS": False,
        "DEFAULT_FROM_EMAIL": "pay@example.com", "SECRET_KEY": "k" * 60, "DEBUG": False,
    }  # fmt: skip
    for name, value in sound.items():
        setattr(settings, name, value)
    assert codes(configuration.configuration()) - {"configuration.database"} == set()
    for name, value in values.items():
        setattr(settings, name, value)
    assert code in codes(configuration.configuration())


def test_a_misspelt_setting_is_named() -> None:
    (found,) = configuration._unknown_names({"PAYCENTER_PUBLC_URL": SECRET, "PAYCENTER_PUBLIC_URL": "x", "PATH": ""})
    assert "PAYCENTER_PUBLC_URL" in found.text
    assert SECRET not in found.text


# ---- machine ------------------------------------------------------------------------------------
def test_folders_that_others_read_or_the_web_serves(settings: Any, tmp_path: Path) -> None:
    served = tmp_path / "static"
    settings.MODE, settings.VAR_DIR, settings.STATIC_ROOT = "production", str(served / "var"), served
    folder = served / "var" / "bills"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    (folder.parent / "secrets.json").touch(0o644)
    assert {"storage.private", "storage.web_root", "storage.secrets"} <= codes(machine.machine())


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(free: int) -> Callable[[Any], Any]:
        return lambda _path: type("Usage", (), {"total": 100 * 1024**3, "used": 0, "free": free})

    for free, level in ((500 * 1024**2, Level.ERROR), (4 * 1024**3, Level.WARNING), (50 * 1024**3, Level.OK)):
        monkeypatch.setattr(machine.shutil, "disk_usage", usage(free))
        (found,) = machine._disk()
        assert found.level == level


# ---- clocks -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("offset", "level"), [(0.2, Level.OK), (-5, Level.WARNING), (120, Level.ERROR)])
def test_clocks_that_disagree(offset: float, level: Level) -> None:
    assert clocks.judged("clock.x", "x", offset).level == level


def test_a_date_header_is_good_to_its_second() -> None:
    assert clocks.judged("clock.x", "x", 1.9, precision=1.5).level == Level.OK


# ---- keys ---------------------------------------------------------------------------------------
def test_a_secret_that_no_key_opens_is_named_by_its_row(world: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE merchants_paymentaccount SET config = 'gAAAA-broken'")
    (found,) = secrets.secrets()
    assert (found.code, found.level) == ("keys.encryption", Level.ERROR)
    assert "merchants.PaymentAccount.config" in found.text
    assert str(world.account.pk) in found.text


def test_parameters_that_do_not_fit_are_named_without_their_values(world: Any) -> None:
    PaymentAccount.objects.update(config={"secret": SECRET, "surplus": SECRET})
    found = list(secrets.secrets())
    assert codes(iter(found)) == {"keys.parameters"}
    text = " ".join(one.text for one in found)
    assert world.account.payment_no in text
    assert "surplus" in text
    assert SECRET not in text


def test_a_channel_that_is_gone_and_an_app_without_a_key(world: Any) -> None:
    PaymentAccount.objects.update(channel="nowhere")
    AppKey.objects.all().delete()
    assert codes(secrets.secrets()) == {"keys.channel", "keys.app"}


def test_a_public_key_that_cannot_be_read(world: Any) -> None:
    AppKey.objects.create(app=world.app, kind=AppKey.Kind.RSA, value="not a key")
    assert codes(secrets.secrets()) == {"keys.app"}


# ---- broker and programs ------------------------------------------------------------------------
def test_programs_that_went_silent(db: None) -> None:
    now = timezone.now()
    heartbeats.heartbeat_note(part="worker", name="celery@a")
    Heartbeat.objects.create(part="worker", name="celery@b", beaten_at=now - timedelta(minutes=10))
    Heartbeat.objects.create(part="beat", name="c", beaten_at=now - timedelta(minutes=2))
    found = {one.code: one for one in broker.heartbeats(timezone.now())}
    assert found["broker.worker"].level == Level.OK
    assert "celery@b" in found["broker.worker_gone"].text
    assert found["broker.beat"].level == Level.ERROR


def test_redis_that_may_drop_tasks() -> None:
    assert codes(broker._redis_policy("allkeys-lru", 1), Level.ERROR) == {"redis.policy"}
    assert codes(broker._redis_policy("allkeys-lru", 0)) == {"redis.policy"}
    assert codes(broker._redis_policy("noeviction", 1)) == set()


@pytest.mark.skipif(not os.environ.get("REDIS_URL"), reason="needs Redis")
def test_a_real_redis_is_read() -> None:
    found = {one.code: one.level for one in broker.redis_server()}
    assert found["redis.reachable"] == Level.OK
    assert found["redis.policy"] == Level.OK
    assert "redis.aof" in found


def test_a_stream_of_orders_that_nobody_writes(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is a note otherwise is an error while Redis holds something that is nowhere else."""
    empties_on_restart = {"aof_enabled": 0}.get
    assert codes(broker._redis_durability(empties_on_restart)) == set()
    settings.ORDER_STREAM = "on"
    assert codes(broker._redis_durability(empties_on_restart), Level.ERROR) == {"redis.aof"}
    bad = Level.ERROR
    for waits, level in ((Facts(2, 1.0, 0), Level.OK), (Facts(2, 99.0, 0), bad), (Facts(0, 0.0, 1), bad)):
        monkeypatch.setattr(broker, "facts", lambda found=waits: found)
        (found,) = broker._order_stream()
        assert found.level == level


# ---- database -----------------------------------------------------------------------------------
def test_an_index_and_a_trigger_that_are_missing(db: None) -> None:
    name = Trade._meta.indexes[0].name
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {name}")
        suffix = " ON paycenter_event" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER paycenter_event_no_delete{suffix}")
    found = {one.code: one.text for one in database.database() if one.level == Level.ERROR}
    assert name in found["database.schema"]
    assert "paycenter_event_no_delete" in found["database.triggers"]


def test_a_migration_that_is_missing_and_one_too_many(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'paycenter' AND name LIKE '%_heartbeat'")
        cursor.execute("UPDATE django_migrations SET name = '9999_later' WHERE app = 'axes' AND name = '0001_initial'")
    found = {one.code: one.text for one in database.database()}
    assert "_heartbeat" in found["database.migrations"]
    assert "axes.9999_later" in found["database.ahead"]


def test_a_chain_that_did_not_hold(db: None) -> None:
    now = timezone.now()
    AuditVerification.objects.create(started_at=now, finished_at=now, by="x", ok=False, problem="event 7 was altered")
    found = {one.code: one for one in database.database()}
    assert found["audit.verified"].level == Level.ERROR
    assert "event 7" in found["audit.verified"].text


@pytest.mark.postgres
def test_what_postgresql_itself_knows(db: None) -> None:
    from paycenter.doctor import postgres

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE trades_trade ADD CONSTRAINT later CHECK (amount > 0) NOT VALID")
    found = {one.code: one for one in postgres.postgres()}
    assert "later" in found["postgres.constraint"].text
    assert found["postgres.durability"].level == Level.ERROR  # the tests' server gives durability up
    assert {"postgres.version", "postgres.connections", "postgres.archive"} <= set(found)
    assert not {"postgres.questions", "postgres.autovacuum", "postgres.index", "postgres.jit"} & set(found)


@pytest.mark.postgres
def test_sessions_that_compile_statements_are_told_of(db: None) -> None:
    from paycenter.doctor import postgres

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = on")
        cursor.execute("SELECT pg_jit_available()")
        ((compiles,),) = cursor.fetchall()  # a server may have been built without it
    found = {one.code: one.level for one in postgres.postgres()}
    assert found.get("postgres.jit") == (Level.WARNING if compiles else None)


@pytest.mark.postgres
def test_the_databases_clock_is_compared(db: None) -> None:
    found = {one.code: one.level for one in clocks.clocks()}
    assert found["clock.database"] == Level.OK
