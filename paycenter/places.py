"""Where files are kept that several hosts have to find."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def files_dir() -> Path:
    """Of bills, exports, documents and noted audit heads: what all hosts see, else the own data directory."""
    return Path(settings.FILES_DIR or settings.VAR_DIR)
