"""The real nginx with the configuration as it is delivered, in front of hosts that say what reached them."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.checks.services import free_port
from deploy.hosts.front import Front, find_nginx
from deploy.nginx import balance

pytestmark = pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed")
START_LIMIT = 30.0  # seconds


class Host(ThreadingHTTPServer):
    """Answers with its name, the path, the headers and the length of the body that reached it; /readyz as `ready`."""

    daemon_threads = True
    request_queue_size = 64
    ready = 200

    def __init__(self, name: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Echo)
        self.name = name
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Host

    def do_POST(self) -> None:
        length = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        content = {"host": self.server.name, "path": self.path, "headers": self.headers.items(), "length": length}
        body = json.dumps(content).encode()
        self.send_response(self.server.ready if self.path == "/readyz" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *_given: object) -> None:
        pass


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, Host]]:
    made = {name: Host(name) for name in ("public1", "public2", "internal1")}
    yield made
    for one in made.values():
        one.end()


@pytest.fixture(scope="module")
def front(hosts: dict[str, Host], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    made = Front(folder, {"public": [hosts["public1"].place, hosts["public2"].place],
                          "internal": [hosts["internal1"].place]})  # fmt: skip
    program = subprocess.Popen(made.program().command, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + START_LIMIT
    while not (folder / "nginx.pid").exists():
        assert program.poll() is None, program.stderr and program.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.02)
    yield made
    program.terminate()
    program.wait(10)
    if program.stderr:
        program.stderr.close()


class Asked:
    """One answer: `status`, `text`, and what the host says reached it."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text

    @property
    def content(self) -> dict[str, Any]:
        return dict(json.loads(self.text))

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name.lower(), value) for name, value in self.content["headers"]]


def ask(front: Front, port: int, path: str, body: bytes | None = None, **headers: str) -> Asked:
    trust = ssl.create_default_context(cafile=str(front.certificate))
    link = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trust)
    try:
        sent = {name.replace("__", "-"): value for name, value in headers.items()}
        link.request("GET" if body is None else "POST", path, body, sent)
        found = link.getresponse()
        return Asked(found.status, found.read().decode())
    finally:
        link.close()


FORGED = {"X__Forwarded__For": "10.9.9.9", "X__Forwarded__Proto": "http", "X__Forwarded__Host": "evil.example",
          "X__Real__IP": "10.9.9.9", "Forwarded": "for=10.9.9.9", "X_Forwarded_For": "10.9.9.8"}  # fmt: skip


def test_what_a_client_says_of_himself_is_gone(front: Front) -> None:
    found = ask(front, front.public_port, "/c/x?a=1", **FORGED)
    forwarded = [pair for pair in found.headers if "forward" in pair[0] or "real" in pair[0]]
    assert forwarded == [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https")]
    assert ("host", f"127.0.0.1:{front.public_port}") in found.headers
    assert (found.content["path"], "10.9.9" in found.text) == ("/c/x?a=1", False)


def test_each_entrance_has_its_own_hosts(front: Front) -> None:
    assert ask(front, front.public_port, "/v1/gopay", b"{}").content["host"].startswith("public")
    assert ask(front, front.internal_port, "/v1/gopay", b"{}").content["host"] == "internal1"


def test_health_is_not_shown_outside(front: Front) -> None:
    for path in ("/healthz", "/readyz"):
        assert ask(front, front.public_port, path).status == 404
        assert ask(front, front.internal_port, path).status == 200


def test_large_bodies_end_at_the_door(front: Front) -> None:
    fits, large = b"x" * 256 * 1024, b"x" * (256 * 1024 + 1)
    assert ask(front, front.internal_port, "/v1/gopay", fits).content["length"] == len(fits)
    refused = ask(front, front.internal_port, "/v1/gopay", large)
    assert (refused.status, refused.content["errno"]) == (413, 41300)
    assert ask(front, front.public_port, "/notify/alipay_qr/A1", large).status == 413
    assert ask(front, front.internal_port, "/admin/x/", large).content["length"] == len(large)


def test_names_that_nobody_serves_get_no_answer(front: Front) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(front, front.public_port, "/c/x", Host="evil.example")


def test_nothing_is_answered_without_tls(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.public_port), timeout=10) as link:
        link.sendall(b"GET /c/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert link.recv(64).startswith(b"HTTP/1.1 400")


def test_return_addresses_leave_no_query_in_the_log(front: Front) -> None:
    ask(front, front.public_port, "/return/alipay_qr/A1?buyer=secret-name")
    limit = time.monotonic() + 5
    log = front.folder / "access.log"
    while "/return/alipay_qr/A1" not in log.read_text() and time.monotonic() < limit:
        time.sleep(0.02)
    assert "/return/alipay_qr/A1" in log.read_text()
    assert "secret-name" not in log.read_text()


def test_a_host_leaves_and_returns_without_an_error(
    front: Front, hosts: dict[str, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance, "INTERVAL", 0.05)
    seen, trouble, ended = [], [], threading.Event()

    def load() -> None:
        while not ended.is_set():
            try:
                seen.append(ask(front, front.public_port, "/notify/x/A1", b"{}").content["host"])
            except (OSError, http.client.HTTPException, ValueError) as exc:
                trouble.append(exc)

    worker = threading.Thread(target=load)
    worker.start()
    try:
        with front.watched():
            leaving = hosts["public1"]
            leaving.ready = 503
            _until(lambda: leaving.place in front.out())
            _until(lambda: seen[-10:] == ["public2"] * 10)  # nginx has read it, what was on its way is through
            leaving.end()
            before = len(seen)
            _until(lambda: len(seen) > before + 5)
            assert set(seen[before:]) == {"public2"}
            hosts["public1"] = Host("public1", leaving.server_address[1])
            _until(lambda: not front.out())
            before = len(seen)
            _until(lambda: "public1" in seen[before:])
    finally:
        ended.set()
        worker.join(10)
    assert trouble == []


def test_the_contract_s_words_where_no_host_is_left(tmp_path: Path, front: Front) -> None:
    alone = Front(tmp_path, {"public": [f"127.0.0.1:{free_port()}"], "internal": [f"127.0.0.1:{free_port()}"]})
    program = subprocess.Popen(alone.program().command)
    try:
        _until((tmp_path / "nginx.pid").exists)
        found = ask(alone, alone.internal_port, "/v1/gopay", b"{}")
        assert (found.status, found.content["errno"]) == (500, 50001)
    finally:
        program.terminate()
        program.wait(10)


def _until(done: Any) -> None:
    limit = time.monotonic() + START_LIMIT
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.02)
