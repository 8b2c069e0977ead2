"""Traces for OpenTelemetry: a request, and whatever workers do later about the trade it was about, are one trace.

Off, and free, unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set and the packages are installed (docs/operations.md). The
trace's id is the request id of the answer. A worker finds it through the exchange log, so that nothing has to be
carried along with what is due. Spans hold numbers, names and states, never addresses, bodies or personal data.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, cast

import structlog

from paycenter.http import HttpCall
from paycenter.masking import mask_mapping

log = structlog.get_logger(__name__)
_tracer: Any = None
_provider: Any = None
_OFF: AbstractContextManager[None] = nullcontext()
_root_id: ContextVar[str] = ContextVar("trace_root_id", default="")


def configure() -> None:
    """Start exporting where the environment asks for it. Without the packages it says so and stays off."""
    global _tracer, _provider
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces are off: opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http are not installed")
        return
    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "paycenter")})
    _provider = TracerProvider(resource=resource, id_generator=cast(Any, _Ids()))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("paycenter")


def stop() -> None:
    """Send what is waiting and trace no more."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


class _Ids:
    """Random ids, but a request's own for its root: whoever knows the request id knows the trace and its root."""

    def generate_trace_id(self) -> int:
        return int(_root_id.get(), 16) if _root_id.get() else random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        return _root_span(_root_id.get()) if _root_id.get() else random.getrandbits(64) or 1

    def is_trace_id_random(self) -> bool:
        return True


def _root_span(request_id: str) -> int:
    return int(request_id[:16], 16)


def is_on() -> bool:
    """Whether this process sends traces."""
    return _tracer is not None


def request_span(request_id: str) -> AbstractContextManager[Any]:
    """The root span of one request; hands out None where traces are off."""
    return _OFF if _tracer is None else _request_span(request_id)


@contextmanager
def _request_span(request_id: str) -> Iterator[Any]:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, use_span

    token = _root_id.set(request_id)
    try:
        span = _tracer.start_span("request", context=Context(), kind=SpanKind.SERVER)
    finally:
        _root_id.reset(token)
    with use_span(span, end_on_exit=True, record_exception=False):
        yield span


def name_request(span: Any, *, route: str, method: str, status: int) -> None:
    """What a request turned out to be. `span` is what `request_span` handed out."""
    if span is not None:
        span.update_name(f"{method} {route}")
        numbers = mask_mapping(structlog.contextvars.get_contextvars())
        span.set_attributes({"http.route": route, "http.response.status_code": status, **numbers})


def span_about(trade_no: str, name: str, **attributes: str) -> AbstractContextManager[Any]:
    """A span of work about a trade: below the present one, else in the trace of the request that began the trade."""
    return _OFF if _tracer is None else _span_about(trade_no, name, attributes)


@contextmanager
def _span_about(trade_no: str, name: str, attributes: dict[str, str]) -> Iterator[Any]:
    from opentelemetry.trace import get_current_span

    inside = get_current_span().get_span_context().is_valid
    with continued("" if inside else origin_of(trade_no), name, trade_no=trade_no, **attributes) as span:
        yield span


def continued(request_id: str, name: str, **attributes: str) -> AbstractContextManager[Any]:
    """A span in the trace of a request by its id; below the present one where it is empty."""
    return _OFF if _tracer is None else _continued(request_id, name, attributes)


@contextmanager
def _continued(request_id: str, name: str, attributes: dict[str, str]) -> Iterator[Any]:
    with _tracer.start_as_current_span(
        name, context=_remote(request_id) if request_id else None, attributes=attributes, record_exception=False,
        set_status_on_exception=False,
    ) as span:  # fmt: skip
        try:
            yield span
        except Exception as exc:
            from opentelemetry.trace import StatusCode

            span.set_status(StatusCode.ERROR, type(exc).__name__)
            raise


def _remote(request_id: str) -> Any:
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    parent = SpanContext(int(request_id, 16), _root_span(request_id), True, TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(parent))


def origin_of(trade_no: str) -> str:
    """The id of the request by which the trade began; "" where traces are off or nobody knows."""
    if _tracer is None or not trade_no:
        return ""
    from paycenter.models import Exchange

    rows = Exchange.objects.filter(trade_no=trade_no, direction=Exchange.Direction.IN).exclude(request_id="")
    found = rows.order_by("id").values_list("request_id", flat=True).first() or ""
    return found if len(found) == 32 else ""


def note_calls(span: Any, calls: Iterable[HttpCall]) -> None:
    """Each call of a channel as an event of the span that `span_about` handed out."""
    if span is not None:
        for call in calls:
            span.add_event(call.operation or "call", {
                "http.response.status_code": call.status or 0, "milliseconds": call.elapsed_ms,
                "error": call.error.partition(":")[0],
            })  # fmt: skip
