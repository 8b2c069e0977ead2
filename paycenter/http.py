"""The one HTTP client of the center, for channels and for telling apps.

aiohttp on one background event loop per process: a single total time limit covers DNS, connecting,
sending, a slow header and a dripping body; redirects are never followed; answers are bounded in
bytes; every connection passes the egress policy. `HttpClient.request` and `download` are for threads,
`fetch` for coroutines already on the loop (fan-out of deliveries).
"""

from __future__ import annotations

import asyncio
import atexit
import math
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TypeVar

import aiohttp
from yarl import URL

from paycenter.egress import EgressPolicy, GuardedResolver
from paycenter.errors import EgressRefused, NotSent, UnknownOutcome

MAX_BODY_BYTES = 4 * 1024 * 1024
# A file that is downloaded: a packed bill of some ten million rows.
MAX_FILE_BYTES = 1024 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
# At a time. Python's own number, a few per processor, lets some silent name servers stop every call.
NAME_LOOKUPS = 128
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds. `total` bounds the whole call including DNS and connecting."""

    connect: float = 3.0
    total: float = 8.0


FILE_LIMITS = TimeLimits(connect=3.0, total=600.0)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """`headers` has lower-case names; of a repeated header the last value."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")


@dataclass(slots=True)
class HttpCall:
    """One outbound request and its end, as the exchange log records it (masked when written)."""

    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: bytes
    operation: str = ""
    status: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: bytes = b""
    elapsed_ms: int = 0
    error: str = ""


_recorder: ContextVar[list[HttpCall] | None] = ContextVar("http_recorder", default=None)
_limits: ContextVar[TimeLimits | None] = ContextVar("http_limits", default=None)
_deadline: ContextVar[float | None] = ContextVar("http_deadline", default=None)


@contextmanager
def recording() -> Iterator[list[HttpCall]]:
    """Collect the calls made by this thread inside the block, finished or not."""
    calls: list[HttpCall] = []
    token = _recorder.set(calls)
    try:
        yield calls
    finally:
        _recorder.reset(token)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Bound every call of this thread inside the block to `seconds` in total, or less if the client says less."""
    token = _limits.set(TimeLimits(connect=seconds, total=max(seconds, 0.05)))
    try:
        yield
    finally:
        _limits.reset(token)


@contextmanager
def one_time_limit(limits: TimeLimits) -> Iterator[None]:
    """Let several calls inside the block (a token, then the request) take together what one call may take:
    `limits.total`, or less where a `time_limit` or another of these around the block says less."""
    around, left = _limits.get(), seconds_left()
    seconds = limits.total if around is None else min(limits.total, around.total)
    if left is not None:
        seconds = min(seconds, left)
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left() -> float | None:
    """What is left of the `one_time_limit` around this, at least 0; None outside of any."""
    deadline = _deadline.get()
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


def _tighter(own: TimeLimits, around: TimeLimits | None) -> TimeLimits:
    """The client's own limits, cut down to the block's and to what is left of a shared one."""
    bounds = [own.total] if around is None else [own.total, around.total]
    left = seconds_left()
    if left is not None:
        bounds.append(max(left, 0.05))
    total = min(bounds)
    return TimeLimits(connect=min(own.connect, total), total=total)


class _Loop:
    """The background event loop of this process, started on first use and again after a fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is not None and self._pid == os.getpid():
            return loop
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = self._start(), os.getpid()
            return self._loop

    @staticmethod
    def _start() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        # For looking up names, which outlives the call that gave up on it, and for writing downloads.
        loop.set_default_executor(ThreadPoolExecutor(NAME_LOOKUPS, "dns"))
        threading.Thread(target=loop.run_forever, name="http-loop", daemon=True).start()
        return loop


_loop = _Loop()


