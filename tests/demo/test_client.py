"""The demo's own caller against the center's check of signatures, and against odd answers."""

import http.server
import threading

import pytest

from deploy.demo import payment
from deploy.demo.client import CallFailed, Client, answers, pay_as_payer


@pytest.fixture
def server():
    """Answers every request with the next of `replies`; keeps what it received."""
    replies, received = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def _reply(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received.append((self.command, self.path, dict(self.headers), body))
            status, text = replies.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET = _reply

        def log_message(self, *_args):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    made.url, made.replies, made.received = f"http://127.0.0.1:{made.server_port}", replies, received
    yield made
    made.shutdown()
    made.server_close()


def test_a_call_carries_the_signed_headers_and_gives_the_data(server):
    server.replies.append((200, b'{"errno": 0, "msg": "ok", "data": {"trade_no": "P1"}}'))

    assert Client(server.url, "APP1", "secret").call("/v1/query/trade", trade_no="P1") == {"trade_no": "P1"}

    _verb, path, headers, body = server.received[0]
    assert path == "/v1/query/trade"
    assert body == b'{"trade_no": "P1"}'
    assert {"X-App-Id", "X-Timestamp", "X-Nonce", "X-Sign-Type", "X-Signature"} <= {h.title() for h in headers}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((409, b'{"errno": 40901, "msg": "paid", "data": {}}'), "40901"),
        ((504, b'{"errno": 50401, "msg": "unknown", "data": {}}'), "50401"),
        ((502, b"<html>"), "answered 502"),
        ((200, b"<html>"), "did not answer with JSON"),
    ],
)
def test_anything_but_success_is_said(server, reply, said):
    server.replies.append(reply)

    with pytest.raises(CallFailed, match=said):
        Client(server.url, "APP1", "secret").call("/v1/gopay")


def test_nobody_there_is_said():
    with pytest.raises(CallFailed, match="cannot be reached"):
        pay_as_payer("http://127.0.0.1:1", "A1", {})
    assert not answers("http://127.0.0.1:1/healthz")


def test_only_200_is_up(server):
    server.replies += [(503, b""), (200, b"ok")]

    assert not answers(f"{server.url}/readyz")
    assert answers(f"{server.url}/readyz")


def test_a_payment_that_never_arrives_is_a_failure(server, monkeypatch):
    monkeypatch.setattr(payment, "PATIENCE", 0.3)
    server.replies += [(200, b'{"errno": 0, "msg": "ok", "data": {"state": "paying"}}')] * 20

    with pytest.raises(CallFailed, match="trade P1 is paying after 0 s, not paid"):
        payment._until_paid(Client(server.url, "APP1", "secret"), "P1")


def test_an_example_of_another_database_is_not_shown(server):
    server.replies += [
        (404, b'{"errno": 40401, "msg": "no such trade", "data": {}}'),
        (200, b'{"errno": 0, "msg": "ok", "data": {"state": "closed"}}'),
        (200, b'{"errno": 0, "msg": "ok", "data": {"state": "paid"}}'),
    ]
    client = Client(server.url, "APP1", "secret")

    assert payment._still_paid(client, "P1") is None
    assert payment._still_paid(client, "P1") is None
    assert payment._still_paid(client, "P1") == {"state": "paid"}


@pytest.mark.parametrize(
    ("codes", "chosen"),
    [(["alipay_app", "alipay_qr", "wechat_native"], "wechat_native"), (["alipay_qr", "x"], "alipay_qr"), (["x"], "x")],
)
def test_the_example_is_paid_by_scanning_where_possible(codes, chosen):
    assert payment._choose(codes) == chosen
