"""The envelope, and what is refused before anybody asks who calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from merchants.api import rate_limit
from merchants.models import App, Nonce
from notifications.models import Alert
from paycenter.models import Exchange
from tests import factories
from tests.factories import HMAC_SECRET
from tests.fakes.signing import Caller, sign_headers, signed_post

PATH = "/v1/query/trade"
BODY = {"trade_no": "P20261121000000000000ABCDEFG"}
CALLS = ["/v1/gopay", "/v1/cashier/orders", "/v1/close", "/v1/query/trade", "/v1/sync/events"]


def errno(response: Any) -> int:
    """The errno of an answer that has the envelope's form."""
    assert response["Content-Type"] == "application/json"
    assert response["X-Request-Id"]
    body = json.loads(response.content)
    assert set(body) == {"errno", "msg", "data"}
    assert isinstance(body["msg"], str)
    assert body["msg"]
    return int(body["errno"])


# ---- what everything looks like ------------------------------------------------------------------
def test_done_is_errno_0_and_msg_ok(call: Caller, order: dict[str, Any]) -> None:
    found = call("/v1/gopay", order)
    assert found.status_code == 200
    assert errno(found) == 0
    assert found.json()["msg"] == "ok"


def test_an_error_has_empty_data_unless_the_contract_says_what(call: Caller) -> None:
    found = call(PATH, BODY)
    assert (found.status_code, errno(found), found.json()["data"]) == (404, 40401, {})


def test_every_answer_has_its_own_request_id(call: Caller) -> None:
    ids = {call(PATH, BODY)["X-Request-Id"] for _ in range(3)}
    ids.add(call.client.get("/v1/nowhere")["X-Request-Id"])
    ids.add(call.client.get("/healthz")["X-Request-Id"])
    assert len(ids) == 5