def run_on_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine on the background loop and wait for it; for threads only."""
    return start_on_loop(work).result()


def start_on_loop(work: Coroutine[Any, Any, _T]) -> Future[_T]:
    """Start a coroutine on the background loop, without waiting for it."""
    return asyncio.run_coroutine_threadsafe(work, _loop.get())


def call_on_loop(work: Callable[[], object]) -> None:
    """Call a function on the background loop, which may start coroutines there, without waiting for it."""
    _loop.get().call_soon_threadsafe(work)


class HttpClient:
    """A pooled client. One per policy and process is enough; connections are kept per host."""

    def __init__(self, policy: EgressPolicy | None = None, *, connections_per_host: int = 100) -> None:
        self.policy = policy or EgressPolicy()
        self._per_host = connections_per_host
        self._session: aiohttp.ClientSession | None = None
        self._session_loop: asyncio.AbstractEventLoop | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limits: TimeLimits | None = None,
        operation: str = "",
        max_bytes: int = MAX_BODY_BYTES,
        record_body: bool = True,
    ) -> HttpResponse:
        """Send one request and read the whole answer, whatever its status. Never retries.

        `url` is sent byte for byte as given (already percent-encoded). `record_body` is False where the
        answer carries a file. Raises NotSent when no connection was made or the address is refused,
        UnknownOutcome for everything after that.
        """
        limits = _tighter(limits or TimeLimits(), _limits.get())
        work = self.fetch(method, url, headers=headers, body=body, limits=limits, max_bytes=max_bytes)
        return _recorded(HttpCall(method, url, dict(headers or {}), body, operation), work, body=record_body)

    def download(
        self,
        method: str,
        url: str,
        into: Path,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limits: TimeLimits = FILE_LIMITS,
        operation: str = "",
        max_bytes: int = MAX_FILE_BYTES,
    ) -> HttpResponse:
        """As `request`, but the body of an answer 200 becomes the file `into`, as sent (nothing is unpacked), and is
        neither in the returned answer nor recorded. Any other status is an answer as usual, and makes no file.

        `into` appears only when the body is complete. Raises NotSent, UnknownOutcome, or OSError where `into`
        cannot be made.
        """
        limits = _tighter(limits, _limits.get())
        headers = {"Accept-Encoding": "identity", **(headers or {})}
        part = into.with_name(f"{into.name}.part")
        try:
            with part.open("wb") as file:
                work = self._fetch_file(
                    method, url, file, headers=headers, body=body, limits=limits, max_bytes=max_bytes
                )
                response = _recorded(HttpCall(method, url, dict(headers), body, operation), work)
            if response.status == 200:
                part.replace(into)
            return response
        finally:
            part.unlink(missing_ok=True)

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limits: TimeLimits,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> HttpResponse:
        """As `request`, on the background loop."""
        try:
            async with self._answer(method, url, headers=headers, body=body, limits=limits) as answer:
                content = await _read_bounded(answer, max_bytes)
                return HttpResponse(answer.status, _headers(answer), content)
        except _FAILURES as exc:
            raise _our_error(exc, limits) from exc

    async def _fetch_file(
        self, method: str, url: str, file: IO[bytes], *, headers: Mapping[str, str], body: bytes,
        limits: TimeLimits, max_bytes: int,
    ) -> HttpResponse:  # fmt: skip
        try:
            async with self._answer(
                method, url, headers=headers, body=body, limits=limits, unpack=False
            ) as answer:  # fmt: skip
                if answer.status != 200:
                    return HttpResponse(answer.status, _headers(answer), await _read_bounded(answer, MAX_BODY_BYTES))
                size = 0
                async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                    size += len(chunk)
                    _bound(answer, size, max_bytes)
                    await asyncio.to_thread(file.write, chunk)
                return HttpResponse(answer.status, _headers(answer), b"")
        except _FAILURES as exc:
            raise _our_error(exc, limits) from exc

    def _answer(
        self, method: str, url: str, *, headers: Mapping[str, str] | None, body: bytes, limits: TimeLimits,
        unpack: bool = True,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:  # fmt: skip
        """Sends when it is entered, and hands out the answer while it is being read."""
        try:
            self.policy.check_url(url)
            target = URL(url, encoded=True)
        except (EgressRefused, ValueError) as exc:
            raise NotSent(str(exc)) from exc
        return self._get_session().request(
            method, target, data=body or None, headers=headers, allow_redirects=False, timeout=_timeout(limits),
            auto_decompress=unpack,
        )  # fmt: skip

    def _get_session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session_loop is not loop:
            connector = aiohttp.TCPConnector(
                resolver=GuardedResolver(self.policy), limit=0, limit_per_host=self._per_host,
                use_dns_cache=False,
            )  # fmt: skip
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=True, cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False, skip_auto_headers=("User-Agent", "Content-Type"),
            )  # fmt: skip
            # aiohttp would send GET, PUT and DELETE once more when a kept connection broke; whether to
            # send again is the caller's decision, never the transport's.
            self._session._retry_connection = False
            self._session_loop = loop
            atexit.register(self.close)
        return self._session

    def close(self) -> None:
        """Close the kept connections; the next call opens new ones. For threads only."""
        session, loop = self._session, self._session_loop
        self._session = None
        if session is not None and loop is _loop.get():  # not one inherited over a fork
            with suppress(TimeoutError):
                start_on_loop(session.close()).result(timeout=1.0)


@lru_cache(maxsize=64)
def _timeout(limits: TimeLimits) -> aiohttp.ClientTimeout:
    # Exactly so long: rounded up to a whole second (aiohttp's way from 5 s on), the calls of a channel that
    # hangs would all end in one moment, and what follows them would hold up everybody.
    return aiohttp.ClientTimeout(total=limits.total, sock_connect=limits.connect, ceil_threshold=math.inf)


# What fails until an answer has been read to its end. A time limit that ran out is an OSError.
_FAILURES = (EgressRefused, aiohttp.ClientError, OSError, ValueError)


def _our_error(exc: Exception, limits: TimeLimits) -> NotSent | UnknownOutcome:
    match exc:
        case EgressRefused():
            return NotSent(str(exc))
        case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
            return NotSent(f"no connection: {type(exc).__name__}")
        case aiohttp.InvalidURL():
            return NotSent("not a usable address")
        case TimeoutError():
            return UnknownOutcome(f"no answer within {limits.total:g} s")
        case _:
            return UnknownOutcome(f"the connection broke: {type(exc).__name__}")


def _recorded(call: HttpCall, work: Coroutine[Any, Any, HttpResponse], *, body: bool = True) -> HttpResponse:
    """Do it on the loop, and let a `recording` around this thread see the call, finished or not."""
    calls = _recorder.get()
    if calls is not None:
        calls.append(call)
    started = time.monotonic()
    try:
        response = run_on_loop(work)
    except (NotSent, UnknownOutcome) as exc:
        call.error = f"{type(exc).__name__}: {exc}"
        raise
    finally:
        call.elapsed_ms = int((time.monotonic() - started) * 1000)
    call.status, call.response_headers = response.status, response.headers
    call.response_body = response.body if body else b""
    return response


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _bound(answer: aiohttp.ClientResponse, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        answer.close()
        raise UnknownOutcome(f"the answer is larger than {max_bytes} bytes")


async def _read_bounded(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read the body, refusing what is larger than `max_bytes` after decompression."""
    parts: list[bytes] = []
    size = 0
    while chunk := await answer.content.readany():
        size += len(chunk)
        _bound(answer, size, max_bytes)
        parts.append(chunk)
    return b"".join(parts)
