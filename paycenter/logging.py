"""Logs: one JSON object per line on standard output, with request id and trade numbers, masked.

Tracebacks show source lines only, never the values of variables, and pass the masking like every
other text.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from paycenter.masking import mask_mapping, mask_text

_PLAIN = frozenset(("timestamp", "level", "logger", "request_id", "_record", "_from_structlog"))


def mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask every value of a log line; runs after exceptions became text."""
    kept = {name: event.pop(name) for name in _PLAIN & event.keys()}
    masked = mask_mapping({name: _simple(value) for name, value in event.items()})
    event.clear()
    event.update(masked | kept)
    return event


def _simple(value: Any) -> Any:
    """Objects become their text before masking: what JSON cannot hold would become it afterwards."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, dict):
        return {str(k): _simple(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_simple(item) for item in value]
    return mask_text(str(value))


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(level: str) -> dict[str, Any]:
    """Set up structlog; returns what `LOGGING` has to be. `level` is a name such as INFO."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": formatter}},
        "filters": {"quiet_4xx": {"()": OnlyServerErrors}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.request": {"handlers": [], "filters": ["quiet_4xx"], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            "django.security": {"handlers": [], "propagate": True},
            # SQL with parameters, and libraries that would print headers and bodies.
            "django.db.backends": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
            "aiohttp": {"level": "WARNING"},
            "kombu": {"level": "ERROR"},
            # Two lines per sweep and second otherwise.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "amqp": {"level": "WARNING"},
        },
    }


def formatter() -> logging.Formatter:
    """Renders records of structlog and of everybody else's loggers alike."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            mask_event,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


class OnlyServerErrors(logging.Filter):
    """Django warns about every 4xx; those are answers, not troubles, and the exchange log has them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return int(getattr(record, "status_code", 500)) >= 500
