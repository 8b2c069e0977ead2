"""Back to a moment: what PostgreSQL is told, what is refused before anything is written, which audit heads stay.

That it really gets there is shown by `make hosts`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.backup import __main__ as command
from deploy.backup import moments

NOON, LATER = "2026-11-26T12:00:00+00:00", "2026-11-26T12:59:00+00:00"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A complete copy in `copy`, and an installation's files with an audit head of before and one of after."""
    monkeypatch.setenv("PAYCENTER_FILES", str(tmp_path / "files"))
    monkeypatch.setattr(moments, "run_program", lambda *_given: "")
    (tmp_path / "copy" / "data").mkdir(parents=True)
    (tmp_path / "copy" / "data" / "PG_VERSION").write_text("15\n")
    (tmp_path / "copy" / "copy.json").write_text(json.dumps({"ended_at": NOON}))
    (tmp_path / "files").mkdir()
    heads = ({"seq": 1, "hash": "a", "time": NOON}, {"seq": 9, "hash": "b", "time": "2026-11-26T13:00:00+00:00"})
    (tmp_path / "files" / "audit-heads.log").write_text("".join(json.dumps(head) + "\n" for head in heads))
    return tmp_path


def recover(files: Path, *more: str) -> int:
    given = ["--wal", str(files / "it's wal"), "--data", str(files / "data"), *more]
    return command.main(["recover", str(files / "copy"), *given])


def test_postgresql_is_told_where_the_log_is_and_when_to_stop(files: Path) -> None:
    assert recover(files, "--to", LATER) == 0
    said = (files / "data" / "postgresql.auto.conf").read_text().splitlines()
    quoted = str(files / "it's wal").replace("'", "'\"'\"'")
    assert said[0] == "restore_command = '{}'".format(f"cp '{quoted}'/%f %p".replace("'", "''"))
    assert said[1:] == ["recovery_target_time = '2026-11-26 12:59:00+00:00'", "recovery_target_action = 'promote'"]
    assert (files / "data" / "recovery.signal").exists()
    assert (files / "data" / "PG_VERSION").exists()
    assert (files / "copy" / "data" / "PG_VERSION").exists(), "the copy stays for another try"


def test_heads_noted_after_the_moment_are_put_aside(files: Path) -> None:
    assert recover(files, "--to", LATER) == 0
    heads = files / "files" / "audit-heads.log"
    assert [json.loads(line)["seq"] for line in heads.read_text().splitlines()] == [1]
    (aside,) = (files / "files").glob("audit-heads.2*.log")
    assert '"seq": 9' in aside.read_text()


def test_without_a_moment_the_log_is_followed_to_its_end(files: Path) -> None:
    assert recover(files) == 0
    assert "recovery_target" not in (files / "data" / "postgresql.auto.conf").read_text()
    assert len((files / "files" / "audit-heads.log").read_text().splitlines()) == 2


def test_what_cannot_be_reached_is_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert recover(files, "--to", "2026-11-26T11:59:59+00:00") == 1
    assert "take an earlier copy" in capsys.readouterr().err
    (files / "copy" / "copy.json").unlink()
    assert recover(files, "--to", LATER) == 1
    assert "no complete copy" in capsys.readouterr().err
    assert not (files / "data").exists()


def test_a_data_directory_in_use_is_not_touched(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "data").mkdir()
    (files / "data" / "PG_VERSION").write_text("in use")
    assert recover(files, "--to", LATER) == 1
    assert "is not empty" in capsys.readouterr().err
    assert (files / "data" / "PG_VERSION").read_text() == "in use"


def test_a_moment_without_a_zone_is_none(files: Path) -> None:
    with pytest.raises(SystemExit):
        recover(files, "--to", "2026-11-26T12:59:00")


def test_only_postgresql_is_copied_so(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert command.main(["copy", str(files / "copies")]) == 1
    assert not (files / "copies").exists()
