"""The OpenAPI description: complete, valid, and true of what the endpoints do."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest
import schemathesis
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.base.discovery import methods
from merchants.api import errors as rows
from merchants.api.endpoint import Endpoint
from paycenter.errors import ApiError
from paycenter.urls import parts
from tests.factories import HMAC_SECRET
from tests.fakes.declared import assert_as_declared
from tests.fakes.signing import Caller, sign_headers

# Per call and kind of body; more of them, at random, in `make fuzz-api`.
EXAMPLES = int(os.environ.get("PAYCENTER_API_EXAMPLES", "40"))
SIGNING_HEADERS = ["X-App-Id", "X-Timestamp", "X-Nonce", "X-Sign-Type", "X-Signature"]


def endpoints() -> dict[str, type[Endpoint]]:
    """The endpoints that are really routed, by path."""
    found = {}
    for pattern in parts.api:
        view = getattr(pattern.callback, "view_class", None)
        if view is not None:
            found[f"/{pattern.pattern}"] = view
    return found


PATHS = sorted(endpoints())


@pytest.fixture
def document(client: Client, db: None) -> dict[str, Any]:
    found = client.get("/docs/openapi.json")
    assert found.status_code == 200
    return json.loads(found.content)


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    for name in node["$ref"].removeprefix("#/").split("/"):
        document = document[name]
    return document


def answer_of(document: dict[str, Any], path: str, status: str) -> dict[str, Any]:
    return resolve(document, document["paths"][path]["post"]["responses"][status])


# ---- completeness --------------------------------------------------------------------------------
def test_every_call_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    assert sorted(document["paths"]) == PATHS
    contracts = ["/v1/contract/sign", "/v1/contract/query", "/v1/contract/terminate"]
    trades = ["/v1/gopay", "/v1/cashier/orders", "/v1/close", "/v1/query/trade", "/v1/sync/events"]
    refunds = ["/v1/refund", "/v1/refund/cancel", "/v1/query/refund"]
    bills = ["/v1/query/bill", "/v1/query/settle"]
    assert sorted([*contracts, *trades, *refunds, *bills]) == PATHS
    assert all(list(verbs) == ["post"] for verbs in document["paths"].values())


def test_it_is_a_valid_openapi_document(document: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(document).validate()


@pytest.mark.parametrize("path", PATHS)
def test_the_signing_headers_are_required_of_every_call(document: dict[str, Any], path: str) -> None:
    found = [resolve(document, p) for p in document["paths"][path]["post"]["parameters"]]
    assert [p["name"] for p in found] == SIGNING_HEADERS
    assert all(p["in"] == "header" and p["required"] and p["description"] for p in found)


@pytest.mark.parametrize("path", PATHS)
def test_every_request_field_is_there_with_its_bounds(document: dict[str, Any], path: str) -> None:
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == set(endpoints()[path].takes.fields)
    assert body["additionalProperties"] is False


@pytest.mark.parametrize("path", PATHS)
def test_the_example_is_a_body_the_call_takes(document: dict[str, Any], path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    assert endpoints()[path].takes.read(content["example"])


def test_bounds_are_the_contracts(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/gopay"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    fields = body["properties"]
    assert body["required"] == ["merchant_no", "app_order_no", "amount", "subject", "method"]
    assert (fields["amount"]["minimum"], fields["amount"]["maximum"]) == (1, 10**11)
    assert (fields["subject"]["minLength"], fields["subject"]["maxLength"]) == (1, 128)
    assert (fields["expire_in"]["minimum"], fields["expire_in"]["maximum"]) == (60, 604800)
    assert fields["notify_url"]["maxLength"] == 512
    assert fields["currency"]["default"] == "CNY"
    assert fields["method"]["enum"] == sorted(methods())
    assert set(fields["payer"]["properties"]) == {"openid", "buyer_id", "phone"}


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_envelope_and_the_request_id(document: dict[str, Any], path: str) -> None:
    for status in document["paths"][path]["post"]["responses"]:
        answer = answer_of(document, path, status)
        schema = answer["content"]["application/json"]["schema"]
        assert schema["required"] == ["errno", "msg", "data"]
        assert "X-Request-Id" in answer["headers"]


@pytest.mark.parametrize("path", PATHS)
def test_the_described_answer_is_the_declared_one(document: dict[str, Any], path: str) -> None:
    data = answer_of(document, path, "200")["content"]["application/json"]["schema"]["properties"]["data"]
    assert data == endpoints()[path].answers


def errnos(document: dict[str, Any], path: str) -> dict[int, int]:
    """errno → HTTP status, as described for a call."""
    found = {}
    for status in document["paths"][path]["post"]["responses"]:
        schema = answer_of(document, path, status)["content"]["application/json"]["schema"]
        found.update(dict.fromkeys(schema["properties"]["errno"]["enum"], int(status)))
    return found


def test_every_error_row_is_described_with_its_status(document: dict[str, Any]) -> None:
    described: dict[int, int] = {}
    for path in PATHS:
        described.update(errnos(document, path))
    known = {cls.errno: cls.status for cls in [ApiError, *ApiError.__subclasses__()]}
    # 40400 belongs to no described path.
    expected = {e: s for e, s in known.items() if e != rows.UnknownPath.errno}
    assert described == {0: 200, **expected}
    assert {40901, 40902, 40903, 40302, 50201, 50301, 50401} <= set(errnos(document, "/v1/gopay"))
    assert 40302 not in errnos(document, "/v1/query/trade")


def test_the_page_is_served_offline(client: Client, db: None) -> None:
    page = client.get("/docs/").content.decode()
    assert "swagger-ui" in page
    for outside in ("cdn.", "jsdelivr", "unpkg", "googleapis", 'src="http', 'href="http'):
        assert outside not in page


# ---- truth: whatever is sent, the answer is one of those described -------------------------------------
def signed(call: Caller, path: str, raw: bytes) -> Any:
    """As schemathesis would send it, signed: the headers are what this test does not vary."""
    headers = sign_headers("POST", path, raw, call.app_id, HMAC_SECRET)
    meta = {"CONTENT_TYPE": "application/json", "REQUEST_URI": path}
    return call.client.generic("POST", path, raw, "application/json", headers=headers, **meta)


def generated(examples: int) -> Any:
    """Settings of a test: the same bodies every time in the suite, others each time in a long run."""
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None,
        derandomize="PAYCENTER_API_EXAMPLES" not in os.environ,
    )  # fmt: skip


def check(document: dict[str, Any], path: str, response: Any) -> None:
    status = str(response.status_code)
    assert response.status_code < 500 or status in ("502", "503", "504"), response.content
    assert status in document["paths"][path]["post"]["responses"], response.content
    found = response.json()
    assert set(found) == {"errno", "msg", "data"}
    assert found["errno"] in errnos(document, path)
    assert response["X-Request-Id"]
    if found["errno"] == 0:
        assert_as_declared(endpoints()[path], found["data"])
    if found["errno"] == rows.BadParameter.errno:
        errors = found["data"]["errors"]
        assert errors
        assert all(name and reasons for name, reasons in errors.items()), "bad input names the field"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_generated_requests_get_described_answers(
    call: Caller, world: Any, document: dict[str, Any], path: str, mode: schemathesis.GenerationMode
) -> None:
    operation = schemathesis.openapi.from_dict(document)[path]["POST"]
    seen: set[int] = set()

    @generated(EXAMPLES)
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        raw = json.dumps(case.body).encode() if not isinstance(case.body, bytes) else case.body
        response = signed(call, path, raw)
        check(document, path, response)
        seen.add(response.json()["errno"])

    run()
    assert seen
    if mode is schemathesis.GenerationMode.NEGATIVE:
        assert 40001 in seen


@pytest.mark.parametrize("path", PATHS)
def test_generated_requests_about_what_exists_get_described_answers(
    call: Caller, world: Any, order: dict[str, Any], document: dict[str, Any], path: str
) -> None:
    """Generated bodies with the numbers that earlier answers named in the place of made-up ones."""
    operation = schemathesis.openapi.from_dict(document)[path]["POST"]
    started = call("/v1/gopay", order).json()["data"]
    known = {**{name: value for name, value in started.items() if isinstance(value, str)}, **order, "amount": 1}

    @generated(EXAMPLES // 4)
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE))
    def run(case: schemathesis.Case) -> None:
        body = {name: known.get(name, value) for name, value in case.body.items()}
        check(document, path, signed(call, path, json.dumps(body).encode()))

    run()


# Calls about contracts and refunds need more than an order: tests/trades/api/test_contracts.py and
# tests/refunds/api hold their answers to the same declarations.
@pytest.mark.parametrize("path", [path for path in PATHS if not re.search("contract|refund", path)])
def test_valid_requests_of_a_known_merchant_are_answered_as_declared(
    call: Caller, world: Any, order: dict[str, Any], document: dict[str, Any], path: str
) -> None:
    """Every optional field at random on top of what works; a 200 must hold to its schema."""
    number = iter(range(10_000))
    takes = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    known = {k: v for k, v in order.items() if k in takes["properties"]}
    if path in ("/v1/close", "/v1/query/trade"):
        known = {"merchant_no": order["merchant_no"], "app_order_no": "ORDER-1"}
        call("/v1/gopay", order)
    if path in ("/v1/query/bill", "/v1/query/settle"):
        days = {name: "2026-11-20" for name in ("date", "date_from", "date_to") if name in takes["properties"]}
        known = {"merchant_no": order["merchant_no"], **days}
    extra = [
        n for n in ("body", "attach", "business_no", "funding", "profit_sharing", "limit") if n in takes["properties"]
    ]
    values = {"body": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=256),
              "attach": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=256),
              "business_no": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=64),
              "funding": st.sampled_from(["credit", "huabei"]), "profit_sharing": st.booleans(),
              "limit": st.integers(1, 1000)}  # fmt: skip

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(st.fixed_dictionaries({}, optional={name: values[name] for name in extra}))
    def run(more: dict[str, Any]) -> None:
        fresh = {"app_order_no": f"N{next(number)}"} if "amount" in known else {}
        response = call(path, {**known, **more, **fresh})
        assert response.json()["errno"] == 0, response.content
        assert_as_declared(endpoints()[path], response.json()["data"])

    run()
