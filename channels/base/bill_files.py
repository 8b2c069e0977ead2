"""A bill's file, opened as it came (plain, gzip or zip) and read line by line in memory that does not grow.

Everything that is wrong with the bytes is a BillRefused. Lines are bounded, and so is what may come out of a
packed file: a bill packs ten or twenty times, a bomb a thousand times.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from paycenter.errors import BillRefused

MAX_LINE_BYTES = 64 * 1024
MAX_PLAIN_BYTES = 8 * 1024**3
# What may come out of a packed file whatever its size, and how many times its size beyond that.
_FREE_BYTES, _MAX_RATIO = 32 * 1024**2, 200
# The list of an archive's entries is read whole; bills have a handful.
_MAX_DIRECTORY_BYTES = 64 * 1024
_CHUNK = 256 * 1024
_GZIP, _ZIP = b"\x1f\x8b", b"PK"
_BROKEN = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, ValueError)

RawLine = tuple[int, bytes]
Line = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in an archive, by its name as a person reads it."""

    name: str
    info: zipfile.ZipInfo


def entries(path: Path) -> list[Entry]:
    """The files in a zip archive; empty where the bill is no archive. Raises BillRefused.

    Names without the UTF-8 flag are read as GBK, in which Chinese channels write them.
    """
    with path.open("rb") as file:
        if file.read(2) != _ZIP:
            return []
        with _archive(file) as archive:
            return [Entry(_name(info), info) for info in archive.infolist()]


def _name(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 0x800:
        return info.filename
    return info.filename.encode("cp437", "replace").decode("gb18030", "replace")


def raw_lines(path: Path, entry: Entry | None = None) -> Iterator[RawLine]:
    """Number and bytes of each line, without its end. Raises BillRefused, also for a line that comes twice:
    every row names its transaction, so the same row again is a bill that was put together wrongly.

    Comments (`#`) and empty lines may repeat.
    """
    return _each_once(lambda: _lines(path, entry))


def text_lines(path: Path, encoding: str, entry: Entry | None = None) -> Iterator[Line]:
    """As `raw_lines`, decoded, without a byte order mark. Raises BillRefused for what is no such text."""
    for number, raw in raw_lines(path, entry):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as exc:
            raise BillRefused(f"not text in {encoding}", line=number) from exc
        if "\x00" in text:
            raise BillRefused("a character that no text has", line=number)
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def sha1_of_plain(path: Path) -> str:
    """Hexadecimal SHA-1 of what is in the file once it is unpacked. Raises BillRefused."""
    digest = hashlib.sha1(usedforsecurity=False)
    with _opened(path, None) as (stream, limit):
        size = 0
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            _check_size(size, limit)
            digest.update(chunk)
    return digest.hexdigest()


def _lines(path: Path, entry: Entry | None) -> Iterator[RawLine]:
    with _opened(path, entry) as (stream, limit):
        number = size = 0
        while raw := stream.readline(MAX_LINE_BYTES + 1):
            number, size = number + 1, size + len(raw)
            if len(raw) > MAX_LINE_BYTES:
                raise BillRefused("the line is longer than a bill's lines are", line=number)
            _check_size(size, limit)
            yield number, raw.rstrip(b"\r\n")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise BillRefused("it unpacks to more than a bill of this size holds")


@contextmanager
def _opened(path: Path, entry: Entry | None) -> Iterator[tuple[IO[bytes], int]]:
    """What is inside, and how many bytes of it may be read."""
    with path.open("rb") as file:
        packed = file.seek(0, io.SEEK_END)
        file.seek(0)
        limit = min(MAX_PLAIN_BYTES, max(_FREE_BYTES, packed * _MAX_RATIO))
        with _refusing():
            if entry is not None:
                with _archive(file) as archive, archive.open(entry.info) as inner:
                    yield _buffered(inner), limit
            elif file.peek(2)[:2] == _GZIP:
                with gzip.GzipFile(fileobj=file) as inner:
                    yield _buffered(inner), limit
            else:
                yield file, MAX_PLAIN_BYTES


def _buffered(stream: Any) -> IO[bytes]:
    # `zipfile` and `gzip` are files enough for it, though not for its type.
    return io.BufferedReader(stream, _CHUNK)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except _BROKEN as exc:
        raise BillRefused(f"the file is cut off or damaged ({type(exc).__name__})") from exc
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # a disk that fails says nothing about the bill
            raise
        raise BillRefused("the archive's list of entries points outside of it") from exc


@contextmanager
def _archive(file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    _check_directory(file)
    with _refusing(), zipfile.ZipFile(file) as archive:
        if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in archive.infolist()):
            raise BillRefused("packed in a way that no bill is")
        yield archive


def _check_directory(file: IO[bytes]) -> None:
    """Before `zipfile` believes it: the size that the end of the archive states for its list of entries."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 66_000))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise BillRefused("the archive has no end: it is cut off")
    stated = int.from_bytes(tail[at + 12 : at + 16], "little")
    if stated > _MAX_DIRECTORY_BYTES or tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):
        raise BillRefused("the archive holds more files than a bill has")
    file.seek(0)


class _Seen:
    """Marks for lines that came before, in 16 MiB however many come (a Bloom filter of four marks a line): at a
    million lines one in a million that is new looks as if it had been there."""

    _BITS = 27

    def __init__(self) -> None:
        self._marks = bytearray(1 << (self._BITS - 3))

    def add(self, line: bytes) -> bool:
        """Whether it may have been there before."""
        hashed = int.from_bytes(hashlib.blake2b(line, digest_size=16).digest(), "little")
        known = True
        for _mark in range(4):
            at, bit = (hashed & ((1 << self._BITS) - 1)) >> 3, 1 << (hashed & 7)
            known = known and bool(self._marks[at] & bit)
            self._marks[at] |= bit
            hashed >>= self._BITS
        return known


_SUSPECTS = 1000


def _each_once(read: Callable[[], Iterator[RawLine]]) -> Iterator[RawLine]:
    """Lines that look as if they came twice are looked for from the start, many at a time."""
    seen, suspects = _Seen(), set[bytes]()
    for number, line in read():
        if line and not line.startswith(b"#") and seen.add(line):
            suspects.add(line)
            if len(suspects) >= _SUSPECTS:
                _refuse_doubles(read, suspects)
                suspects.clear()
        yield number, line
    if suspects:
        _refuse_doubles(read, suspects)


def _refuse_doubles(read: Callable[[], Iterator[RawLine]], suspects: set[bytes]) -> None:
    found: dict[bytes, int] = {}
    for number, line in read():
        if line in suspects:
            if line in found:
                raise BillRefused(f"the same row as in line {found[line]}", line=number)
            found[line] = number
