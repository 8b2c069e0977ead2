"""Rows as the text COPY reads. Without Django: a process that does nothing else starts at once.

What processes hand to each other is a file each: through pipes it would be copied twice more, in small pieces.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from deploy.history.clock import utc


def packed(rows: list[tuple[Any, ...]], folder: str) -> str:
    """A file of rows on their way to another process; several times faster than pickle. Rows are plain tuples."""
    return _filed(marshal.dumps(rows), folder)


def unpacked(file: str) -> list[tuple[Any, ...]]:
    """The rows again; their file is gone then."""
    content = Path(file).read_bytes()
    os.unlink(file)
    found: list[tuple[Any, ...]] = marshal.loads(content)  # noqa: S302 - from our own process
    return found


def plain_lines(table: str, rows: str, moments: Sequence[int], end: str) -> str:
    """A file of `as_lines` of packed rows whose values at `moments` are microseconds since 1970 or None."""
    return filed_lines(table, [with_times(row, moments) for row in unpacked(rows)], end, os.path.dirname(rows))


def filed_lines(table: str, rows: Sequence[tuple[Any, ...]], end: str, folder: str) -> str:
    """A file of `as_lines`."""
    return _filed(as_lines(table, rows, end), folder)


def with_times(row: tuple[Any, ...], moments: Sequence[int]) -> tuple[Any, ...]:
    """The row with the times at these places as databases read them."""
    values = list(row)
    for at in moments:
        if values[at] is not None:
            values[at] = utc(values[at])
    return tuple(values)


def as_lines(table: str, rows: Sequence[tuple[Any, ...]], end: str) -> bytes:
    """A line per row of texts, numbers and None, each with the same `end`; None is written as `None`.

    Raises ValueError, naming the table, where a value needs escaping.
    """
    line = "\t".join(["%s"] * len(rows[0])) + end  # half the time of joining the texts of the values
    text = "".join([line % row for row in rows])
    if "\\" in text:
        raise ValueError(f"a row of {table} needs escaping")
    return text.encode()


def _filed(content: bytes, folder: str) -> str:
    number, path = mkstemp(dir=folder)
    with os.fdopen(number, "wb", buffering=0) as file:
        file.write(content)
    return path
