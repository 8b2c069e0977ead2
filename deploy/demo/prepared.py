"""Whether the database has been prepared for this very code before, so that programs need not wait for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from deploy.demo import private
from deploy.demo.layout import ROOT, Layout


def fingerprint(layout: Layout, root: Path = ROOT) -> str:
    """Names a schema in a database: our migrations, the packages that bring their own, and where it is."""
    digest = hashlib.sha256(layout.database_url.encode())
    for path in [root / "requirements.txt", *sorted(root.glob("*/migrations/*.py"))]:
        digest.update(f"\n{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _record(layout: Layout) -> Path:
    return layout.var / "run" / "prepared"


def is_current(layout: Layout) -> bool:
    """True only where a finished preparation of the same schema is on record and its database is there."""
    if not layout.database_url and not (layout.var / "paycenter.sqlite3").exists():
        return False
    try:
        return layout.seeded.exists() and _record(layout).read_text() == fingerprint(layout)
    except OSError:
        return False


def remember(layout: Layout) -> None:
    """Call it when the preparation has succeeded."""
    private.write_text(_record(layout), fingerprint(layout))
