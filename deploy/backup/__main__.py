"""`python -m deploy.backup take|check|restore …`: see docs/backup.md. Exit status 0, or 1 with the reason.

Reads DATABASE_URL, PAYCENTER_VAR, PAYCENTER_FILES and PAYCENTER_ENCRYPTION_KEYS, as the center does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from deploy.backup import keeping
from deploy.backup.stores import Store, Trouble, store_of
from deploy.demo.layout import ROOT

# After a restore, in this order; each says itself what is wrong.
VERIFY = (["verify_audit"], ["verify_sums"], ["after_restore"], ["doctor", "--offline", "--quiet"])


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
    for act, argument, about in (
        (_take, "into", "make a backup in a new folder below INTO"),
        (_check, "folder", "whether a backup is whole and its keys are here"),
        (_restore, "folder", "put a backup in place; stop every program first"),
    ):
        one = acts.add_parser(act.__name__.lstrip("_"), help=about)
        one.add_argument(argument, type=Path)
        one.set_defaults(act=act)
        if act is _restore:
            one.add_argument("--replace", action="store_true", help="destroy what the database holds now")
    return parser


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
    worst = 0
    for command in VERIFY:
        print(f"\n$ manage.py {' '.join(command)}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=False).returncode)
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
