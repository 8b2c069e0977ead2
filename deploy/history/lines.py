"""Rows as the text COPY reads. Without Django: a process that does nothing else starts at once."""

from __future__ import annotations

import marshal
from typing import Any


def packed(rows: list[tuple[Any, ...]]) -> bytes:
    """Rows of texts, numbers and None on their way to another process; several times faster than pickle."""
    return marshal.dumps(rows)


def as_lines(table: str, rows: bytes, end: str) -> bytes:
    """A line per packed row, each with the same `end`; None is written as `None`.

    Raises ValueError, naming the table, where a value needs escaping.
    """
    text = "".join(["\t".join(map(str, row)) + end for row in marshal.loads(rows)])  # noqa: S302
    if "\\" in text:
        raise ValueError(f"a row of {table} needs escaping")
    return text.encode()
