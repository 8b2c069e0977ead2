"""What strangers try at the door: two requests in one, lengths that contradict each other, other spellings of a path,
names and addresses of somebody else, bodies without an end, bytes that drip.

Each trick is a few bytes on a TLS connection of its own, and what may be answered to it: a status, or nothing at all.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 10.0  # seconds for an answer
# In whatever is hidden in another request: a host that is asked for it was deceived.
HIDDEN = "/hidden-in-another"
ANY = frozenset({0, 200, 302, 400, 403, 404, 405, 413, 414, 415, 431, 501, 505})
REFUSED = frozenset({0, 400, 403, 404, 405, 413, 414, 431, 501, 505})
_STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3})", re.MULTILINE)
_REFUSAL = re.compile(rb"HTTP/1\.1 [45]\d\d ")
_CLOSE = b"Connection: close\r\n"
_SECOND = f"GET {HIDDEN} HTTP/1.1\r\nX: y\r\n\r\n".encode()


@dataclass(frozen=True)
class Trick:
    """`statuses` are those that may be answered, 0 for a connection that is closed without a word."""

    name: str
    data: bytes
    statuses: Collection[int] = REFUSED

    def status(self, door: Door) -> int:
        return door.say(self.data)[0]


@dataclass(frozen=True)
class Door:
    """One entrance: where it listens, and whom its certificate is trusted by."""

    port: int
    certificate: Path
    host: str = "127.0.0.1"

    @contextmanager
    def opened(self, protocol: str = "http/1.1") -> Iterator[ssl.SSLSocket]:
        trust = ssl.create_default_context(cafile=str(self.certificate))
        trust.set_alpn_protocols([protocol])
        with (
            socket.create_connection((self.host, self.port), timeout=PATIENCE) as plain,
            trust.wrap_socket(plain, server_hostname=self.host) as link,
        ):
            yield link

    def say(self, data: bytes) -> tuple[int, bytes]:
        """The last status (0 where none came) and everything that was answered, until it is closed or refused."""
        answer = b""
        with self.opened() as link, suppress(ConnectionError, ssl.SSLError):
            with suppress(ConnectionError, ssl.SSLError):  # it may refuse before it has everything
                link.sendall(data)
            while not _REFUSAL.match(answer) and (piece := link.recv(65536)):
                answer += piece
        statuses = _STATUS.findall(answer)
        return int(statuses[-1]) if statuses else 0, answer

    @property
    def named(self) -> bytes:
        return f"Host: {self.host}:{self.port}\r\n".encode()


def tricks(door: Door) -> Iterator[Trick]:
    yield from _two_in_one(door)
    yield from _chunks(door)
    yield from _names(door)
    yield from _heads(door)


def spellings(door: Door) -> Iterator[Trick]:
    """For the public entrance."""
    for path in PATHS:
        yield Trick(f"path {path}", b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path.encode("latin-1"), door.named, _CLOSE))


def _two_in_one(door: Door) -> Iterator[Trick]:
    """Where one reader sees the end of a request and another does not."""
    for name, lines in {
        "both lengths": b"Content-Length: 6\r\nTransfer-Encoding: chunked",
        "both lengths, turned": b"Transfer-Encoding: chunked\r\nContent-Length: 6",
        "two lengths": b"Content-Length: 0\r\nContent-Length: %d" % len(_SECOND),
        "one length twice": b"Content-Length: 0\r\nContent-Length: 0",
        "a list of lengths": b"Content-Length: 0, %d" % len(_SECOND),
        "a length with a sign": b"Content-Length: +0",
        "a length below zero": b"Content-Length: -1",
        "a length in hexadecimal": b"Content-Length: 0x0",
        "an unknown coding": b"Transfer-Encoding: xchunked",
        "two codings": b"Transfer-Encoding: chunked, identity",
        "two codings in two lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "a coding behind a tabulator": b"Transfer-Encoding:\x0bchunked",
        "a space before the colon": b"Transfer-Encoding : chunked\r\nContent-Length: 5",
        "a folded line": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5",
    }.items():
        yield Trick(name, b"POST /c/x HTTP/1.1\r\n%b%b\r\n\r\n0\r\n\r\n%b" % (door.named, lines, _SECOND))
    yield Trick("chunks of HTTP/1.0", b"POST /c/x HTTP/1.0\r\n%bTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%b"
                % (door.named, _SECOND))  # fmt: skip
    inside = b"Content-Length: %d\r\n%b\r\n%b" % (len(_SECOND), _CLOSE, _SECOND)
    yield Trick("a body that is a request", b"POST /c/x HTTP/1.1\r\n" + door.named + inside, ANY)
    yield Trick("a body where none belongs", b"GET /c/x HTTP/1.1\r\n" + door.named + inside, ANY)
    underscored = b"Transfer_Encoding: chunked\r\n" + inside
    yield Trick("a coding with an underscore", b"POST /c/x HTTP/1.1\r\n" + door.named + underscored, ANY)


def _chunks(door: Door) -> Iterator[Trick]:
    head = b"POST /c/x HTTP/1.1\r\n%b%bTransfer-Encoding: chunked\r\n\r\n" % (door.named, _CLOSE)
    for name, body in {
        "a chunk's size in C": b"0x5\r\nabcde\r\n0\r\n\r\n",
        "a chunk below zero": b"-5\r\nabcde\r\n0\r\n\r\n",
        "a chunk beyond any number": b"ffffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
        "a chunk that goes on": b"5\r\nabcdeXX0\r\n\r\n" + _SECOND,
        "chunks without an end": (b"8000\r\n" + b"a" * 0x8000 + b"\r\n") * 12,
    }.items():
        yield Trick(name, head + body)
    trailed = b"5;a=b\r\nabcde\r\n0\r\nX-Forwarded-For: 10.9.9.9\r\n\r\n"
    yield Trick("a trailer of forwarded headers", head + trailed, ANY)
    for name, length in {"a gigabyte": 1 << 30, "a length beyond any number": 10**30}.items():
        yield Trick(name, b"POST /c/x HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n" % (door.named, _CLOSE, length))


def _names(door: Door) -> Iterator[Trick]:
    bare, own = door.host.encode(), f"{door.host}:{door.port}".encode()
    for name, target, host in (
        ("another's name", b"/c/x", b"evil.example"), ("a user in the name", b"/c/x", b"evil.example@" + own),
        ("a path in the name", b"/c/x", own + b"/evil"), ("no name", b"/c/x", b""),
        ("an absolute address of another", b"https://evil.example/c/x", own), ("a tunnel", b"evil.example:443", own),
    ):  # fmt: skip
        verb = b"CONNECT" if name == "a tunnel" else b"GET"
        yield Trick(name, b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (verb, target, host, _CLOSE))
    yield Trick("two names", b"GET /c/x HTTP/1.1\r\n%bHost: evil.example\r\n%b\r\n" % (door.named, _CLOSE))
    yield Trick("a port that is none", b"GET /c/x HTTP/1.1\r\nHost: %b:evil\r\n%b\r\n" % (bare, _CLOSE), ANY)
    yield Trick("our absolute address, another's name",
                b"GET https://%b/c/x HTTP/1.1\r\nHost: evil.example\r\n%b\r\n" % (own, _CLOSE), ANY)  # fmt: skip


def _heads(door: Door) -> Iterator[Trick]:
    for name, lines in {
        "a long header": b"X-A: " + b"a" * 9000, "many headers": b"\r\n".join(b"X-A%d: a" % n for n in range(120)),
        "headers that are too much": b"\r\n".join(b"X-A%d: %b" % (n, b"a" * 100) for n in range(2000)),
        "NUL in a header": b"X-A: a\0b",
    }.items():
        yield Trick(name, b"GET /c/x HTTP/1.1\r\n%b%b%b\r\n\r\n" % (door.named, _CLOSE, lines))
    for name, first in {
        "a long address": b"GET /c/" + b"a" * 9000 + b" HTTP/1.1", "NUL in a verb": b"G\0ET /c/x HTTP/1.1",
        "a small verb": b"get /c/x HTTP/1.1", "TRACE": b"TRACE /c/x HTTP/1.1", "every address": b"OPTIONS * HTTP/1.1",
        "HTTP/2 without asking": b"GET /c/x HTTP/2.0", "a space in an address": b"GET /c/x y HTTP/1.1",
    }.items():
        yield Trick(name, b"%b\r\n%b%b\r\n" % (first, door.named, _CLOSE))
    forged = b"\r\n".join(b"%b: 10.9.9.9" % name.encode() for name in FORGED)
    yield Trick("everybody else's headers", b"GET /c/x HTTP/1.1\r\n%b%b%b\r\n\r\n" % (door.named, _CLOSE, forged), ANY)
    upgrade = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"
    yield Trick("another protocol", b"GET /c/x HTTP/1.1\r\n%b%b\r\n\r\n" % (door.named, upgrade), ANY)


# By which a client could say who it is, where it comes from, or that it means another address.
FORGED = (
    "X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "X-Forwarded_For", "X.Forwarded.For", "X-Forwarded-Proto",
    "X_Forwarded_Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP", "X_Real_IP", "Forwarded",
)  # fmt: skip
# Other spellings of what the public entrance has not: the admin, the API, health.
PATHS = (
    "/healthz", "/%68ealthz", "//healthz", "/./healthz", "/c/../healthz", "/c/%2e%2e/healthz", "/c/..%2fhealthz",
    "/healthz/", "/healthz%2f", "/healthz%00", "/healthz%20", "/healthz;x", "/healthz%3fx", "/HEALTHZ", "/healthz%0a",
    "/\\healthz", "/..%5chealthz", "/healthz/x/..", "/%25%36%38ealthz", "/healthz#/c/x", "/c/x#/../healthz",
    "/admin/", "/%61dmin/", "//admin/", "/c/../admin/", "/c/..%2fadmin/", "/c/%2e%2e/admin/", "/c/%c0%ae%c0%ae/admin/",
    "/../admin/", "/..;/admin/", "/admin%2f", "/%2561dmin/", "/c/..%255cadmin/", "/admin/.", "/c/x/../../admin/login/",
    "/v1/gopay", "/%76%31/gopay", "/v1%2fgopay", "/metrics", "/%6detrics", "/docs/", "/c/x%00y", "/c/%", "/c/%zz",
    "/..", "/c/\xff", "/c/%ff%fe",
)  # fmt: skip


@contextmanager
def dripping(door: Door, count: int) -> Iterator[list[ssl.SSLSocket]]:
    """While the block runs, so many clients have begun: half of them a header, half a body, and none goes on."""
    heads = b"GET /c/x HTTP/1.1\r\n%bX-A: " % door.named
    bodies = b"POST /c/x HTTP/1.1\r\n%bContent-Length: 1000\r\n\r\na" % door.named
    with ExitStack() as stack:
        links = [stack.enter_context(door.opened()) for _ in range(count)]
        for number, link in enumerate(links):
            link.sendall(bodies if number % 2 else heads)
        yield links


def drip(links: list[ssl.SSLSocket]) -> int:
    """One byte more from each; how many are still listened to."""
    listening = 0
    for link in links:
        with suppress(OSError):
            link.sendall(b"a")
            listening += 1
    return listening
