"""A sandbox in a thread on a free port, a merchant that records what it is told, and plain HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.channel import Contract, channel_classes
from sandbox.context import Context, Settings
from sandbox.records import Account
from sandbox.server import start
from sandbox.store import Store


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Running:
    """Serves `state` until `stop`; a second one on the same directory is a restart."""

    def __init__(self, state: Path, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._settings, self._state, self._clock = settings, state, clock
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(10), "the sandbox did not start"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        store = Store(self._state)
        self._end = asyncio.Event()
        self.context = Context(store, self._settings, self._clock)
        runner, self.port = await start(self.context, 0)
        self._started.set()
        await self._end.wait()
        await runner.cleanup()
        store.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the sandbox did not end"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: bytes | str = b"", headers: dict[str, str] | None = None,
        timeout: float = 10,
    ) -> Answer:  # fmt: skip
        """One request, path sent exactly as given, redirects not followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body or None, headers or {})
            response = connection.getresponse()
            found = {k.lower(): v for k, v in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def control(self, method: str, path: str, data: Any = None) -> Answer:
        body = b"" if data is None else json.dumps(data).encode()
        return self.request(method, f"/control{path}", body, {"Content-Type": "application/json"})

    def follow(self, url: str) -> Answer:
        parts = urlsplit(url)
        return self.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))


@dataclass
class Told:
    """One notification as the merchant received it."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Merchant:
    """Records notifications; `answer` is what it replies (status, body)."""

    answer: tuple[int, bytes] = (200, b"success")
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        merchant = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {k.lower(): v for k, v in self.headers.items()}
                merchant.told.append(Told(self.path, headers, body, time.monotonic()))
                status, reply = merchant.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait(self, count: int, seconds: float = 5.0) -> list[Told]:
        deadline = time.monotonic() + seconds
        while len(self.told) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.told) >= count, f"{len(self.told)} of {count} notifications came"
        return self.told

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def sign_contract(
    store: Store, channel: str, *, mode: str, name: str = "测试物业", payment_no: str | None = None,
    base_url: str = "http://sandbox.test",
) -> Contract:  # fmt: skip
    contract = channel_classes()[channel].sign_contract(name=name, mode=mode, base_url=base_url)
    store.add_account(Account(channel=channel, key=contract.key, name=name, config=contract.config,
                              payment_no=payment_no or contract.key, secrets=contract.secrets))  # fmt: skip
    return contract
