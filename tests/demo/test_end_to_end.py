"""The real demo, as `make demo` runs it, on free ports and a directory of its own."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy import environment
from deploy.demo.client import CallFailed, Client
from deploy.demo.layout import ROOT
from tests.docs.pages import blocks

pytestmark = [pytest.mark.demo, pytest.mark.timeout(300)]
START_LIMIT = 120.0  # seconds, for a machine busy with other tests
NUMBER = re.compile(r"[0-9A-Z]{16,32}")


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def command(pid: int) -> str:
    """Empty for a process that is gone meanwhile."""
    with suppress(OSError):
        return _command(pid)
    return ""


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@dataclass
class Demo:
    var: Path
    ports: tuple[int, int] = field(default_factory=free_ports)
    servers: dict[str, str] = field(default_factory=dict)  # DATABASE_URL and REDIS_URL, or nothing
    process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        # Settings of the test run itself must not leak in.
        dropped = ("PAYCENTER_", "DJANGO_", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return kept | {
            "PAYCENTER_VAR": str(self.var), "PAYCENTER_PORT": str(self.ports[0]),
            "PAYCENTER_SANDBOX_PORT": str(self.ports[1]), **self.servers,
        }  # fmt: skip

    def start(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.demo"], cwd=ROOT, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return self.process

    @property
    def file(self) -> Path:
        return self.var / "demo.json"

    def started(self) -> dict:
        self.start()
        limit = time.monotonic() + START_LIMIT
        while (document := self._document()) is None:
            if self.process.poll() is not None or time.monotonic() > limit:
                self.process.kill()
                pytest.fail(f"the demo did not start:\n{self.process.communicate()[0]}\n{self._logs()}")
            time.sleep(0.05)
        return document

    def _document(self) -> dict | None:
        """What this start wrote; one that was killed leaves its own."""
        try:
            found = json.loads(self.file.read_text())
        except FileNotFoundError:
            return None
        return found if found["pid"] == self.process.pid else None

    def _logs(self) -> str:
        return "\n".join(f"== {p.name}\n{p.read_text(errors='replace')[-1500:]}" for p in self.var.glob("log/*.log"))

    def processes(self) -> set[int]:
        """Every process that belongs to this demo, by what only it has in its environment."""
        mark = f"PAYCENTER_VAR={self.var}".encode()
        found = set()
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
            except OSError:
                continue
        return found

    def all_gone_within(self, seconds: float) -> float:
        began = time.monotonic()
        while self.processes():
            self.process.poll()
            assert time.monotonic() - began < seconds, f"still there: {self.processes()}"
            time.sleep(0.05)
        return time.monotonic() - began

    def stop(self, number: int = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        return self.process.communicate(timeout=40)[0]  # the supervisor forces its programs before

    def client(self, document: dict, app: int = 0) -> Client:
        return Client(document["base_url"], document["apps"][app]["app_id"], document["apps"][app]["hmac_secret"])


@pytest.fixture
def servers():
    """An empty database of the PostgreSQL server that the tests run on, and its Redis; nothing on SQLite."""
    url = os.environ.get("DATABASE_URL", "").replace("postgres://", "postgresql://")
    if not url.startswith("postgresql://"):
        yield {}
        return
    name = f"demo_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        found = {"DATABASE_URL": f"{url.rpartition('/')[0]}/{name}"}
        if os.environ.get("REDIS_URL"):
            found["REDIS_URL"] = f"{os.environ['REDIS_URL'].rpartition('/')[0]}/{9 + secrets.randbelow(7)}"
        yield found
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def demo(tmp_path, servers):
    made = Demo(tmp_path / "var", servers=servers)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.communicate()
    for _ in range(100):
        if not made.processes():
            break
        time.sleep(0.1)
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)


def test_one_life(demo):
    """First start, what it promises, a second demo beside it, the end, a second start with the data kept."""
    first = demo.started()
    _promises(demo, first)
    _the_readme_works(demo)
    _busy_directory(demo)
    _busy_port(demo, first)

    said = demo.stop()

    assert demo.all_gone_within(15) < 15
    assert not demo.file.exists()
    assert demo.process.returncode == 0, said
    assert "Traceback" not in said
    assert first["admin"]["users"]["operator"]["password"] in said

    began = time.monotonic()
    second = demo.started()
    took = time.monotonic() - began
    assert second | {"pid": 0} == first | {"pid": 0}, "a second start keeps apps, accounts and logins"
    example = json.loads((demo.var / "first-payment.json").read_text())
    assert demo.client(second).call("/v1/query/trade", trade_no=example["trade_no"])["state"] == "paid"
    busy = max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))  # others may be using the machine
    assert took < 10 * busy, f"the second start took {took:.1f} s"

    os.kill(second["pid"], signal.SIGKILL)
    demo.process.communicate()
    assert demo.all_gone_within(15) < 15, "kill -9 of the supervisor leaves nothing"
    assert demo.started()["apps"] == first["apps"], "and the next start finds its way"
    demo.stop(signal.SIGINT)
    demo.all_gone_within(15)


def _promises(demo, document):
    assert stat.S_IMODE(demo.file.stat().st_mode) == 0o600
    assert set(document) == {"base_url", "sandbox_url", "admin", "apps", "merchants", "pid"}
    assert document["pid"] == demo.process.pid
    assert (document["base_url"], document["sandbox_url"]) == tuple(f"http://127.0.0.1:{p}" for p in demo.ports)
    users = document["admin"]["users"]
    assert set(users) == {"operator", "owner", "merchant", "finance", "finance2", "service", "auditor"}
    assert len({user["password"] for user in users.values()}) == len(users)
    assert min(len(user["password"]) for user in users.values()) >= 16
    for address in ("/healthz", "/readyz"):
        assert urllib.request.urlopen(document["base_url"] + address).status == 200
    assert urllib.request.urlopen(document["sandbox_url"] + "/healthz").status == 200
    _apps_and_merchants(demo, document)
    _a_paid_example(demo, document)


def _apps_and_merchants(demo, document):
    assert len(document["apps"]) == len(document["merchants"]) == 2
    for app in document["apps"]:
        path = Path(app["rsa_private_key_path"])
        assert path.is_absolute()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert load_pem_private_key(path.read_bytes(), None).key_size >= 2048
        assert app["webhook_secret"].startswith("whsec_")
    for merchant in document["merchants"]:
        assert {"alipay", "wechat"} <= {account["channel"] for account in merchant["accounts"]}
        codes = [code for account in merchant["accounts"] for code in account["methods"]]
        assert len(codes) == len(set(codes)), "a method names one account of a merchant"
        assert {"alipay_qr", "alipay_page", "wechat_native", "wechat_jsapi"} <= set(codes)
    assert {a["channel"] for a in document["merchants"][1]["accounts"]} == {"alipay", "wechat"}


def _a_paid_example(demo, document):
    example = json.loads((demo.var / "first-payment.json").read_text())
    trade = demo.client(document).call("/v1/query/trade", trade_no=example["trade_no"])
    assert trade["state"] == "paid"
    assert trade["paid_amount"] == trade["amount"] == 12850
    assert NUMBER.fullmatch(trade["trade_no"])
    assert NUMBER.fullmatch(trade["attempt_no"])
    assert trade["channel_trade_no"]
    # The second app collects for the second merchant only.
    second = demo.client(document, app=1)
    order = {"method": "alipay_qr", "amount": 1, "subject": "x", "app_order_no": "X1"}
    sent = second.call("/v1/gopay", merchant_no=document["merchants"][1]["merchant_no"], **order)
    assert sent["pay"]["type"] == "qrcode"
    with pytest.raises(CallFailed, match="40302"):
        second.call("/v1/gopay", merchant_no=document["merchants"][0]["merchant_no"], **order)


def _the_readme_works(demo):
    """Its example is saved beside `var` and run, as it says."""
    path = demo.var.with_name("pay.py")
    path.write_text("\n".join(blocks("README.md", "python")))
    done = subprocess.run(
        [sys.executable, path.name], cwd=path.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    first, paid, refunded = done.stdout.splitlines()
    assert re.fullmatch(r"scan this: \S+", first)
    assert re.fullmatch(r"paid: ORDER-[0-9a-f]{12} [0-9A-Z]{16,32} \S+", paid)
    assert re.fullmatch(r"refund: succeeded [0-9A-Z]{16,32} None", refunded)


def _refused(demo, ports, var):
    other = Demo(var, ports)
    other.start()
    said = other.process.communicate(timeout=30)[0]
    assert other.process.returncode == 1
    assert "Traceback" not in said
    return said


def _busy_directory(demo):
    said = _refused(demo, free_ports(), demo.var)
    assert f"already running on {demo.var} (pid {demo.process.pid})" in said
    assert demo.file.exists(), "the running demo's document stays"


def _busy_port(demo, document):
    said = _refused(demo, (demo.ports[0], free_ports()[1]), demo.var.with_name("other"))
    assert f"Port {demo.ports[0]} on 127.0.0.1 is already in use" in said
    assert "PAYCENTER_PORT=" in said


def test_a_signal_while_starting_ends_everything(demo):
    demo.start()
    limit = time.monotonic() + 60
    while len(demo.processes()) < 4:
        assert time.monotonic() < limit
        time.sleep(0.02)

    said = demo.stop()

    demo.all_gone_within(15)
    assert "Stopping" in said
    assert "Traceback" not in said
    assert not demo.file.exists()


def test_a_start_that_was_cut_short_is_taken_up_again(demo):
    demo.start()
    limit = time.monotonic() + 60
    while not (demo.var / "log" / "prepare.log").exists():
        assert time.monotonic() < limit
        time.sleep(0.02)
    time.sleep(3)  # somewhere between the first migration and the last account
    demo.process.kill()
    demo.process.communicate()

    document = demo.started()

    assert [len(m["accounts"]) >= 2 for m in document["merchants"]] == [True, True]
    assert json.loads((demo.var / "first-payment.json").read_text())["channel_trade_no"]


def test_sigterm_to_make_ends_everything(demo):
    ready = any(environment.is_ready(environment.VENV, kind, environment._wanted(kind)) for kind in ("runtime", "dev"))
    if not ready or shutil.which("make") is None:
        pytest.skip("make, or the environment that make builds, is not there")
    make = subprocess.Popen(
        ["make", "demo"], cwd=ROOT, env=demo.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    limit = time.monotonic() + 60
    while not any("sandbox serve" in command(pid) for pid in demo.processes()):
        assert time.monotonic() < limit, make.kill()
        time.sleep(0.05)

    make.send_signal(signal.SIGTERM)
    said = make.communicate(timeout=20)[0]

    demo.all_gone_within(15)
    assert "Stopping" in said


def test_a_program_that_is_killed_comes_back(demo):
    document = demo.started()
    (web,) = _servers(demo)
    os.kill(web, signal.SIGKILL)

    limit = time.monotonic() + 60
    while not (_servers(demo) - {web}) or not _answers(demo, document):
        assert time.monotonic() < limit, "web did not come back"
        time.sleep(0.1)

    said = demo.stop()
    assert "web ended (SIGKILL)" in said
    assert "web was started again" in said


def _servers(demo):
    """Web's own process (its workers are below it)."""
    found = set()
    for pid in demo.processes():
        try:
            if parent(pid) == demo.process.pid and "granian" in command(pid):
                found.add(pid)
        except OSError:  # gone meanwhile
            continue
    return found


def _answers(demo, document):
    try:
        return demo.client(document).call("/v1/sync/events", cursor="")["has_more"] in (True, False)
    except CallFailed:
        return False
