"""Reading the documentation's own examples, so that tests run what readers copy."""

from __future__ import annotations

import re

from deploy.demo.layout import ROOT

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """Every fenced block of one language, in order."""
    return [text for kind, text in _BLOCK.findall(page(name)) if kind == language]
