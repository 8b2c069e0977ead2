"""The same in HTTP/2, where lengths and lines are no text: what becomes of them in the request that a host gets.

As many bytes of RFC 9113 and RFC 7541 as that takes: one stream, headers written out, no Huffman coding.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from deploy.hosts.strangers import ANY, HIDDEN, REFUSED, Door

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS = 1, 4
_STATUSES = dict(enumerate((200, 204, 206, 304, 400, 404, 500), start=8))  # of the static table
_SECOND = f"GET {HIDDEN} HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True)
class TrickH2:
    """As `Trick`."""

    name: str
    headers: Mapping[str, str]
    body: bytes
    statuses: Collection[int]

    def status(self, door: Door) -> int:
        return _say(door, self.headers, self.body)


def tricks_h2(door: Door) -> Iterator[TrickH2]:
    base = {":method": "POST", ":scheme": "https", ":path": "/c/x", ":authority": f"{door.host}:{door.port}"}
    for name, changed in _CHANGED.items():
        headers = {**base, **{key: value for key, value in changed.items() if key}}
        yield TrickH2(name, headers, changed.get("", "a").encode(), ANY if name in _HARMLESS else REFUSED)


# Those that a host may get, as an ordinary request: what they say beyond one is not handed on.
_HARMLESS = ("a coding", "a header of one connection", "an upgrade")
# By what is unlike an ordinary request; the body under ''.
_CHANGED: Mapping[str, Mapping[str, str]] = {
    "a coding": {"transfer-encoding": "chunked", "": f"0\r\n\r\n{_SECOND}"},
    "a length of nothing": {"content-length": "0", "": _SECOND},
    "a length that is not reached": {"content-length": "1000", "": _SECOND},
    "a line end in a value": {"x-a": f"b\r\n\r\n{_SECOND}"}, "a line end in a name": {f"x-a: b\r\n\r\n{_SECOND}": "c"},
    "NUL in a value": {"x-a": "b\0c"}, "a line end in the path": {":path": f"/c/x HTTP/1.1\r\n\r\n{_SECOND}"},
    "a line end in the verb": {":method": f"GET / HTTP/1.1\r\n\r\n{_SECOND}"}, "a path that is none": {":path": "c/x"},
    "a line end in the name": {":authority": f"a\r\n\r\n{_SECOND}"}, "another's name": {":authority": "evil.example"},
    "another's name beside ours": {"host": "evil.example"}, "a large name": {"X-Forwarded-For": "10.9.9.9"},
    "a header of one connection": {"connection": "x-forwarded-for"}, "an upgrade": {"upgrade": "h2c"},
    "a second path": {":path ": HIDDEN}, "another scheme": {":scheme": f"https://evil.example{HIDDEN}?"},
}  # fmt: skip


def _say(door: Door, headers: Mapping[str, str], body: bytes) -> int:
    """The status; 0 where the stream or the connection is closed without one."""
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
    sent = _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_HEADERS, 1, block)
    with door.opened("h2") as link, suppress(ConnectionError, ssl.SSLError):
        link.sendall(sent + _frame(_DATA, _END_STREAM, 1, body))
        for kind, stream, payload in _frames(link):
            if kind == _HEADERS and stream == 1:
                return _status(payload)
            if kind == _GOAWAY or (kind == _RESET and stream == 1):
                return 0
    return 0


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _frames(link: ssl.SSLSocket) -> Iterator[tuple[int, int, bytes]]:
    read = link.makefile("rb").read
    while len(head := read(9)) == 9:
        yield head[3], struct.unpack(">I", head[5:])[0], read(int.from_bytes(head[:3], "big"))


def _text(text: str) -> bytes:
    """RFC 7541, 5.2: a length of seven bits and more where they are not enough, then the bytes."""
    data = text.encode("latin-1")
    if len(data) < 127:
        return bytes((len(data),)) + data
    left, size = len(data) - 127, b"\x7f"
    while left >= 128:
        size, left = size + bytes((left % 128 + 128,)), left // 128
    return size + bytes((left,)) + data


def _status(block: bytes) -> int:
    """`:status` always comes first: of the static table, or written out behind its index."""
    block = block[1:] if block[0] & 0xE0 == 0x20 else block  # the size of the table may be told before
    return _STATUSES[block[0] & 0x7F] if block[0] & 0x80 else int(block[2:5])
