"""A copy of PostgreSQL's files and the log it has archived since: from both, a data directory as of any moment."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from deploy.backup.stores import Postgres, Trouble, run_program

DATA, MANIFEST = "data", "copy.json"


def copy(store: Postgres, into: Path) -> Path:
    """Copy the server's files into a new folder below `into` while it goes on working. Raises Trouble, OSError."""
    folder = into / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(mode=0o700)
    store.copy_files(folder / DATA)
    ended = {"ended_at": datetime.now(UTC).isoformat(timespec="seconds")}
    (folder / MANIFEST).write_text(json.dumps(ended) + "\n", encoding="utf-8")  # last: a folder that has it is complete
    return folder


def recover(folder: Path, wal: Path, moment: datetime | None, data: Path) -> None:
    """Make the data directory `data`, which PostgreSQL, once started on it, brings to `moment`, or as far as the log in
    `wal` reaches. Raises Trouble before anything is written, OSError.
    """
    ended = _ended(folder)
    if moment is not None and moment < ended:
        raise Trouble(f"{folder} was complete at {ended.isoformat()}, after that moment: take an earlier copy")
    if data.exists() and any(data.iterdir()):
        raise Trouble(f"{data} is not empty: put it aside, the log it holds may be the newest there is")
    run_program("pg_verifybackup", "--quiet", str(folder / DATA))
    shutil.copytree(folder / DATA, data, dirs_exist_ok=True)
    data.chmod(0o700)
    with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        for name, value in _settings(wal, moment):
            quoted = value.replace("'", "''")
            file.write(f"{name} = '{quoted}'\n")
    (data / "recovery.signal").touch()


def _settings(wal: Path, moment: datetime | None) -> Iterable[tuple[str, str]]:
    yield "restore_command", f"cp {shlex.quote(str(wal.absolute()))}/%f %p"
    if moment is not None:
        yield "recovery_target_time", moment.isoformat(sep=" ")
        yield "recovery_target_action", "promote"


def _ended(folder: Path) -> datetime:
    try:
        return datetime.fromisoformat(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["ended_at"])
    except (OSError, ValueError, KeyError) as exc:
        raise Trouble(f"{folder} is no complete copy ({type(exc).__name__}: {exc})") from exc


def heads_until(heads: Path, moment: datetime) -> int:
    """Put the noted audit heads aside under another name and keep those until `moment`; how many were left out.

    The restored chain is shorter than what was noted since. Raises OSError, Trouble.
    """
    if not heads.exists():
        return 0
    lines = heads.read_text(encoding="ascii", errors="replace").splitlines(keepends=True)
    try:
        kept = [line for line in lines if datetime.fromisoformat(json.loads(line)["time"]) <= moment]
    except (ValueError, KeyError, TypeError) as exc:
        raise Trouble(f"{heads} has a line that cannot be read: put aside by hand what was noted later") from exc
    put_aside(heads)
    heads.write_text("".join(kept), encoding="ascii")
    return len(lines) - len(kept)


def put_aside(heads: Path) -> None:
    """Under a name with the time; nothing where there are none."""
    if heads.exists():
        heads.rename(heads.with_name(f"{heads.stem}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}{heads.suffix}"))
