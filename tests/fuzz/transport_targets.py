"""What stands around a message: an answer as it comes off the wire, forwarded addresses, sealed and signed texts."""

from __future__ import annotations

import gzip
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address

from django.core import signing
from django.test import RequestFactory, override_settings

from paycenter.crypto import decrypt, encrypt
from paycenter.egress import EgressPolicy
from paycenter.errors import ConfigError, NotSent, UnknownOutcome
from paycenter.http import MAX_BODY_BYTES, HttpClient, TimeLimits
from paycenter.middleware import client_ip
from tests.fuzz.oracle import Broken, require_storable
from tests.fuzz.target import Target
from tests.paycenter.raw_server import RawServer

_JSON = b'{"code": "10000", "trade_status": "TRADE_SUCCESS", "total_amount": "12.50"}'
_LIMITS = TimeLimits(connect=1.0, total=1.0)


def transport_targets() -> Iterator[Target]:
    yield _Answers().target()
    yield Target("forwarded", (b"10.0.0.1\n203.0.113.9, 10.0.0.2", b"10.0.0.1\n[2001:db8::9]:51234", b"::1\n10.0.0.1"),
                 _forwarded)  # fmt: skip
    yield Target("sealed", (encrypt("{}").encode(), signing.dumps(["A1", 5], salt="fuzz").encode()), _sealed)


class _Answers:
    """A server that says the bytes and hangs up, and the one client of the center that listens to it."""

    def target(self) -> Target:
        packed = zlib.compress(_JSON), gzip.compress(_JSON)
        heads = (b"Content-Type: application/json\r\nContent-Length: %d" % len(_JSON), b"Transfer-Encoding: chunked",
                 b"Content-Encoding: deflate", b"Content-Encoding: gzip", b"Content-Encoding: br",
                 b"Location: http://127.0.0.1:1/\r\nSet-Cookie: a=b")  # fmt: skip
        bodies = (_JSON, b"%x\r\n%b\r\n0\r\n\r\n" % (len(_JSON), _JSON), *packed, _JSON, b"")
        seeds = (b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % each for each in zip(heads, bodies, strict=True))
        return Target("http-answer", (*seeds, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 302 Found\r\n\r\n"), self._run,
                      self._around)  # fmt: skip

    @contextmanager
    def _around(self) -> Iterator[None]:
        self._server, self._client = RawServer(), HttpClient(EgressPolicy(("127.0.0.0/8",)))
        try:
            yield
        finally:
            self._client.close()
            self._server.close()

    def _run(self, data: bytes) -> str:
        self._server.answer = lambda connection: _say(connection, data)
        try:
            found = self._client.request("GET", self._server.url, limits=_LIMITS)
        except (NotSent, UnknownOutcome) as exc:
            require_storable(str(exc))
            return f"{type(exc).__name__} {exc}"
        if len(found.body) > MAX_BODY_BYTES:
            raise Broken(f"{len(found.body)} bytes are more than anybody may answer")
        require_storable(found.text.replace("\0", "")[:1000])
        return f"understood {found.status}"


def _say(connection: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


@override_settings(TRUSTED_PROXIES=["10.0.0.0/8"])
def _forwarded(data: bytes) -> str:
    """The peer, a line feed, and what it says of others."""
    peer, _mark, said = data.decode("latin-1").partition("\n")
    found = client_ip(RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=said))
    ip_address(found)
    if peer in ("::1", "203.0.113.9") and found != peer:
        raise Broken(f"a stranger's word is believed: {found}")
    return f"understood {found == peer}"


def _sealed(data: bytes) -> str:
    text, outcome = data.decode("utf-8", "replace"), ""
    try:
        outcome += f"understood {len(decrypt(text))} "
    except (ConfigError, ValueError):
        outcome += "refused "
    try:
        outcome += f"understood {type(signing.loads(text, salt='fuzz'))}"
    except (signing.BadSignature, ValueError):
        outcome += "BadSignature"
    return outcome
