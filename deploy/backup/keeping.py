"""A backup is a folder: the database, the files, and a manifest by which both are known to be whole."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.backup.moments import put_aside
from deploy.backup.stores import Store, Trouble

# What is kept below PAYCENTER_FILES, or PAYCENTER_VAR without it, beside the database. Not secrets.json: keys are kept
# apart from what they open.
HEADS = "audit-heads.log"
FILES = ("bills", "vouchers", "application-documents", HEADS)
DATABASE, ARCHIVE, MANIFEST = "database.dump", "files.tar.gz", "manifest.json"
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup that was found whole."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def database(self) -> Path:
        return self.folder / DATABASE

    @property
    def archive(self) -> Path:
        return self.folder / ARCHIVE


def take(store: Store, var: Path, into: Path, keys: Sequence[str]) -> Backup:
    """Make a backup in a new folder below `into`, readable by this user only. Raises Trouble, OSError.

    The database first: a file is written before the row that names it is committed, so that afterwards every file a row
    in the copy names is there to be copied.
    """
    begun = datetime.now(UTC)
    folder = into / begun.strftime("%Y%m%dT%H%M%SZ")
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        raise Trouble(f"{folder} is there already") from None
    store.dump(folder / DATABASE)
    with tarfile.open(folder / ARCHIVE, "w:gz", compresslevel=3) as archive:
        for name in FILES:
            if (var / name).exists():
                archive.add(var / name, arcname=name)
    manifest = {
        "begun_at": begun.isoformat(timespec="seconds"), "database": store.kind, "keys": fingerprints(keys),
        "parts": {name: _described(folder / name) for name in (DATABASE, ARCHIVE)},
    }  # fmt: skip
    scratch = folder / f".{MANIFEST}"
    scratch.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    for path in (folder / DATABASE, folder / ARCHIVE, scratch):
        path.chmod(0o600)
        _flush(path)
    scratch.rename(folder / MANIFEST)  # last: a folder with a manifest is complete
    return Backup(folder, manifest)


def load(folder: Path) -> Backup:
    """A backup as it was made. Raises Trouble where a part is missing or has changed."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, wanted in manifest["parts"].items():
            if _described(folder / name) != wanted:
                raise Trouble(f"{folder / name} is not what was written: the backup is damaged")
    except (OSError, ValueError, KeyError) as exc:
        raise Trouble(f"{folder} is no complete backup ({type(exc).__name__}: {exc})") from exc
    return Backup(folder, manifest)


def fingerprints(keys: Sequence[str]) -> list[str]:
    """By which a key is recognised without being kept."""
    return [hashlib.sha256(b"paycenter-backup:" + key.encode()).hexdigest()[:16] for key in keys if key]


def missing_keys(backup: Backup, keys: Sequence[str]) -> list[str]:
    """Fingerprints of keys that were in use when it was made and are not among `keys`."""
    have = set(fingerprints(keys))
    return [one for one in backup.manifest["keys"] if one not in have]


def restore(backup: Backup, store: Store, var: Path, *, keys: Sequence[str], replace: bool) -> None:
    """Put database and files back. Raises Trouble before anything is touched where it cannot be done.

    Files that are there stay, unless the backup has one of that name: they are named by their content. The audit heads
    noted since are put aside, for the restored chain is shorter.
    """
    if backup.manifest["database"] != store.kind:
        raise Trouble(f"the backup is of {backup.manifest['database']}, DATABASE_URL leads to {store.kind}")
    if absent := missing_keys(backup, keys):
        raise Trouble(
            f"PAYCENTER_ENCRYPTION_KEYS lacks {len(absent)} keys that were in use (fingerprints {', '.join(absent)});"
            " without them no account's parameters and no app's secret can be read"
        )
    if not replace and not store.is_empty():
        raise Trouble("the database is not empty; say --replace to destroy what is in it")
    store.load(backup.database)
    var.mkdir(parents=True, exist_ok=True)
    put_aside(var / HEADS)
    with tarfile.open(backup.archive) as archive:
        archive.extractall(var, filter="data")


def _described(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _flush(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
