"""What a collector receives: one trace from an app's call over the outbox to its notification and the channel."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from notifications.deliveries import Pump
from paycenter import tracing
from tests import factories
from tests.factories import HMAC_SECRET
from tests.fakes.signing import signed_post
from tests.notifications.receiver import Receiver, Say
from trades import sweeps
from trades.models import Attempt, Trade

Spans = Callable[[], list[Any]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    one.answers["/v1/traces"] = Say(body=b"", headers={"Content-Type": "application/x-protobuf"})
    yield one
    one.stop()


@pytest.fixture
def spans(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Traces are on; ends them and answers what the collector got."""
    pytest.importorskip("opentelemetry.sdk")
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url(""))
    tracing.configure()

    def received() -> list[Any]:
        tracing.stop()
        found = []
        for got in receiver.of("/v1/traces"):
            body = gzip.decompress(got.body) if got.headers.get("content-encoding") == "gzip" else got.body
            message = service.ExportTraceServiceRequest.FromString(body)
            found += [span for r in message.resource_spans for s in r.scope_spans for span in s.spans]
        return found

    yield received
    tracing.stop()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_one_trace_from_the_call_to_the_channel_and_the_notification(
    spans: Spans, receiver: Receiver, world: Any
) -> None:
    body = {
        "merchant_no": world.merchant.merchant_no, "app_order_no": "O1", "amount": 100, "method": "fake_qr",
        "subject": "物业费 13812345678", "notify_url": receiver.url("/told"),
    }  # fmt: skip
    answer = signed_post(Client(), "/v1/gopay", body, world.app.app_id, HMAC_SECRET)
    assert answer.status_code == 200, answer.content
    trade = Trade.objects.get()
    world.book.pay(trade.current_attempt.channel_order_no)
    Attempt.objects.update(next_query_at=trade.created_at)
    sweeps.query_due()  # a worker asks the channel
    pump = Pump()
    pump.run(10)  # a worker tells the app
    pump.drain()
    assert factories.fresh(trade).state == "paid"
    assert receiver.of("/told")
    found = spans()
    by_name: dict[str, list[Any]] = {}
    for span in found:
        by_name.setdefault(span.name, []).append(span)
    (root,) = by_name["POST v1/gopay"]
    assert root.trace_id.hex() == answer["X-Request-Id"]
    assert root.parent_span_id == b""
    assert len(by_name["channel"]) == 2  # pay, in the request; query, in the worker
    assert {span.trace_id for span in found} == {root.trace_id}
    assert {span.parent_span_id for span in by_name["channel"] + by_name["deliver"]} == {root.span_id}
    for span in by_name["channel"] + by_name["deliver"]:
        assert attributes(span)["trade_no"] == trade.trade_no
    for secret in (HMAC_SECRET, "13812345678", "物业费", "/told"):
        assert secret.encode() not in b"".join(span.SerializeToString() for span in found)


def test_a_channels_failure_is_told_by_its_kind_only(spans: Spans, world: Any) -> None:
    from trades.calling import call_channel

    trade = factories.trade_open(app=world.app, order=world.order())
    attempt = Attempt(trade=trade, account=world.account, channel="fakepay", attempt_no="A77")

    def work(_provider: Any) -> None:
        raise ValueError("key=topsecret")

    with pytest.raises(Exception, match="provider failed"):
        call_channel(attempt, work)
    (span,) = spans()
    assert (span.status.code, span.status.message) == (2, "UnknownOutcome")
    assert b"topsecret" not in span.SerializeToString()


def test_off_unless_asked_for(world: Any, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any) -> None:
    """Nothing is imported, asked or made."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    tracing.configure()
    with django_assert_num_queries(0), tracing.span_about("P1", "channel") as span:
        assert span is None
        assert tracing.origin_of("P1") == ""
    assert tracing.request_span("a" * 32) is tracing.continued("a" * 32, "deliver")


def test_without_the_packages_it_says_so_and_stays_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    tracing.configure()
    assert tracing._tracer is None
    assert "opentelemetry-sdk" in caplog.text