def test_text_is_answered_as_it_was_sent(call: Caller, order: dict[str, Any]) -> None:
    call("/v1/gopay", {**order, "subject": "物业费🏠 <b>&"})
    found = call(PATH, {"app_order_no": order["app_order_no"], "merchant_no": order["merchant_no"]})
    assert "物业费🏠 <b>&" in found.content.decode()


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", "image/*;q=0.1"])
def test_the_answer_is_json_whatever_the_caller_says_it_accepts(call: Caller, accept: str) -> None:
    assert errno(call(PATH, BODY, headers={"Accept": accept})) == 40401


# ---- 404, 405, 413, 415: before authentication -----------------------------------------------------
@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nowhere", "/v1/gopay/", "/v1/gopay/x", "/v1/GOPAY", "/v1/query"])
@pytest.mark.parametrize("verb", ["get", "post", "put", "delete", "options", "patch"])
def test_an_unknown_path(client: Client, path: str, verb: str) -> None:
    found = getattr(client, verb)(path)
    assert (found.status_code, errno(found)) == (404, 40400)


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("verb", ["get", "put", "delete", "options", "patch", "trace"])
def test_a_wrong_verb(client: Client, db: None, path: str, verb: str) -> None:
    found = getattr(client, verb)(path)
    assert (found.status_code, errno(found), found["Allow"]) == (405, 40500, "POST")


def test_a_body_over_256_kib_is_refused_without_being_read(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.handlers.wsgi import WSGIRequest

    monkeypatch.setattr(WSGIRequest, "body", property(lambda self: pytest.fail("the body was read")))
    found = call.client.post("/v1/gopay", data=b"x" * (256 * 1024 + 1), content_type="application/json")
    assert (found.status_code, errno(found)) == (413, 41300)


def test_a_body_of_256_kib_is_read(call: Caller) -> None:
    body = b'{"x": "' + b"x" * (256 * 1024 - 9) + b'"}'
    assert len(body) == 256 * 1024
    assert errno(call("/v1/gopay", body)) == 40001


class _Stream:
    """A chunked body as granian hands it over: no length, ends by itself."""

    def __init__(self, data: bytes) -> None:
        self.data, self.asked = data, 0

    def readline(self) -> bytes:
        raise NotImplementedError

    def read(self, size: int) -> bytes:
        self.asked += size
        taken, self.data = self.data[:size], self.data[size:]
        return taken


def post_chunked(call: Caller, data: bytes) -> Any:
    stream = _Stream(data)
    headers = sign_headers("POST", PATH, data, call.app_id, HMAC_SECRET)
    meta = {"CONTENT_LENGTH": "", "wsgi.input": stream, "wsgi.input_terminated": True}
    meta["CONTENT_TYPE"] = "application/json"
    found = call.client.generic("POST", PATH, b"", "application/json", headers=headers, **meta)
    assert stream.asked <= 256 * 1024 + 1
    return found


def test_a_body_sent_in_chunks_is_read_and_bounded_too(call: Caller) -> None:
    assert errno(post_chunked(call, json.dumps(BODY).encode())) == 40401
    assert errno(post_chunked(call, b"x" * 300_000)) == 41300


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json",
     "application/json; charset=gbk", "application/json; charset=utf-16", "application/jsonp", "application/xml"],
)  # fmt: skip
def test_what_is_not_json_by_its_type(call: Caller, content_type: str) -> None:
    found = call.client.post("/v1/gopay", data=b"{}", content_type=content_type)
    assert (found.status_code, errno(found)) == (415, 41500)


def test_a_compressed_body_is_not_json_either(call: Caller) -> None:
    zipped = {"Content-Encoding": "gzip"}
    found = call.client.post("/v1/gopay", data=b"{}", content_type="application/json", headers=zipped)
    assert (found.status_code, errno(found)) == (415, 41500)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON",
     'application/json; charset="utf-8"'],
)  # fmt: skip
def test_json_with_an_optional_charset(call: Caller, content_type: str) -> None:
    raw = json.dumps(BODY).encode()
    headers = sign_headers("POST", PATH, raw, call.app_id, HMAC_SECRET)
    assert errno(call.client.post(PATH, data=raw, content_type=content_type, headers=headers)) == 40401


def test_these_come_before_authentication_and_size_before_type(call: Caller) -> None:
    wrong_all = {"data": b"x" * 300_000, "content_type": "text/plain"}
    assert errno(call.client.post("/v1/nowhere", **wrong_all)) == 40400
    assert errno(call.client.put("/v1/gopay", **wrong_all)) == 40500
    assert errno(call.client.post("/v1/gopay", **wrong_all)) == 41300
    assert errno(call.client.post("/v1/gopay", data=b"x", content_type="text/plain")) == 41500
    assert errno(call.client.post("/v1/gopay", data=b"x", content_type="application/json")) == 40101


# ---- bad input never yields 5xx --------------------------------------------------------------------
@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'"x"', b"\xff", b'{"a":' * 9000, b'{"limit":' + b"9" * 5000 + b"}"]
)
def test_a_bad_json_body_is_named_body(call: Caller, path: str, body: bytes) -> None:
    found = call(path, body)
    assert (found.status_code, errno(found)) == (400, 40001)
    assert list(found.json()["data"]["errors"]) == ["_body"]


@pytest.mark.parametrize("path", CALLS)
def test_unknown_fields_are_refused_everywhere(call: Caller, path: str) -> None:
    found = call(path, {"no_such_field": 1})
    assert errno(found) == 40001
    assert found.json()["data"]["errors"]["no_such_field"] == ["unknown field"]


def test_a_host_that_is_not_ours_gets_the_envelope(call: Caller) -> None:
    found = call(PATH, BODY, HTTP_HOST="evil.example")
    assert (found.status_code, errno(found)) == (400, 40001)


def test_a_body_that_breaks_off_is_the_callers_fault(call: Caller) -> None:
    class Broken:
        def read(self, *_size: int) -> bytes:
            raise OSError("connection reset")

        readline = read

    meta = {"wsgi.input": Broken(), "CONTENT_LENGTH": "20", "CONTENT_TYPE": "application/json"}
    found = call.client.generic("POST", PATH, b"", "application/json", **meta)
    assert (found.status_code, errno(found)) == (400, 40001)


# ---- our fault -----------------------------------------------------------------------------------
def test_an_unforeseen_error_is_50001_with_an_alert_and_no_traceback(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_given: Any) -> None:
        raise RuntimeError("boom: whsec_topsecret")

    monkeypatch.setattr("trades.api.query_trade.trade_get", broken)
    found = call(PATH, BODY)
    assert (found.status_code, errno(found), found.json()["data"]) == (500, 50001, {})
    assert b"boom" not in found.content
    assert b"Traceback" not in found.content
    call(PATH, BODY)
    alert = Alert.objects.get(kind="fault")
    assert alert.count == 2
    assert alert.severity == "critical"
    assert "RuntimeError" in alert.title
    assert "topsecret" not in alert.title + alert.text
    assert found["X-Request-Id"] not in ("", None)


def test_an_error_of_a_page_alerts_too(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paycenter.views.render_metrics", lambda: 1 / 0)
    client.raise_request_exception = False
    found = client.get("/metrics")
    assert found.status_code == 500
    assert b"Traceback" not in found.content
    assert "ZeroDivisionError" in Alert.objects.get(kind="fault").title


# ---- the exchange log ------------------------------------------------------------------------------
def test_every_call_is_found_by_the_trade_and_the_apps_number(call: Caller, order: dict[str, Any]) -> None:
    made = call("/v1/gopay", order)
    data = made.json()["data"]
    call(PATH, {"trade_no": data["trade_no"]})
    by_trade = Exchange.objects.filter(trade_no=data["trade_no"], direction="in")
    by_order = Exchange.objects.filter(app_order_no=order["app_order_no"], direction="in")
    assert [e.operation for e in by_trade.order_by("id")] == ["gopay", "query_trade"]
    assert set(by_order) == set(by_trade)
    first = by_trade.get(operation="gopay")
    assert first.peer == f"app:{call.app_id}"
    assert first.attempt_no == data["attempt_no"]
    assert first.merchant_no == order["merchant_no"]
    assert (first.method, first.url, first.status) == ("POST", "/v1/gopay", 200)
    assert first.request_id == made["X-Request-Id"]
    assert "Property fee, November" in first.request
    assert data["trade_no"] in first.response


def test_a_refused_call_is_found_by_the_apps_number_as_well(call: Caller, order: dict[str, Any]) -> None:
    call("/v1/gopay", {**order, "amount": -1})
    row = Exchange.objects.get(operation="gopay")
    assert (row.app_order_no, row.status) == (order["app_order_no"], 400)
    assert "40001" in row.response


def test_the_log_holds_neither_signature_nor_payer(call: Caller, order: dict[str, Any]) -> None:
    body = {**order, "payer": {"phone": "13912345678", "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}}
    call("/v1/gopay", body)
    row = Exchange.objects.get(operation="gopay")
    for private in ("13912345678", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "X-Signature", HMAC_SECRET):
        assert private not in row.request + row.response


def test_strangers_cannot_fill_the_log(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "REFUSED_ROWS_PER_MINUTE", 3)
    for _ in range(6):
        signed_post(call.client, PATH, BODY, call.app_id, "wrong-secret")
    assert 3 <= Exchange.objects.filter(status=401).count() <= 6  # 6 only where a minute just turned
    call(PATH, BODY)
    assert Exchange.objects.filter(peer=f"app:{call.app_id}").count() == 1


# ---- too many requests -------------------------------------------------------------------------------
def test_more_requests_per_second_than_allowed_are_refused_with_retry_after(call: Caller, world: Any) -> None:
    App.objects.filter(pk=world.app.pk).update(requests_per_second=2)
    found = [call(PATH, BODY) for _ in range(12)]
    refused = [f for f in found if f.status_code == 429]
    assert refused
    assert {errno(f) for f in found if f not in refused} == {40401}
    assert {(errno(f), f["Retry-After"]) for f in refused} == {(42901, "1")}


def test_strangers_cannot_use_up_an_apps_budget(call: Caller, world: Any) -> None:
    App.objects.filter(pk=world.app.pk).update(requests_per_second=1)
    for _ in range(10):
        signed_post(call.client, PATH, BODY, call.app_id, "wrong-secret")
    replay = {"nonce": "nonce-1234"}
    assert errno(call(PATH, BODY, **replay)) == 40401


def test_one_apps_budget_is_not_anothers(call: Caller, world: Any) -> None:
    App.objects.filter(pk=world.app.pk).update(requests_per_second=1)
    other = factories.make_app(world.merchant, requests_per_second=1)
    for _ in range(10):
        call(PATH, BODY)
    assert errno(signed_post(call.client, PATH, BODY, other.app_id, HMAC_SECRET)) == 40401


def test_a_limited_request_has_spent_its_nonce(call: Caller, world: Any) -> None:
    App.objects.filter(pk=world.app.pk).update(requests_per_second=0)
    assert errno(call(PATH, BODY, nonce="nonce-1234")) == 42901
    assert Nonce.objects.filter(nonce="nonce-1234").exists()


def test_a_cache_that_is_down_stops_no_payment(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    class Down:
        def add(self, *_a: Any, **_k: Any) -> None:
            raise ConnectionError("redis is away")

    monkeypatch.setattr(rate_limit, "cache", Down())
    monkeypatch.setattr(rate_limit, "_shared", lambda: None)
    assert errno(call(PATH, BODY)) == 40401
