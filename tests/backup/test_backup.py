"""Backups are whole or refused, hold no key, and are restored only where they can be read."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from deploy.backup import __main__ as command
from deploy.backup import keeping
from deploy.backup.stores import Sqlite, Trouble, store_of

KEY = "dGhpcyBpcyBhIGtleSBmb3IgdGVzdHMgb25seSEhISE="


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """An installation's data: a database in use, an uploaded file, the audit heads, its keys."""
    folder = tmp_path / "var"
    (folder / "vouchers").mkdir(parents=True)
    (folder / "vouchers" / "v1.pdf").write_bytes(b"%PDF-voucher")
    (folder / "audit-heads.log").write_text('{"seq": 1}\n')
    (folder / "secrets.json").write_text(json.dumps({"encryption_keys": [KEY]}))
    with sqlite3.connect(folder / "paycenter.sqlite3") as database:
        database.execute("CREATE TABLE paid (amount INTEGER)")
        database.execute("INSERT INTO paid VALUES (1234)")
    return folder


@pytest.fixture
def here(var: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PAYCENTER_VAR", str(var))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("PAYCENTER_ENCRYPTION_KEYS", raising=False)
    monkeypatch.setattr(command, "VERIFY", ())
    return var


def amounts(path: Path) -> list[int]:
    with sqlite3.connect(path) as database:
        return [amount for (amount,) in database.execute("SELECT amount FROM paid")]


def taken(here: Path) -> Path:
    assert command.main(["take", str(here.parent / "backups")]) == 0
    (folder,) = (here.parent / "backups").iterdir()
    return folder


def test_what_was_lost_comes_back(here: Path) -> None:
    folder = taken(here)
    with sqlite3.connect(here / "paycenter.sqlite3") as database:
        database.execute("DELETE FROM paid")
    (here / "vouchers" / "v1.pdf").unlink()
    (here / "audit-heads.log").write_text('{"seq": 1}\n{"seq": 9}\n')
    assert command.main(["restore", str(folder)]) == 1  # it would destroy something
    assert amounts(here / "paycenter.sqlite3") == []
    assert command.main(["restore", str(folder), "--replace"]) == 0
    assert amounts(here / "paycenter.sqlite3") == [1234]
    assert (here / "vouchers" / "v1.pdf").read_bytes() == b"%PDF-voucher"
    assert (here / "audit-heads.log").read_text() == '{"seq": 1}\n'
    (aside,) = here.glob("audit-heads.2*.log")
    assert '{"seq": 9}' in aside.read_text()


def test_no_key_is_in_it_and_nobody_else_reads_it(here: Path) -> None:
    folder = taken(here)
    for path in folder.iterdir():
        assert KEY.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with tarfile.open(folder / keeping.ARCHIVE) as archive:
        assert "secrets.json" not in archive.getnames()


@pytest.mark.parametrize("part", [keeping.DATABASE, keeping.ARCHIVE, keeping.MANIFEST])
def test_a_damaged_backup_is_refused_before_anything_is_touched(here: Path, part: str) -> None:
    folder = taken(here)
    (folder / part).write_bytes((folder / part).read_bytes()[:-3])
    assert command.main(["check", str(folder)]) == 1
    assert command.main(["restore", str(folder), "--replace"]) == 1
    assert amounts(here / "paycenter.sqlite3") == [1234]


def test_without_its_keys_it_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = taken(here)
    assert command.main(["check", str(folder)]) == 0
    monkeypatch.setenv("PAYCENTER_ENCRYPTION_KEYS", "another")
    assert command.main(["check", str(folder)]) == 1
    assert command.main(["restore", str(folder), "--replace"]) == 1
    assert "PAYCENTER_ENCRYPTION_KEYS lacks 1 keys" in capsys.readouterr().err
    monkeypatch.setenv("PAYCENTER_ENCRYPTION_KEYS", f"a-newer-one,{KEY}")
    assert command.main(["restore", str(folder), "--replace"]) == 0


def test_another_kind_of_database_is_refused(here: Path) -> None:
    backup = keeping.load(taken(here))
    backup.manifest["database"] = "postgresql"
    with pytest.raises(Trouble, match="is of postgresql"):
        keeping.restore(backup, Sqlite(here / "x.sqlite3"), here, keys=[KEY], replace=True)


def test_a_password_is_never_said() -> None:
    store = store_of("postgres://somebody:topsecret@127.0.0.1:1/nothing")
    with pytest.raises(Trouble) as found:
        store.is_empty()
    assert "topsecret" not in str(found.value)
    assert "failed" in str(found.value)


@pytest.mark.parametrize(
    ("statuses", "expected"), [({}, 0), ({"doctor": 1}, 0), ({"doctor": 2}, 1), ({"verify_audit": 1}, 1)]
)
def test_what_was_restored_is_well_unless_a_command_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, statuses: dict[str, int], expected: int
) -> None:
    """The doctor is not asked about workers, which nobody has started yet; a warning of it is no failure."""
    asked = []

    def run(given: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        asked.append(given[2:])
        return subprocess.CompletedProcess(given, statuses.get(given[2], 0))

    monkeypatch.setattr(command.subprocess, "run", run)
    assert command.main(["verify"]) == expected
    assert [one[0] for one in asked] == ["verify_audit", "verify_sums", "after_restore", "doctor"]
    assert "--only=broker" not in asked[-1]
    assert "--only=database" in asked[-1]
