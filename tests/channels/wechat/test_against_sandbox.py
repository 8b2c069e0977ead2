"""The provider and the project's own WeChat stand-in, two readings of one protocol, over real sockets."""

from __future__ import annotations

import json
import queue
import re
import secrets
import select
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from channels.base import (
    CloseOutcome,
    InboundRequest,
    Initiated,
    Notice,
    NoticeKind,
    PaymentState,
    PayOrder,
    QrCode,
    Redirect,
    Refused,
    SdkParams,
)
from channels.base.config import clean_config
from channels.wechat.provider import WeChatPay
from paycenter.errors import BadSignature, IdentityMismatch, PaycenterError, UnknownOutcome
from paycenter.money import Money

ROOT = Path(__file__).parents[3]
SCENES = ["wechat_native", "wechat_jsapi", "wechat_mini", "wechat_h5", "wechat_app"]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


_browser = urllib.request.build_opener(NoRedirect)


@dataclass
class Sandbox:
    url: str
    state: Path

    def control(self, path: str, data: Any = None, method: str = "POST") -> tuple[int, dict[str, Any]]:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + "/control" + path, data=body, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as exc:
            return exc.code, json.load(exc)

    def contract(self, mode: str) -> dict[str, Any]:
        out = self.state / f"{secrets.token_hex(4)}.json"
        command = [sys.executable, "-m", "sandbox", "issue", "--state", str(self.state), "--channel", "wechat"]
        command += ["--name", "物业", "--mode", mode, "--base-url", self.url, "--out", str(out)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=60)
        return json.loads(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    state = tmp_path_factory.mktemp("wechat-sandbox")
    command = [sys.executable, "-m", "sandbox", "serve", "--state", str(state), "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 30)[0], "the sandbox did not start within 30 s"
        found = re.search(r"http://[0-9.:]+", process.stdout.readline())
        assert found, "the sandbox did not say where it listens"
        yield Sandbox(found.group(0), state)
    finally:
        process.terminate()
        process.wait(15)


@dataclass
class Receiver:
    """The center's public entrance, as small as it gets: parse, acknowledge, remember."""

    provider: WeChatPay | None = None
    heard: queue.Queue[Notice | PaycenterError] = field(default_factory=queue.Queue)
    url: str = ""

    def answer(self, request: InboundRequest) -> tuple[int, bytes]:
        assert self.provider is not None
        try:
            notice = self.provider.parse_notify(request)
        except PaycenterError as exc:
            self.heard.put(exc)
            reply = self.provider.nack(type(exc).__name__)
        else:
            self.heard.put(notice)
            reply = self.provider.ack(notice)
        return reply.status, reply.body


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {k.lower(): v for k, v in self.headers.items()}
            request = InboundRequest(method="POST", path=self.path, headers=headers, body=body)
            status, answer = found.answer(request)
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def accounts(sandbox, http) -> dict[str, WeChatPay]:
    """One merchant of each mode, its platform certificates fetched and stored as the core does it."""
    made = {}
    for mode in ("public_key", "platform_certificate", "switching"):
        raw = sandbox.contract(mode)
        build = lambda raw: WeChatPay(clean_config(WeChatPay, raw, datetime.now(UTC)), http=http)  # noqa: E731
        chain = "".join(c.pem for c in build(raw).refresh_certificates())
        made[mode] = build(raw | ({"platform_certificates": chain} if chain else {}))
    return made


@pytest.fixture(params=["public_key", "platform_certificate", "switching"])
def wechat(request, accounts, receiver, sandbox) -> Iterator[WeChatPay]:
    receiver.provider = accounts[request.param]
    yield receiver.provider
    sandbox.control("/faults", method="DELETE")


@pytest.fixture
def new_order(receiver):
    def make(**changes: Any) -> PayOrder:
        number, now = f"20261121{secrets.token_hex(8).upper()}", datetime.now(UTC)
        fields: dict[str, Any] = {
            "order_no": number, "amount": Money(12345), "subject": "2026年11月物业管理费",
            "sent_at": now, "expire_at": now + timedelta(minutes=30), "client_ip": "203.0.113.9",
            "notify_url": f"{receiver.url}/notify/wechat/{number}", "return_url": f"{receiver.url}/return?a=1",
        }  # fmt: skip
        return PayOrder(**(fields | changes))

    return make


def as_gopay_answers(result: Initiated) -> dict[str, Any]:
    instruction = result.instruction
    kind = {QrCode: "qrcode", SdkParams: "sdk", Redirect: "redirect"}[type(instruction)]
    extra = {"method": "GET"} if kind == "redirect" else {}
    return {"type": kind} | extra | asdict(instruction)


def openid_of(wechat: WeChatPay) -> str:
    """What the payer's browser does: authorise, and come back with a code."""
    url = wechat.authorize_url(redirect_uri="http://127.0.0.1:9/c/T/auth/wechat", state="S1")
    with pytest.raises(urllib.error.HTTPError) as caught:
        _browser.open(url.partition("#")[0], timeout=10)
    location = caught.value.headers["Location"]
    assert "state=S1" in location
    code = re.search(r"code=([^&]+)", location)
    assert code
    openid = wechat.payer_from_code(code.group(1))["openid"]
    with pytest.raises(BadSignature):
        wechat.payer_from_code(code.group(1))
    return openid


@pytest.mark.parametrize("scene", SCENES)
def test_each_scene_is_paid_told_and_found_by_query(scene, wechat, new_order, sandbox, receiver):
    needs_openid = scene in ("wechat_jsapi", "wechat_mini")
    order = new_order(payer={"openid": openid_of(wechat)} if needs_openid else {})
    result = wechat.pay(scene, order)
    assert isinstance(result, Initiated), result
    assert wechat.query(order).state is PaymentState.UNPAID
    status, paid = sandbox.control("/pay", {"attempt_no": order.order_no, "pay": as_gopay_answers(result)})
    assert status == 200, paid
    notice = receiver.heard.get(timeout=10)
    assert isinstance(notice, Notice), notice
    assert (notice.kind, notice.state) == (NoticeKind.PAYMENT, PaymentState.PAID)
    found = wechat.query(order)
    assert found.state is PaymentState.PAID
    for seen in (notice, found):
        assert (seen.order_no, seen.amount) == (order.order_no, Money(12345))
        assert seen.channel_trade_no == paid["channel_trade_no"]
        assert abs((seen.paid_at - datetime.now(UTC)).total_seconds()) < 60


def test_an_unpaid_order_is_closed_and_stays_so(wechat, new_order, sandbox):
    order = new_order()
    wechat.pay("wechat_native", order)
    assert wechat.close(order).outcome is CloseOutcome.CLOSED
    assert wechat.query(order).state is PaymentState.CLOSED
    status, _body = sandbox.control("/pay", {"attempt_no": order.order_no})
    assert status == 409


def test_a_paid_order_is_not_closed(wechat, new_order, sandbox):
    order = new_order()
    wechat.pay("wechat_native", order)
    sandbox.control("/pay", {"attempt_no": order.order_no, "notify": "none"})
    try:
        outcome = wechat.close(order).outcome
    except UnknownOutcome:
        outcome = None
    assert outcome is not CloseOutcome.CLOSED
    assert wechat.query(order).state is PaymentState.PAID


def test_an_order_nobody_placed(wechat, new_order):
    assert wechat.query(new_order()).state is PaymentState.NOT_FOUND
    assert wechat.close(new_order()).outcome in (CloseOutcome.NOT_FOUND, CloseOutcome.CLOSED)


def test_the_same_order_again_is_taken_and_another_under_its_number_is_not(wechat, new_order):
    order = new_order()
    assert isinstance(wechat.pay("wechat_native", order), Initiated)
    assert isinstance(wechat.pay("wechat_native", order), Initiated)
    other = new_order(order_no=order.order_no, amount=Money(1), notify_url=order.notify_url)
    refused = wechat.pay("wechat_native", other)
    assert isinstance(refused, Refused)
    assert refused.code == "OUT_TRADE_NO_USED"


def test_a_bar_and_a_star_in_an_order_number(wechat, new_order):
    order = new_order(order_no=f"A|B*C-{secrets.token_hex(4)}")
    assert isinstance(wechat.pay("wechat_native", order), Initiated)
    assert wechat.query(order).state is PaymentState.UNPAID
    assert wechat.close(order).outcome is CloseOutcome.CLOSED


@pytest.mark.parametrize(
    ("fake", "error"),
    [("forged", BadSignature), ("unsigned", BadSignature), ("other_merchant", IdentityMismatch)],
)
def test_a_fake_notification_is_refused(fake, error, wechat, new_order, sandbox, receiver):
    order = new_order()
    wechat.pay("wechat_native", order)
    _status, told = sandbox.control("/notify", {"attempt_no": order.order_no, "notify": fake})
    assert told["status"] == 500
    assert type(receiver.heard.get(timeout=10)) is error
    assert wechat.query(order).state is PaymentState.UNPAID


@pytest.mark.parametrize(
    ("fake", "differs"),
    [("wrong_amount", "amount"), ("wrong_currency", "amount"), ("other_order", "order_no")],
)
def test_a_false_claim_reaches_the_core_as_it_was_made(fake, differs, wechat, new_order, sandbox, receiver):
    order = new_order()
    wechat.pay("wechat_native", order)
    sandbox.control("/notify", {"attempt_no": order.order_no, "notify": fake})
    notice = receiver.heard.get(timeout=10)
    assert isinstance(notice, Notice)
    assert getattr(notice, differs) != getattr(order, differs)


@pytest.mark.parametrize("operation", ["pay", "query", "close"])
@pytest.mark.parametrize("fault", ["http500", "reset", "bad_signature", "no_signature", "garbage", "lost_reply"])
def test_no_fault_is_ever_taken_for_an_answer(operation, fault, accounts, receiver, new_order, sandbox):
    wechat = receiver.provider = accounts["public_key"]
    order = new_order()
    wechat.pay("wechat_native", order)
    fault_order = {"channel": "wechat", "operation": operation, "fault": fault, "seconds": 0.2}
    assert sandbox.control("/faults", fault_order)[0] == 200
    act = {"pay": lambda: wechat.pay("wechat_native", order), "query": lambda: wechat.query(order),
           "close": lambda: wechat.close(order)}[operation]  # fmt: skip
    try:
        answer = act()
    except UnknownOutcome:
        answer = act()  # asked again under the same number, it answers
    else:
        # The HTTP library itself asks a GET again when a kept connection breaks; the truth comes back.
        assert (operation, fault) in {("query", "reset"), ("query", "lost_reply")}
    if operation == "query":
        assert answer.state is PaymentState.UNPAID


def test_the_connection_check_is_content(wechat):
    result = wechat.check()
    assert result.ok, result


def test_a_refund_from_the_channels_console_leaves_the_order_paid(wechat, new_order, sandbox):
    order = new_order()
    wechat.pay("wechat_native", order)
    sandbox.control("/pay", {"attempt_no": order.order_no, "notify": "none"})
    status, answer = sandbox.control("/refunds", {"attempt_no": order.order_no, "amount": 45})
    assert status == 200, answer
    assert wechat.query(order).state is PaymentState.PAID
