"""Spoils a message the way strangers do: bytes anywhere, and values inside what the bytes mean.

Whatever is recognised is opened, spoiled inside and closed again: gzip, zip, JSON, forms, XML, base64, PEM, tables.
The same generator gives the same mutant.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from urllib.parse import parse_qsl, quote

MAX_BYTES = 256 * 1024
_DEPTH = 4

# What breaks parsers elsewhere: as bytes, and as values of JSON.
NASTY = (
    b"", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf0\x9f\x92\xb0", b"%00", b"%ff", b"%ED%A0%80",
    b"\\u0000", b"\\ud800", b"&", b"=", b"&&==", b"\r\n", b"\n\n", b"\t", b" ", b"'", b'"', b"<", b"]]>", b"<![CDATA[",
    b"--", b",", b"|", b"`", b"0", b"-0", b"-1", b"00", b"1.", b".1", b"1e9", b"1E+999999", b"1E+99999999999999999999",
    b"NaN", b"Infinity", b"null", b"true", b"[]", b"{}", b"0x10", b"1_000", "１２".encode(), "٣".encode(), "²".encode(),
    b"9223372036854775808", b"9" * 25, b"9" * 5000, b"A" * 70, b"A" * 300, b"A" * 70_000, b"[" * 3000, b'{"a":' * 3000,
    b"&a=1" * 1200, b"<x>" * 500, b'<!DOCTYPE xml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>', b"&b;",
    b'<!ENTITY x SYSTEM "file:///etc/passwd">', b"0000-00-00 00:00:00", b"2026-02-30T10:00:00+08:00",
    b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"0001-01-01", b"9999-12-31", b"99991231235959",
    b"00010101000000", b"2026-11-20T10:00:00", b"24:00:00", b"99999999999", b"../../etc/passwd",
    b"http://169.254.169.254/", b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----", b"-----BEGIN A-----" * 50,
    b"SUCCESS", b"SHA256", b"=?utf-8?q?",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 1.5, 1e300, [], {}, "", " ", [[]], [None], {"": ""},
    "\0", "\ud800", "\x7f", "1", "-1", "1e5", "NaN", "１２", "9" * 30, "A" * 70, "A" * 70_000, "CNY", "cny", "XXX",
    "SUCCESS", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T10:00:00Z", "0000-00-00 00:00:00",
)  # fmt: skip


def mutate(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """One mutant; `others` are messages from which parts may be taken."""
    for _round in range(random.choice((1, 1, 1, 2, 3, 5))):
        data = _message(data, random, others)
    return data[:MAX_BYTES]


def _message(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    head, mark, body = data.partition(b"\r\n\r\n")
    if not mark or len(head) > 8192:
        return _part(data, random, others)
    if random.random() < 0.3:
        return _lines(head, random, b"\r\n") + mark + body
    return head + mark + _part(body, random, others)


def _part(data: bytes, random: Random, others: Sequence[bytes] = (), depth: int = 0) -> bytes:
    """Inside what it is, or its bytes as such."""
    if depth < _DEPTH and random.random() < 0.75:
        for layer in _LAYERS:
            found = layer(data, random, depth)
            if found is not None:
                return found
    return _bytes(data, random, others)


# ---- bytes ---------------------------------------------------------------------------------------
def _bytes(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    at, length = random.randint(0, len(data)), random.choice((1, 1, 2, 4, 16, 64, 1000))
    match random.randrange(9):
        case 0:
            return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        case 1:
            flipped = bytes(byte ^ 1 << random.randrange(8) for byte in data[at : at + 1])
            return data[:at] + flipped + data[at + 1 :]
        case 2:
            return data[:at] + data[at + length :]
        case 3:
            return data[:at] + data[at : at + length] * random.choice((2, 3, 50)) + data[at + length :]
        case 4:
            return data[:at]
        case 5 if others:
            other = random.choice(others)
            return data[:at] + other[random.randint(0, len(other)) :]
        case 6:
            return data[:at] + data[at : at + length][::-1] + data[at + length :]
        case 7:
            return data[:at] + random.choice(NASTY) + data[at + length :]
    return data[:at] + random.choice(NASTY) + data[at:]


def _lines(data: bytes, random: Random, end: bytes) -> bytes:
    lines = data.split(end)
    at = random.randrange(len(lines))
    match random.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(random.randint(0, len(lines)), lines[at])
        case 2:
            other = random.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = _cells(lines[at], random)
        case _:
            lines[at] = _bytes(lines[at], random)
    return end.join(lines)


def _cells(line: bytes, random: Random) -> bytes:
    """One value of a line of a table, or of a header."""
    mark = next((m for m in (b"|", b",", b": ", b" ") if m in line), None)
    if mark is None:
        return _bytes(line, random)
    cells = line.split(mark)
    at = random.randrange(len(cells))
    cells[at] = random.choice((random.choice(NASTY), _bytes(cells[at], random), cells[at] * 2))
    return mark.join(cells)


# ---- layers: None where the data is no such thing ----------------------------------------------------
def _gzip(data: bytes, random: Random, depth: int) -> bytes | None:
    if not data.startswith(b"\x1f\x8b"):
        return None
    if random.random() < 0.02:
        return gzip.compress(bytes(64 * 1024 * 1024), 1)
    try:
        inner = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return None
    return gzip.compress(_part(inner, random, (), depth + 1), 1)


def _zip(data: bytes, random: Random, depth: int) -> bytes | None:
    if not data.startswith(b"PK"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [(info, archive.read(info)) for info in archive.infolist()]
    except Exception:  # whatever a spoiled archive makes of it
        return None
    out = io.BytesIO()
    at = random.randrange(len(files) or 1)
    with zipfile.ZipFile(out, "w", random.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as archive:
        for number, (info, content) in enumerate(files):
            if number == at:
                bomb = random.random() < 0.02
                content = bytes(64 * 1024 * 1024) if bomb else _part(content, random, (), depth + 1)
            archive.writestr(info.filename, content)
    return out.getvalue()


def _json(data: bytes, random: Random, depth: int) -> bytes | None:
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        found = json.loads(data)
        changed = _value(found, random, depth)
        return json.dumps(changed, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return None


def _value(value: Any, random: Random, depth: int) -> Any:
    """The value with one place changed."""
    if isinstance(value, dict) and value and random.random() < 0.95:
        key, found = random.choice(list(value)), dict(value)
        match random.randrange(12):
            case 0:
                del found[key]
            case 1:
                found[random.choice((key.upper(), key + " ", "\0", "__proto__", "sign"))] = found.pop(key)
            case 2:
                found[key] = found[random.choice(list(value))]
            case _:
                found[key] = _value(found[key], random, depth)
        return found
    if isinstance(value, list) and value and random.random() < 0.95:
        at, rows = random.randrange(len(value)), list(value)
        rows[at : at + 1] = random.choice(([_value(rows[at], random, depth)], [], [rows[at]] * 2, [rows[at]] * 500))
        return rows
    if isinstance(value, str) and value and random.random() < 0.5:
        return _part(value.encode("utf-8", "surrogatepass"), random, (), depth + 1).decode("utf-8", "replace")
    return random.choice(VALUES)


def _form(data: bytes, random: Random, depth: int) -> bytes | None:
    if not re.match(rb"[\w.%+-]{1,40}=", data) or b"\n" in data[:200]:
        return None
    try:
        pairs = parse_qsl(data.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=500)
    except ValueError:
        return None
    rows = [(name, value.encode("latin-1", "replace")) for name, value in pairs]
    at = random.randrange(len(rows) or 1)
    match random.randrange(10):
        case 0:
            del rows[at : at + 1]
        case 1:
            rows += rows[at : at + 1]
        case 2:
            random.shuffle(rows)
        case _ if rows:
            rows[at] = (rows[at][0], _part(rows[at][1], random, (), depth + 1))
    plain = b"%" not in data and b"{" in data  # UnionPay's answers are not encoded
    return b"&".join(n.encode("latin-1") + b"=" + (v if plain else quote(v, safe="").encode()) for n, v in rows)


def _xml(data: bytes, random: Random, depth: int) -> bytes | None:
    elements = list(re.finditer(rb"<(\w{1,40})>(?:<!\[CDATA\[)?([^<\]]*)(?:\]\]>)?</\1>", data[:65536]))
    if not data.lstrip().startswith(b"<") or not elements:
        return None
    found = random.choice(elements)
    match random.randrange(5):
        case 0:
            return data[: found.start()] + data[found.end() :]
        case 1:
            return data[: found.end()] + found[0] + data[found.end() :]
        case 2:
            return random.choice(NASTY) + data
    inner = _part(found[2], random, (), depth + 1)
    return data[: found.start(2)] + inner + data[found.end(2) :]


def _pem(data: bytes, random: Random, depth: int) -> bytes | None:
    blocks = list(re.finditer(rb"(-----BEGIN [A-Z ]+-----)([A-Za-z0-9+/=\s]+)(-----END [A-Z ]+-----)", data))
    if not blocks:
        return None
    found = random.choice(blocks)
    inner = _base64(re.sub(rb"\s", b"", found[2]), random, depth)
    if inner is None:
        return None
    return data[: found.start(2)] + b"\n" + inner + b"\n" + data[found.end(2) :]


def _base64(data: bytes, random: Random, depth: int) -> bytes | None:
    if len(data) < 24 or not re.fullmatch(rb"[A-Za-z0-9+/]+={0,2}", data):
        return None
    try:
        inner = base64.b64decode(data, validate=True)
    except binascii.Error:
        return None
    return base64.b64encode(_part(inner, random, (), depth + 1))


def _der(data: bytes, random: Random, _depth: int) -> bytes | None:
    """A byte of a value, a tag or a length somewhere in ASN.1, which is what a certificate's parser reads lazily."""
    if data[:1] != b"\x30" or len(data) < 16:
        return None
    at = random.randrange(len(data))
    return data[:at] + bytes([random.choice((0, 1, 2, 5, 6, 12, 19, 23, 24, 48, 127, 128, 255))]) + data[at + 1 :]


def _table(data: bytes, random: Random, _depth: int) -> bytes | None:
    end = b"\r\n" if b"\r\n" in data else b"\n"
    return _lines(data, random, end) if data.count(end) > 1 else None


_LAYERS: tuple[Callable[[bytes, Random, int], bytes | None], ...] = (
    _gzip, _zip, _json, _xml, _pem, _der, _form, _base64, _table,
)  # fmt: skip
