"""Faults to Sentry, where `SENTRY_DSN` is set and sentry-sdk is installed. Off it costs nothing.

What leaves is built from a list of what may: the kind of fault, its masked words, where in the code, and the request id
and numbers it was about. No variables, headers, bodies, addresses, users or earlier log lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from paycenter.masking import mask_mapping, mask_text

log = structlog.get_logger(__name__)
_KEPT = ("event_id", "timestamp", "level", "logger", "platform", "environment", "release", "server_name", "sdk")
_FRAME = ("filename", "abs_path", "function", "module", "lineno", "in_app")
_TAGS = ("request_id", "task", "app_id", "trade_no", "attempt_no", "refund_no", "channel")


def configure(dsn: str, environment: str) -> None:
    """Report what is logged as an error. `dsn` empty: nothing happens. Without the package it says so."""
    if not dsn:
        return
    try:
        import sentry_sdk
        from sentry_sdk.integrations.logging import LoggingIntegration
    except ImportError:
        log.warning("faults are not reported: sentry-sdk is not installed")
        return
    # Every fault of ours is logged, so that this one integration sees them all and nothing else is patched.
    sentry_sdk.init(
        dsn=dsn, environment=environment, default_integrations=False, integrations=[LoggingIntegration(level=None)],
        include_local_variables=False, max_request_body_size="never", max_breadcrumbs=0,
        before_send=scrubbed,
    )  # fmt: skip


def scrubbed(event: Mapping[str, Any], hint: Mapping[str, Any]) -> Any:
    """The event with what may leave, and nothing else."""
    kept: dict[str, Any] = {name: event[name] for name in _KEPT if name in event}
    said, fields = _words(event, hint)
    kept["logentry"] = {"message": mask_text(said, limit=500)}
    if "exception" in event:
        kept["exception"] = {"values": [_exception(one) for one in event["exception"].get("values", ())]}
    known = {**structlog.contextvars.get_contextvars(), **fields}
    kept["tags"] = mask_mapping({name: str(known[name])[:64] for name in _TAGS if known.get(name)})
    return kept


def _words(event: Mapping[str, Any], hint: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """What was logged, and its fields where structlog did it (the whole line is the record's message then)."""
    record = hint.get("log_record")
    if record is not None and isinstance(record.msg, dict):
        return str(record.msg.get("event", "")), record.msg
    if record is not None:
        return record.getMessage(), {}
    return str((event.get("logentry") or {}).get("message", "")), {}


def _exception(one: Mapping[str, Any]) -> dict[str, Any]:
    frames = (one.get("stacktrace") or {}).get("frames", ())
    return {
        "type": one.get("type"), "module": one.get("module"), "value": mask_text(str(one.get("value", "")), limit=500),
        "stacktrace": {"frames": [{name: frame[name] for name in _FRAME if name in frame} for frame in frames]},
    }  # fmt: skip
