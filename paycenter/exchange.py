"""The exchange log: every request and answer to and from channels and apps, masked as it is written.

Writing it never fails the work it describes: a failure here is logged and forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from paycenter import compiled
from paycenter.combining import Combiner, is_the_database
from paycenter.http import HttpCall
from paycenter.masking import mask_mapping, mask_text, mask_url, shorten
from paycenter.metrics import count_channel_calls
from paycenter.models import Exchange

log = structlog.get_logger(__name__)
_DULL_HEADERS = frozenset(("accept", "accept-encoding", "connection", "content-length", "date", "server", "via"))


def record_channel_calls(
    calls: Sequence[HttpCall],
    *,
    channel: str,
    trade_no: str = "",
    attempt_no: str = "",
    app_order_no: str = "",
    merchant_no: str = "",
    masked_keys: Iterable[str] = (),
) -> None:
    """Count and write the calls that `paycenter.http.recording` collected, in one statement. Never raises.

    Call it outside the transaction of the outcome, so that what was said stays known if that fails.
    """
    keys, now = frozenset(masked_keys), timezone.now()
    count_channel_calls(channel, calls)
    try:
        rows = [
            Exchange(
                direction=Exchange.Direction.OUT, peer=f"channel:{channel}"[:64], trade_no=trade_no,
                attempt_no=attempt_no, app_order_no=app_order_no, merchant_no=merchant_no, request_id=_request_id(),
                **_call_columns(call, keys, now),
            )
            for call in calls
        ]  # fmt: skip
        _write(rows)
    except Exception as exc:
        _log_failure(f"channel:{channel}", trade_no, exc)


def record_inbound(**values: Any) -> None:
    """Write one request we received and what we answered, as `inbound_row` takes it, in one statement. Never raises."""
    write_inbound(inbound_row(**values))


def write_inbound(row: Exchange | None) -> None:
    """Write what `inbound_row` made, with others who wait to. Never raises."""
    try:
        _write([] if row is None else [row])
    except Exception as exc:
        _log_failure(row.peer if row else "", row.trade_no if row else "", exc)


def write_answered(rows: Sequence[Exchange]) -> None:
    """Write what `inbound_row` made for several, outside any transaction (PostgreSQL). Never raises. One that cannot
    be stored spoils no other."""
    try:
        compiled.insert_rows(rows)
    except Exception as exc:
        if len(rows) == 1 or is_the_database(exc):
            _log_failure(rows[0].peer, rows[0].trade_no, exc)
            return
        for row in rows:
            write_answered([row])


def inbound_row(
    *,
    peer: str,
    operation: str,
    method: str,
    url: str,
    status: int | None,
    request_headers: Mapping[str, str] | None = None,
    request_body: bytes | str = b"",
    response_headers: Mapping[str, str] | None = None,
    response_body: bytes | str = b"",
    elapsed_ms: int = 0,
    error: str = "",
    trade_no: str = "",
    attempt_no: str = "",
    app_order_no: str = "",
    merchant_no: str = "",
    masked_keys: Iterable[str] = (),
) -> Exchange | None:
    """One request we received and what we answered, masked. None where that failed, which is logged; never raises.

    `peer` is `app:<app_id>` for calls, `channel:<provider>` for notifications and returns; `url` is
    the path with its query as it came.
    """
    keys = frozenset(masked_keys)
    try:
        return Exchange(
            created_at=timezone.now() - timedelta(milliseconds=elapsed_ms), direction=Exchange.Direction.IN,
            peer=peer[:64], operation=operation[:48], method=method[:8], url=mask_url(url, keys=keys), status=status,
            elapsed_ms=elapsed_ms, request=_message(request_headers, request_body, keys),
            response=_message(response_headers, response_body, keys), error=mask_text(error, keys=keys, limit=300),
            trade_no=trade_no, attempt_no=attempt_no, app_order_no=_plain(app_order_no, 64),
            merchant_no=_plain(merchant_no, 32),
            request_id=_request_id(),
        )  # fmt: skip
    except Exception as exc:
        _log_failure(peer, trade_no, exc)
        return None


def _call_columns(call: HttpCall, keys: frozenset[str], now: datetime) -> dict[str, object]:
    return {
        "created_at": now - timedelta(milliseconds=call.elapsed_ms),
        "operation": call.operation[:48],
        "method": call.method[:8],
        "url": mask_url(call.url, keys=keys),
        "status": call.status,
        "elapsed_ms": call.elapsed_ms,
        "request": _message(call.request_headers, call.request_body, keys),
        "response": _message(call.response_headers, call.response_body, keys),
        "error": mask_text(call.error, keys=keys, limit=300),
    }


def _message(headers: Mapping[str, str] | None, body: bytes | str, keys: frozenset[str]) -> str:
    """Headers one per line, an empty line, the body; as on the wire, but masked and bounded."""
    masked = mask_mapping(headers or {}, keys=keys)
    lines = [f"{name}: {value}" for name, value in masked.items() if name.lower() not in _DULL_HEADERS]
    text = mask_text(body, keys=keys)
    return shorten("\n".join([*lines, "", text]) if lines else text, 8 * 1024).replace("\x00", "")


def _plain(text: str, limit: int) -> str:
    return str(text).replace("\x00", "")[:limit]


def _request_id() -> str:
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))[:36]


def _write(rows: list[Exchange]) -> None:
    """Inside somebody's transaction a failure must not spoil it, hence the savepoint there."""
    if len(rows) == 1:
        _rows.write(rows[0])
    elif rows:
        _write_here(rows)


def _write_here(rows: Sequence[Exchange]) -> None:
    with transaction.atomic() if connection.in_atomic_block else nullcontext():
        compiled.insert(*rows)


def _write_together(rows: Sequence[Exchange]) -> list[None]:
    compiled.insert_rows(rows)
    return [None] * len(rows)


_rows: Combiner[Exchange, None] = Combiner(lambda row: _write_here([row]), _write_together, patience=2.0)


def _log_failure(peer: str, trade_no: str, exc: Exception) -> None:
    level = log.error if isinstance(exc, DatabaseError) else log.exception
    level("exchange not recorded", peer=peer, trade_no=trade_no, error=type(exc).__name__)
