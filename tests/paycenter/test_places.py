"""With several hosts, files that all of them have to find lie in a directory that all of them see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paycenter.audit import heads_path
from paycenter.staff.exports import exports_root
from paycenter.uploads import UploadFolder
from reconciliation.files import bills_root


def test_files_lie_in_the_shared_directory_where_there_is_one(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path / "own"
    for shared, root in (("", tmp_path / "own"), (str(tmp_path / "shared"), tmp_path / "shared")):
        settings.FILES_DIR = shared
        places = {exports_root(), bills_root(), UploadFolder("documents").root, heads_path()}
        assert places == {root / name for name in ("exports", "bills", "documents", "audit-heads.log")}
