"""What a page shows of an order: its texts, and the shape they stand in.

Most pages of one app and merchant differ in these texts only. A shape is therefore drawn by the template once, with
slots for the texts, and then filled in for each order (`Sheet`). Whatever a template decides by belongs to the shape.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache
from html import escape  # as Django's, without looking whether the text is lazy
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string
from django.urls import reverse

from cashier.layout import Layout, layout_of, ordered_rows
from cashier.models import CashierOrder
from cashier.selectors import FINAL_PHASES, Phase, Status
from merchants.models import App
from paycenter.amounts import AmountText, amount_text

_SHAPES = 512  # of some 8 kB each
# Letters and digits: what a template or an address leaves as it is.
_MARK = f"SLOT{secrets.token_hex(8)}X"
_TEXTS = (
    "token", "merchant_name", "view", "attempt", "left", "total", "percent", "expire_at", "until", "number", "minor",
    "subject", "order_no",
)  # fmt: skip


# Numbers, times and words of ours, in which there is nothing to escape.
_OURS = frozenset((
    "token", "view", "attempt", "left", "total", "percent", "expire_at", "until", "number", "minor",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """All that an order's page is drawn from, but for the texts."""

    language: str
    layout: Layout
    phase: Phase
    amount: AmountText  # without its number
    rows: int


class Facts(NamedTuple):
    """What an order's page says of the order. `minor` in minor units; `timezone` is the merchant's."""

    token: str
    display: Sequence[Mapping[str, str]]
    amount: AmountText
    minor: int
    subject: str
    order_no: str
    created_at: datetime
    expire_at: datetime
    merchant_name: str
    timezone: str


def facts_of(page: CashierOrder) -> Facts:
    """Those of a loaded page."""
    trade, merchant = page.trade, page.trade.merchant
    return Facts(
        page.token, page.display, amount_text(trade.money), trade.amount, trade.subject, trade.app_order_no,
        trade.created_at, trade.expire_at, merchant.short_name or merchant.name, merchant.timezone,
    )  # fmt: skip


def order_shape(facts: Facts, app: App, phase: Phase, language: str) -> Shape:
    """The shape of an order's page of this app in this language."""
    layout = layout_of(app.cashier_layout, language)
    return Shape(language, layout, phase, replace(facts.amount, number=""), len(facts.display))


def order_texts(facts: Facts, layout: Layout, status: Status, now: datetime) -> dict[str, str]:
    """The texts of an order's page, not escaped."""
    left = max(0, int((facts.expire_at - now).total_seconds()))
    total = max(1, int((facts.expire_at - facts.created_at).total_seconds()))
    texts = {
        "token": facts.token, "merchant_name": facts.merchant_name, "view": status.view, "attempt": status.attempt,
        "left": str(left), "total": str(total), "percent": str(round(left * 100 / total)),
        "expire_at": facts.expire_at.isoformat(timespec="seconds"), "until": _clock(facts.expire_at, facts.timezone),
        "number": facts.amount.number, "minor": str(facts.minor), "subject": facts.subject,
        "order_no": facts.order_no,
    }  # fmt: skip
    for at, row in enumerate(ordered_rows(facts.display, layout.rows)):
        label, value = _row_slots(at)
        texts[label], texts[value] = row["label"], row["value"]
    return texts


@cache
def _row_slots(at: int) -> tuple[str, str]:
    return f"label{at}", f"value{at}"


def order_context(shape: Shape, texts: Mapping[str, str]) -> dict[str, Any]:
    """What the templates of an order's page need."""
    token = texts["token"]
    return {
        "layout": shape.layout, "phase": shape.phase, "is_final": shape.phase in FINAL_PHASES,
        "merchant_name": texts["merchant_name"], "amount": replace(shape.amount, number=texts["number"]),
        "rows": [{"label": texts[f"label{at}"], "value": texts[f"value{at}"]} for at in range(shape.rows)],
        "page_url": reverse("cashier:page", args=[token]), "status_url": reverse("cashier:status", args=[token]),
        "pay_url": reverse("cashier:pay", args=[token]), "view": texts["view"], "attempt": texts["attempt"],
        "seconds_left": texts["left"], "seconds_total": texts["total"], "left_percent": texts["percent"],
        "expire_at": texts["expire_at"], "until": texts["until"], "minor": texts["minor"],
        "subject": texts["subject"], "order_no": texts["order_no"],
    }  # fmt: skip


def sheet_of(template: str, shape: Shape, rest: Hashable, extra: Callable[[], Mapping[str, Any]]) -> Sheet:
    """What fills in orders' pages as the template draws them with `order_context` and `extra`. `rest` tells apart
    whatever `extra`, which is asked for a new shape only, may give."""
    key = (template, shape, rest)
    sheet = _sheets.get(key)
    if sheet is None:
        sheet = _draw(template, shape, extra())
        if len(_sheets) >= _SHAPES:
            _sheets.clear()
        _sheets[key] = sheet
    return sheet


@dataclass(frozen=True, slots=True)
class Sheet:
    """A drawn shape, in UTF-8: literal text and slots in turn, beginning and ending with literal text, and the names of
    the slots."""

    layout: Layout
    parts: Sequence[bytes]
    names: Sequence[str]

    def filled(self, texts: Mapping[str, str]) -> bytes:
        """The page of the order with these texts (`order_texts`)."""
        safe = {
            name: (text if name in _OURS or text.isalnum() else escape(text)).encode() for name, text in texts.items()
        }
        parts = list(self.parts)
        parts[1::2] = map(safe.__getitem__, self.names)
        return b"".join(parts)


_sheets: dict[Hashable, Sheet] = {}


def _draw(template: str, shape: Shape, extra: Mapping[str, Any]) -> Sheet:
    names = [*_TEXTS, *(slot for at in range(shape.rows) for slot in _row_slots(at))]
    slots = {name: f"{_MARK}{name.replace('_', '0')}X" for name in names}
    context = {**order_context(shape, slots), **extra}
    head, *tails = render_to_string(template, context).split(_MARK)
    name_of = {slot[len(_MARK) : -1]: name for name, slot in slots.items()}
    found = [tail.partition("X") for tail in tails]
    parts = [head.encode()]
    for _slot, _end, literal in found:
        parts += (b"", literal.encode())
    return Sheet(shape.layout, parts, [name_of[slot] for slot, _end, _literal in found])


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _clock(moment: datetime, zone: str) -> str:
    """The time of day where the merchant is. To the minute, downwards: nobody is told to have longer than he has."""
    there = moment.astimezone(_zone(zone))
    return f"{there.hour:02}:{there.minute:02}"
