"""Bills of the fake channel: JSON lines, the last one an end mark with the number of rows.

`make` writes a file as the channel would; `install` gives the fake provider the methods that fetch and read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from channels.base.bills import BillKind, BillRow, BillRowKind, BillRowState, BillRule, FetchedBill
from paycenter.errors import BillNotReady, BillRefused
from paycenter.money import Money
from tests.fakes.fakepay import FakeProvider

RULE = BillRule(zone="Asia/Shanghai", cut=time(0, 0), ready_at=time(10, 0))


@dataclass
class Published:
    """What the channel has published: bytes by day, an empty day as None; `not_ready` counts down."""

    bills: dict[date, bytes | None] = field(default_factory=dict)
    not_ready: int = 0
    asked: int = 0
    rule: BillRule | None = RULE


PUBLISHED = Published()


def line(**values: Any) -> dict[str, Any]:
    """One row; a succeeded payment of CNY 12.34 unless said otherwise."""
    defaults = {"kind": "payment", "amount": 1234, "currency": "CNY", "at": datetime.now(UTC).isoformat()}
    return {**defaults, **values}


def make(rows: Sequence[dict[str, Any]], *, merchant: str = "fake-merchant", end: int | None = None) -> bytes:
    """A complete file; `end` claims another number of rows."""
    lines = [json.dumps({"merchant": merchant}), *map(json.dumps, rows)]
    return "\n".join([*lines, json.dumps({"end": len(rows) if end is None else end})]).encode() + b"\n"


def _fetch_bill(self: FakeProvider, day: date, kind: BillKind, into: Path) -> FetchedBill:
    PUBLISHED.asked += 1
    if PUBLISHED.not_ready > 0 or day not in PUBLISHED.bills:
        PUBLISHED.not_ready -= 1
        raise BillNotReady("no bill yet")
    content = PUBLISHED.bills[day]
    if content is None:
        return FetchedBill(day, kind, "", empty=True)
    into.write_bytes(content)
    return FetchedBill(day, kind, f"fake-{day}.jsonl")


def _read_bill(self: FakeProvider, path: Path, day: date, kind: BillKind) -> Iterator[BillRow]:
    rows = 0
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            found = json.loads(raw)
            if "end" in found:
                if found["end"] != rows:
                    raise BillRefused(f"the end says {found['end']} rows, there are {rows}", line=number)
                return
            if "merchant" in found:
                if found["merchant"] != "fake-merchant":
                    raise BillRefused("another merchant's bill", line=number)
                continue
            rows += 1
            yield _row(number, found)
    raise BillRefused("the end is missing", line=rows + 1)


def _row(number: int, found: dict[str, Any]) -> BillRow:
    currency = found["currency"]
    return BillRow(
        line=number, kind=BillRowKind(found["kind"]), amount=Money(found["amount"], currency),
        occurred_at=datetime.fromisoformat(found["at"]), order_no=found.get("order_no", ""),
        order_day=found.get("order_day", ""), channel_trade_no=found.get("channel_trade_no", ""),
        refund_no=found.get("refund_no", ""), channel_refund_no=found.get("channel_refund_no", ""),
        fee=Money(found["fee"], currency) if found.get("fee") is not None else None,
        state=BillRowState(found.get("state", "succeeded")), channel_state=found.get("channel_state", ""),
    )  # fmt: skip


def install(monkeypatch: Any) -> Published:
    PUBLISHED.__init__()  # type: ignore[misc]
    monkeypatch.setattr(FakeProvider, "bill_rule", lambda self: PUBLISHED.rule, raising=False)
    monkeypatch.setattr(FakeProvider, "fetch_bill", _fetch_bill, raising=False)
    monkeypatch.setattr(FakeProvider, "read_bill", _read_bill, raising=False)
    return PUBLISHED
