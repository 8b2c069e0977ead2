"""The program itself: starts, says where, stops on a signal, keeps what it knows, names a busy port."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.sandbox.clients import AlipayMerchant

ROOT = Path(__file__).parents[2]


class Program:
    def __init__(self, state: Path, *more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "serve", "--state", str(state), "--port", "0", *more],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        )  # fmt: skip
        assert self.process.stdout is not None
        match = re.fullmatch(r"sandbox: (http://127\.0\.0\.1:\d+)/wallet\n", self.process.stdout.readline())
        assert match
        self.url = match.group(1)

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            return bytes(response.read())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path / "state")
    yield made
    if made.process.poll() is None:
        made.end()


def test_is_healthy_and_ends_cleanly_on_sigterm(program: Program) -> None:
    assert json.loads(program.get("/healthz")) == {"status": "ok"}
    assert program.end() == 0


def test_a_held_connection_does_not_hold_up_the_end(program: Program) -> None:
    fault = {"channel": "alipay", "operation": "query", "fault": "timeout", "seconds": 60}
    urllib.request.urlopen(urllib.request.Request(
        program.url + "/control/faults", json.dumps(fault).encode(), {"Content-Type": "application/json"}
    ), timeout=5).close()  # fmt: skip
    with socket.create_connection(("127.0.0.1", int(program.url.rsplit(":", 1)[1]))) as held:
        held.sendall(b"GET /gateway.do?method=alipay.trade.query HTTP/1.1\r\nHost: x\r\n\r\n")
        held.settimeout(0.3)
        with pytest.raises(TimeoutError):
            held.recv(1)
        assert program.end(signal.SIGINT) == 0


def test_issue_while_serving_names_the_running_address_and_is_known_at_once(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "contract.json"
    subprocess.run(
        [sys.executable, "-m", "sandbox", "issue", "--state", str(tmp_path / "state"), "--channel", "wechat",
         "--name", "x", "--payment-no", "P1", "--out", str(out)], check=True, cwd=ROOT,
    )  # fmt: skip
    assert json.loads(out.read_text())["base_url"] == program.url
    assert program.get("/control/bill/P1/2026-01-01").startswith("\ufeff交易时间".encode())


def test_a_busy_port_is_a_sentence(program: Program, tmp_path: Path) -> None:
    port = program.url.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "serve", "--state", str(tmp_path / "other"), "--port", port],
        capture_output=True, text=True, check=False, timeout=20, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_sandbox_knows_everything_afterwards(tmp_path: Path) -> None:
    out, state = tmp_path / "contract.json", tmp_path / "state"
    first = Program(state)
    subprocess.run([sys.executable, "-m", "sandbox", "issue", "--state", str(state), "--channel", "alipay",
                    "--name", "x", "--out", str(out)], check=True, cwd=ROOT)  # fmt: skip
    config = json.loads(out.read_text())
    order = urlencode(AlipayMerchant(None, config).params("alipay.trade.precreate", {  # type: ignore[arg-type]
        "out_trade_no": "KILL1", "total_amount": "1.00", "subject": "x",
    }))  # fmt: skip
    assert b'"10000"' in first.get(f"/gateway.do?{order}")
    fault = {"channel": "wechat", "operation": "query", "fault": "reset", "times": 3}
    for path, data in (("pay", {"attempt_no": "KILL1"}), ("faults", fault)):
        urllib.request.urlopen(urllib.request.Request(
            f"{first.url}/control/{path}", json.dumps(data).encode(), {"Content-Type": "application/json"}
        ), timeout=5).close()  # fmt: skip
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    second = Program(state)
    try:
        book = json.loads(second.get("/control/payments/KILL1"))
        assert (book["state"], book["amount"], book["calls"]) == ("paid", 100, {"pay": 1})
        assert json.loads(second.get("/control/faults"))["faults"][0]["times"] == 3
    finally:
        second.end()
