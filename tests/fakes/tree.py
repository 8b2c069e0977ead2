"""A copy of the project's source, to which a test adds files as a developer would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.layout import ROOT
from tests import prepared

_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", "node_modules", ".hypothesis")


@dataclass(frozen=True, slots=True)
class Tree:
    root: Path

    @classmethod
    def copied_to(cls, root: Path) -> Tree:
        shutil.copytree(ROOT, root, ignore=_LEFT_OUT)
        return cls(root)

    def files(self) -> dict[str, bytes]:
        """Every file of the source by its path; caches left out."""
        found = (p for p in self.root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return {str(p.relative_to(self.root)): p.read_bytes() for p in found}

    def run(self, *arguments: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Python in the copy, on the embedded database whatever this run uses, with a scratch directory beside it."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "DJANGO_", "PAYCENTER_"))}
        for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"):
            kept.pop(name, None)
        environment = {
            **kept, "PAYCENTER_VAR": f"{self.root}-var", "PAYCENTER_MIGRATED": str(prepared.KEPT),
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.root, env=environment, capture_output=True, text=True,
            timeout=seconds, check=False,
        )  # fmt: skip

    def pytest(self, *arguments: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        plain = ("-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line", "--color=no")
        return self.run("-m", "pytest", *plain, *arguments, seconds=seconds)
