"""Downloading a file: streamed to disk as sent, whole or not at all, bounded in bytes and time."""

from __future__ import annotations

import gzip
import socket
import tracemalloc
from pathlib import Path

import pytest

from paycenter.egress import EgressPolicy
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import HttpClient, TimeLimits, recording, time_limit
from tests.paycenter.raw_server import RawServer, reply, reset


@pytest.fixture(scope="module")
def client() -> HttpClient:
    return HttpClient(EgressPolicy(("127.0.0.0/8",)))


def test_a_file_is_kept_as_sent_and_only_its_headers_are_recorded(
    client: HttpClient, raw_server: RawServer, tmp_path: Path
) -> None:
    packed = gzip.compress("账单".encode())
    raw_server.answer = reply(packed, headers="Content-Encoding: gzip\r\nX-Sn: 7\r\n")
    into = tmp_path / "bill"
    with recording() as calls:
        answer = client.download("GET", raw_server.url + "f?t=%2B", into, headers={"X-A": "1"}, operation="bill")
    assert into.read_bytes() == packed
    assert (answer.status, answer.body, answer.headers["x-sn"]) == (200, b"", "7")
    assert raw_server.requests[0].startswith(b"GET /f?t=%2B HTTP/1.1\r\n")
    assert b"\r\nX-A: 1\r\n" in raw_server.requests[0]
    assert (calls[0].operation, calls[0].status, calls[0].response_body) == ("bill", 200, b"")
    assert list(tmp_path.iterdir()) == [into]


def test_another_status_is_an_answer_and_no_file(client: HttpClient, raw_server: RawServer, tmp_path: Path) -> None:
    for status in ("204 No Content", "302 Found", "400 Bad", "403 Forbidden", "500 Oops"):
        body = b"" if status.startswith("204") else b'{"code":"NO"}'
        raw_server.answer = reply(body, status=status, close=True)
        with recording() as calls:
            answer = client.download("GET", raw_server.url, tmp_path / "bill")
        assert (answer.status, answer.body) == (int(status[:3]), body)
        assert calls[0].response_body == body
        assert list(tmp_path.iterdir()) == []


def drop_in_the_middle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    connection.close()


@pytest.mark.parametrize("behaviour", [drop_in_the_middle, reset, reply(b"x" * 5000)], ids=["half", "reset", "large"])
def test_half_a_file_or_too_large_a_one_is_none(
    client: HttpClient, raw_server: RawServer, tmp_path: Path, behaviour: object
) -> None:
    into = tmp_path / "bill"
    into.write_bytes(b"an older one")
    raw_server.answer = behaviour  # type: ignore[assignment]
    with recording() as calls, pytest.raises(UnknownOutcome):
        client.download("GET", raw_server.url, into, max_bytes=4999)
    assert into.read_bytes() == b"an older one"
    assert list(tmp_path.iterdir()) == [into]
    assert calls[0].error.startswith("UnknownOutcome")


def test_its_time_is_bounded_by_its_own_limit_and_by_the_block_around(
    client: HttpClient, raw_server: RawServer, tmp_path: Path
) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not raw_server.stopped.wait(0.05):
            connection.sendall(b"x")

    raw_server.answer = drip
    with pytest.raises(UnknownOutcome, match=r"within 0\.3 s"):
        client.download("GET", raw_server.url, tmp_path / "bill", limits=TimeLimits(0.2, 0.3))
    with pytest.raises(UnknownOutcome, match=r"within 0\.2 s"), time_limit(0.2):
        client.download("GET", raw_server.url, tmp_path / "bill")
    assert list(tmp_path.iterdir()) == []


def test_the_egress_policy_holds(raw_server: RawServer, tmp_path: Path) -> None:
    with pytest.raises(NotSent):
        HttpClient(EgressPolicy()).download("GET", raw_server.url, tmp_path / "bill")
    assert raw_server.connections == 0
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_needs_little_memory(client: HttpClient, raw_server: RawServer, tmp_path: Path) -> None:
    size, piece = 48 * 1024 * 1024, b"r" * 65536

    def much(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _piece in range(size // len(piece)):
            connection.sendall(piece)

    raw_server.answer = much
    tracemalloc.start()
    client.download("GET", raw_server.url, tmp_path / "bill")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "bill").stat().st_size == size
    assert peak < 4 * 1024 * 1024
