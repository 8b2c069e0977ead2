"""`python -m deploy.backup take|check|restore|copy|recover|verify …`: see docs/backup.md. Exit status 0, or 1 with why.

Reads DATABASE_URL, PAYCENTER_VAR, PAYCENTER_FILES and PAYCENTER_ENCRYPTION_KEYS, as the center does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from deploy.backup import keeping, moments
from deploy.backup.stores import Postgres, Store, Trouble, store_of
from deploy.demo.layout import ROOT

Act = Callable[[argparse.Namespace], int]
# What the doctor can ask before anything runs: no worker and no beat is heard of yet.
_ASLEEP = [f"--only={name}" for name in ("configuration", "machine", "database", "postgres", "clocks", "keys", "redis")]
# After a restore, in this order; each says itself what is wrong.
VERIFY = (["verify_audit"], ["verify_sums"], ["after_restore"], ["doctor", "--quiet", *_ASLEEP])
_WARNINGS = 1  # the doctor's exit status where there is nothing worse


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.act(options))
    except (Trouble, OSError) as exc:
        print(exc, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.backup", description=__doc__)
    acts = parser.add_subparsers(required=True)

    def act(do: Act, about: str, argument: str = "") -> argparse.ArgumentParser:
        one = acts.add_parser(do.__name__.lstrip("_"), help=about)
        one.set_defaults(act=do)
        if argument:
            one.add_argument(argument, type=Path)
        return one

    act(_take, "make a backup in a new folder below INTO", "into")
    act(_check, "whether a backup is whole and its keys are here", "folder")
    restore = act(_restore, "put a backup in place; stop every program first", "folder")
    restore.add_argument("--replace", action="store_true", help="destroy what the database holds now")
    act(_copy, "copy PostgreSQL's files into a new folder below INTO, for `recover`", "into")
    recover = act(_recover, "make a data directory as of a moment, of a copy and the archived log", "folder")
    recover.add_argument("--wal", type=Path, required=True, help="where archive_command puts the log")
    recover.add_argument("--data", type=Path, required=True, help="PostgreSQL's new data directory")
    recover.add_argument("--to", type=_moment, help="for example 2026-11-26T17:59:00+08:00; as far as possible without")
    act(_verify, "whether what was restored is whole and the center can go on with it")
    return parser


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("say the zone too, for example +08:00")
    return moment


def _var() -> Path:
    return Path(os.environ.get("PAYCENTER_VAR") or ROOT / "var").absolute()


def _files() -> Path:
    """Where all hosts keep what belongs to the database, if they have such a directory."""
    return Path(os.environ.get("PAYCENTER_FILES") or _var()).absolute()


def _store() -> Store:
    return store_of(os.environ.get("DATABASE_URL") or f"sqlite://{_var() / 'paycenter.sqlite3'}")


def _keys() -> list[str]:
    given = os.environ.get("PAYCENTER_ENCRYPTION_KEYS", "")
    if given:
        return given.split(",")
    secrets = _var() / "secrets.json"  # of an embedded installation
    return list(json.loads(secrets.read_text())["encryption_keys"]) if secrets.exists() else []


def _take(options: argparse.Namespace) -> int:
    backup = keeping.take(_store(), _files(), options.into, _keys())
    size = sum(part["bytes"] for part in backup.manifest["parts"].values())
    print(f"{backup.folder}: {size} bytes. The encryption keys are not in it: keep them elsewhere.")
    return 0


def _check(options: argparse.Namespace) -> int:
    backup = keeping.load(options.folder)
    absent = keeping.missing_keys(backup, _keys())
    print(f"whole, made {backup.manifest['begun_at']}; {len(absent)} of its keys are not here")
    return 1 if absent else 0


def _restore(options: argparse.Namespace) -> int:
    backup = keeping.load(options.folder)
    keeping.restore(backup, _store(), _files(), keys=_keys(), replace=options.replace)
    print(f"restored what was there at {backup.manifest['begun_at']}; verifying ...", flush=True)
    return _verify(options)


def _copy(options: argparse.Namespace) -> int:
    store = _store()
    if not isinstance(store, Postgres):
        raise Trouble("only PostgreSQL has a log to go on from; `take` copies SQLite")
    print(f"{moments.copy(store, options.into)}: keep every file of the log archived since with it")
    return 0


def _recover(options: argparse.Namespace) -> int:
    moments.recover(options.folder, options.wal, options.to, options.data)
    left = moments.heads_until(_files() / keeping.HEADS, options.to) if options.to else 0
    print(f"{options.data} is made; {left} audit heads noted later were put aside. Start PostgreSQL on it; when"
          " `SELECT pg_is_in_recovery()` says f: python -m deploy.backup verify")  # fmt: skip
    return 0


def _verify(_options: argparse.Namespace) -> int:
    failed = False
    for command in VERIFY:
        print(f"\n$ manage.py {' '.join(command)}", flush=True)
        status = subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=False).returncode
        failed |= status != 0 and not (command[0] == "doctor" and status == _WARNINGS)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
