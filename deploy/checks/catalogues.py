"""Whether each compiled message catalogue (.mo) holds exactly what its source (.po) says."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

_LINE = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d+)\])?\s+)?(".*")\s*$')
_CONTEXT = "\x04"  # gettext joins context and message with it


def _entries(source: str) -> Iterator[dict[str, str]]:
    """Every live entry as {"msgid": …, "msgstr0": …}; obsolete (`#~`) and fuzzy ones are left out."""
    for block in re.split(r"\n\s*\n", source):
        lines = [line for line in block.splitlines() if line.strip()]
        if any(line.startswith("#,") and "fuzzy" in line for line in lines):
            continue
        entry: dict[str, str] = {}
        part = ""
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue
            if match.group(1):
                part = match.group(1) + (match.group(2) or ("0" if match.group(1) == "msgstr" else ""))
                entry[part] = ""
            entry[part] += ast.literal_eval(match.group(3))
        if "msgid" in entry:
            yield entry


def _expected(source: str) -> dict[str | tuple[str, int], str]:
    found: dict[str | tuple[str, int], str] = {}
    for entry in _entries(source):
        key = f"{entry['msgctxt']}{_CONTEXT}{entry['msgid']}" if "msgctxt" in entry else entry["msgid"]
        texts = {name: text for name, text in entry.items() if name.startswith("msgstr")}
        if not all(texts.values()) or not key:
            continue  # untranslated, or the header
        if "msgid_plural" in entry:
            found |= {(key, int(name.removeprefix("msgstr"))): text for name, text in texts.items()}
        else:
            found[key] = texts["msgstr0"]
    return found


def stale(root: Path) -> list[str]:
    """One sentence for every catalogue of the project or one of its apps that has to be compiled again."""
    problems = []
    for source in sorted([*root.glob("locale/**/*.po"), *root.glob("*/locale/**/*.po")]):
        compiled = source.with_suffix(".mo")
        if not compiled.exists():
            problems.append(f"{compiled} is missing")
            continue
        with compiled.open("rb") as handle:
            catalogue = gettext.GNUTranslations(handle)._catalog  # type: ignore[attr-defined]
        actual = {key: text for key, text in catalogue.items() if key}
        if actual != _expected(source.read_text(encoding="utf-8")):
            problems.append(f"{compiled} does not match {source.name}")
    return problems
