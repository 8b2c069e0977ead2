"""The HTTP client against a server that misbehaves: bounded in time and bytes, honest about what was sent."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from paycenter.egress import EgressPolicy
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import (
    HttpClient,
    TimeLimits,
    one_time_limit,
    recording,
    run_on_loop,
    seconds_left,
    time_limit,
)
from tests.paycenter.raw_server import RawServer, reply, reset

SHORT = TimeLimits(connect=0.3, total=0.5)


@pytest.fixture(scope="module")
def client() -> HttpClient:
    return HttpClient(EgressPolicy(("127.0.0.0/8",)))


def drip(first: bytes, piece: bytes, server: RawServer) -> Callable[[socket.socket], None]:
    """Send `first`, then `piece` every 50 ms for as long as somebody listens."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(first)
        while not server.stopped.wait(0.05):
            connection.sendall(piece)

    return behave


class TestOnTheWire:
    def test_the_address_is_sent_byte_for_byte(self, client: HttpClient, raw_server: RawServer) -> None:
        path = "a%2Fb%20c/%E7%89%A9//d/../e?x=%2B1+2&y=a%3Db&y=&z=%7B%22%7D&sign=a/b+c%3D%3D"
        client.request("GET", raw_server.url + path)
        assert raw_server.requests[0].startswith(f"GET /{path} HTTP/1.1\r\n".encode())

    def test_body_and_headers_are_sent_as_given(self, client: HttpClient, raw_server: RawServer) -> None:
        client.request("POST", raw_server.url, headers={"content-type": "text/x", "X-A": "1"}, body=b"\x00\xffx")
        head, _mark, body = raw_server.requests[0].partition(b"\r\n\r\n")
        assert body == b"\x00\xffx"
        assert b"\r\ncontent-type: text/x\r\n" in head
        assert b"\r\nX-A: 1\r\n" in head
        assert f"\r\nHost: 127.0.0.1:{raw_server.port}\r\n".encode() in head
        assert head.lower().count(b"content-type") == 1

    def test_the_answer_whatever_its_status(self, client: HttpClient, raw_server: RawServer) -> None:
        for status in ("201 Created", "204 No Content", "404 Not Found", "500 Oops", "503 Busy"):
            body = b"" if status.startswith("204") else "物业".encode()
            raw_server.answer = reply(body, status=status, headers="X-Sn: A1\r\nX-Sn: B2\r\n", close=True)
            found = client.request("GET", raw_server.url)
            assert (found.status, found.body) == (int(status[:3]), body)
            assert found.headers["x-sn"] == "B2"
            assert found.text == body.decode()

    def test_connections_are_kept_and_no_cookie_is(self, client: HttpClient, raw_server: RawServer) -> None:
        raw_server.answer = reply(b"ok", headers="Set-Cookie: a=b\r\n")
        for _time in range(3):
            client.request("GET", raw_server.url)
        assert raw_server.connections == 1
        assert all(b"ookie" not in request for request in raw_server.requests)

    @pytest.mark.parametrize("code", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
    def test_redirects_are_answers(self, client: HttpClient, raw_server: RawServer, code: str) -> None:
        raw_server.answer = reply(b"", status=code, headers=f"Location: {raw_server.url}next\r\n", close=True)
        assert client.request("POST", raw_server.url, body=b"x").status == int(code[:3])
        assert len(raw_server.requests) == 1

    def test_compressed_answers_are_read(self, client: HttpClient, raw_server: RawServer) -> None:
        raw_server.answer = reply(gzip.compress(b"hello"), headers="Content-Encoding: gzip\r\n")
        assert client.request("GET", raw_server.url).body == b"hello"


class TestTimeLimits:
    """One total limit, however cleverly the other side stays just busy enough."""

    @pytest.mark.clock
    @pytest.mark.parametrize(
        ("first", "piece"),
        [
            (b"", b""),
            (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ],
        ids=["silence", "slow header", "slow body", "slow chunks", "slow until close", "endless continue"],
    )
    def test_slow_answers_end_on_time(
        self, client: HttpClient, raw_server: RawServer, first: bytes, piece: bytes
    ) -> None:
        raw_server.answer = drip(first, piece, raw_server)
        started = time.monotonic()
        with pytest.raises(UnknownOutcome):
            client.request("POST", raw_server.url, body=b"x", limits=SHORT)
        assert time.monotonic() - started < 2
        assert len(raw_server.requests) == 1

    def test_a_peer_that_never_accepts_was_not_sent_anything(self, client: HttpClient) -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for connection in waiting:
                connection.setblocking(False)
                connection.connect_ex(full.getsockname())
            with pytest.raises(NotSent):
                client.request("GET", f"http://127.0.0.1:{full.getsockname()[1]}/", limits=TimeLimits(0.2, 2))
            for connection in waiting:
                connection.close()

    @pytest.mark.clock
    def test_an_outer_limit_rules_the_callers_own(self, client: HttpClient, raw_server: RawServer) -> None:
        raw_server.answer = drip(b"", b"", raw_server)
        started = time.monotonic()
        with time_limit(0.2), pytest.raises(UnknownOutcome):
            client.request("GET", raw_server.url, limits=TimeLimits(5, 30))
        assert time.monotonic() - started < 2
        raw_server.answer = reply(b"ok")
        assert client.request("GET", raw_server.url, limits=TimeLimits(5, 30)).status == 200

    @pytest.mark.clock
    def test_several_calls_can_share_the_time_of_one(self, client: HttpClient, raw_server: RawServer) -> None:
        raw_server.answer = drip(b"", b"", raw_server)
        started = time.monotonic()
        with time_limit(0.6), one_time_limit(TimeLimits(1, 20)):
            with pytest.raises(UnknownOutcome):
                client.request("GET", raw_server.url, limits=TimeLimits(0.4, 0.4))
            left = seconds_left()
            assert left is not None
            assert left < 0.3
            with pytest.raises(UnknownOutcome):
                client.request("GET", raw_server.url, limits=TimeLimits(5, 30))
            assert time.monotonic() - started < 1.0, "the second had what the first left, not the whole again"
            with pytest.raises(UnknownOutcome):
                client.request("GET", raw_server.url, limits=TimeLimits(5, 30))
        assert time.monotonic() - started < 1.2
        assert seconds_left() is None
        raw_server.answer = reply(b"ok")
        with one_time_limit(TimeLimits(1, 5)):
            assert client.request("GET", raw_server.url).status == 200

    @pytest.mark.clock
    def test_calls_that_began_apart_end_apart(self, client: HttpClient, raw_server: RawServer) -> None:
        raw_server.answer = drip(b"", b"", raw_server)

        def took(wait: float) -> float:
            time.sleep(wait)
            began = time.monotonic()
            with pytest.raises(UnknownOutcome):
                client.request("GET", raw_server.url, limits=TimeLimits(1, 5.1))
            return time.monotonic() - began

        with ThreadPoolExecutor(3) as pool:
            assert all(5.1 <= seconds < 5.5 for seconds in pool.map(took, (0.0, 0.3, 0.6))), "no rounding of seconds"

    @pytest.mark.clock
    def test_waiting_callers_do_not_hold_up_others(self, client: HttpClient, raw_server: RawServer) -> None:
        slow = RawServer()
        slow.answer = drip(b"", b"", slow)
        with ThreadPoolExecutor(9) as pool:
            stuck = [pool.submit(client.request, "GET", slow.url, limits=TimeLimits(1, 1)) for _ in range(8)]
            started = time.monotonic()
            assert pool.submit(client.request, "GET", raw_server.url).result().status == 200
            assert time.monotonic() - started < 0.8
            assert all(isinstance(future.exception(), UnknownOutcome) for future in stuck)
        slow.close()


class TestWhatWasSent:
    """NotSent only where nothing can have arrived; everything later is unknown."""

    def test_nobody_listens(self, client: HttpClient) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        with pytest.raises(NotSent):
            client.request("GET", f"http://127.0.0.1:{port}/", limits=SHORT)

    def test_no_such_name(self, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
        def lookup(*_arguments: object, **_more: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        with pytest.raises(NotSent):
            client.request("GET", "http://nobody.example/", limits=SHORT)

    def test_no_trustworthy_certificate(self, client: HttpClient, raw_server: RawServer) -> None:
        raw_server.answer = b"this is no TLS\r\n\r\n"
        with pytest.raises((NotSent, UnknownOutcome)):
            client.request("GET", f"https://127.0.0.1:{raw_server.port}/", limits=SHORT)
        assert not any(b"GET" in request for request in raw_server.requests)

    @pytest.mark.parametrize("url", ["http://", "http://[::1", "nonsense", "", "http://127.0.0.1:port/"])
    def test_unusable_addresses(self, client: HttpClient, url: str) -> None:
        with pytest.raises(NotSent):
            client.request("GET", url)

    @pytest.mark.parametrize(
        "first", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"]
    )
    @pytest.mark.parametrize("end", [reset, socket.socket.close], ids=["reset", "close"])
    def test_broken_after_the_request_is_unknown(
        self, client: HttpClient, raw_server: RawServer, first: bytes, end: Callable[[socket.socket], None]
    ) -> None:
        def behave(connection: socket.socket) -> None:
            connection.sendall(first)
            end(connection)

        raw_server.answer = behave
        with pytest.raises(UnknownOutcome):
            client.request("POST", raw_server.url, body=b"pay", limits=SHORT)
        assert len(raw_server.requests) == 1

    def test_a_kept_connection_that_died_is_never_used_to_send_twice(
        self, client: HttpClient, raw_server: RawServer
    ) -> None:
        assert client.request("GET", raw_server.url).status == 200
        raw_server.answer = reset
        with pytest.raises(UnknownOutcome):
            client.request("POST", raw_server.url, body=b"pay", limits=SHORT)
        assert sum(b"pay" in request for request in raw_server.requests) == 1

    @pytest.mark.parametrize(
        "answer",
        [b"garbage\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"\x00" * 50 + b"\r\n\r\n",
         b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
         reply(b"not gzip", headers="Content-Encoding: gzip\r\n")],
        ids=["text", "status", "nulls", "length", "huge header", "encoding"],
    )  # fmt: skip
    def test_what_is_no_http_is_unknown(self, client: HttpClient, raw_server: RawServer, answer: bytes) -> None:
        raw_server.answer = answer
        with pytest.raises(UnknownOutcome):
            client.request("GET", raw_server.url, limits=SHORT)


class TestBytes:
    def test_exactly_the_limit_is_read(self, client: HttpClient, raw_server: RawServer) -> None:
        raw_server.answer = reply(b"x" * 1000)
        assert len(client.request("GET", raw_server.url, max_bytes=1000).body) == 1000
        with pytest.raises(UnknownOutcome, match="larger than 999"):
            client.request("GET", raw_server.url, max_bytes=999)

    def test_an_endless_body_is_cut_off(self, client: HttpClient, raw_server: RawServer) -> None:
        def flood(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not raw_server.stopped.is_set():
                connection.sendall(b"x" * 65536)

        raw_server.answer = flood
        with pytest.raises(UnknownOutcome, match="larger than"):
            client.request("GET", raw_server.url, max_bytes=1_000_000)

    def test_a_small_bomb_counts_unpacked(self, client: HttpClient, raw_server: RawServer) -> None:
        raw_server.answer = reply(gzip.compress(b"\x00" * 20_000_000), headers="Content-Encoding: gzip\r\n")
        with pytest.raises(UnknownOutcome, match="larger than"):
            client.request("GET", raw_server.url, max_bytes=1_000_000)


class TestRecording:
    def test_an_answered_call(self, client: HttpClient, raw_server: RawServer) -> None:
        with recording() as calls:
            client.request("POST", raw_server.url, headers={"x-a": "1"}, body=b"in", operation="query")
        (call,) = calls
        assert (call.method, call.url, call.operation) == ("POST", raw_server.url, "query")
        assert (call.request_body, call.response_body, call.status, call.error) == (b"in", b"ok", 200, "")
        assert call.request_headers == {"x-a": "1"}
        assert call.response_headers["content-length"] == "2"
        assert call.elapsed_ms >= 0

    def test_calls_that_failed_are_there_too(self, client: HttpClient, raw_server: RawServer) -> None:
        raw_server.answer = reset
        with recording() as calls:
            with pytest.raises(UnknownOutcome):
                client.request("GET", raw_server.url, limits=SHORT)
            with pytest.raises(NotSent):
                client.request("GET", "http://10.0.0.1/", limits=SHORT)
        assert [(call.status, call.error.split(":")[0]) for call in calls] == [
            (None, "UnknownOutcome"), (None, "NotSent"),
        ]  # fmt: skip

    def test_only_this_thread_and_this_block(self, client: HttpClient, raw_server: RawServer) -> None:
        client.request("GET", raw_server.url)
        with recording() as calls:
            other = threading.Thread(target=client.request, args=("GET", raw_server.url))
            other.start()
            other.join()
            client.request("GET", raw_server.url + "mine")
        client.request("GET", raw_server.url)
        assert [call.url for call in calls] == [raw_server.url + "mine"]

    def test_blocks_nest(self, client: HttpClient, raw_server: RawServer) -> None:
        with recording() as outer:
            with recording() as inner:
                client.request("GET", raw_server.url)
            client.request("GET", raw_server.url)
        assert (len(inner), len(outer)) == (1, 1)


def test_many_threads_share_one_client(client: HttpClient, raw_server: RawServer) -> None:
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda n: client.request("GET", f"{raw_server.url}{n}").status, range(100)))
    assert found == [200] * 100
    assert len(raw_server.requests) == 100


def test_coroutines_fan_out_on_the_loop(client: HttpClient, raw_server: RawServer) -> None:
    async def all_at_once() -> list[int]:
        calls = [client.fetch("GET", raw_server.url, limits=SHORT) for _ in range(20)]
        return [answer.status for answer in await asyncio.gather(*calls)]

    assert run_on_loop(all_at_once()) == [200] * 20
