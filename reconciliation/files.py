"""Where bills are kept as they came: below `files_dir()/bills`, which no web server shows, named by their hash."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paycenter.places import files_dir

_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file that was put away. `path` is relative to the root."""

    path: str
    sha256: str
    size: int


def bills_root() -> Path:
    return files_dir() / "bills"


def bill_path(relative: str) -> Path:
    """The file of a bill. Raises ValueError for a path that leads out of the root."""
    root = bills_root().resolve()
    found = (root / relative).resolve()
    if not found.is_relative_to(root):
        raise ValueError("not a bill's file")
    return found


@contextmanager
def scratch_file() -> Iterator[Path]:
    """A private place for a file on its way in, on the same file system; gone afterwards unless it was kept."""
    root = bills_root() / "incoming"
    root.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=root)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def write_blocks(blocks: Iterable[bytes], into: Path, *, limit: int) -> None:
    """Write an upload. Raises ValueError above `limit` bytes."""
    size = 0
    with into.open("wb") as out:
        for block in blocks:
            size += len(block)
            if size > limit:
                raise ValueError("the file is larger than allowed")
            out.write(block)


def keep(source: Path, *, payment_no: str, day: str, name: str) -> KeptFile:
    """Put a complete file away under its hash; the same file again is the same place."""
    digest = file_hash(source)
    relative = f"{payment_no}/{day}/{digest[:16]}-{_plain(name)}"
    target = bill_path(relative)
    target.parent.mkdir(parents=True, exist_ok=True)
    size = source.stat().st_size
    os.chmod(source, 0o400)
    os.replace(source, target)
    return KeptFile(relative, digest, size)


def file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _plain(name: str) -> str:
    """The channel's or the uploader's file name, as far as it is harmless."""
    return re.sub(r"[^0-9A-Za-z._-]", "_", Path(name).name)[-80:].lstrip(".") or "bill"
