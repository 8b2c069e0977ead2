"""What a page shows of an order: its texts, and the shape they stand in.

Most pages of one app and merchant differ in these texts only. A shape is therefore drawn by the template once, with
slots for the texts, and then filled in for each order (`filled`). Whatever a template decides by belongs to the shape.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import escape

from cashier.layout import Layout, layout_of, ordered_rows
from cashier.models import CashierOrder
from cashier.selectors import FINAL_PHASES, Phase, Status
from paycenter.amounts import AmountText, amount_text

_SHAPES = 512  # of some 8 kB each
# Letters and digits: what a template or an address leaves as it is.
_MARK = f"SLOT{secrets.token_hex(8)}X"
_TEXTS = (
    "token", "merchant_name", "view", "attempt", "left", "total", "percent", "expire_at", "until", "number", "minor",
    "subject", "order_no", "csrf_token",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """All that an order's page is drawn from, but for the texts."""

    language: str
    layout: Layout
    phase: Phase
    amount: AmountText  # without its number
    rows: int


def order_shape(page: CashierOrder, phase: Phase, language: str) -> Shape:
    """The shape of an order's page in this language."""
    trade = page.trade
    amount = replace(amount_text(trade.money), number="")
    layout = layout_of(trade.app.cashier_layout, language)
    return Shape(language, layout, phase, amount, len(page.display))


def order_texts(page: CashierOrder, shape: Shape, status: Status, now: datetime) -> dict[str, str]:
    """The texts of an order's page, not escaped."""
    trade = page.trade
    left = max(0, int((trade.expire_at - now).total_seconds()))
    total = max(1, int((trade.expire_at - trade.created_at).total_seconds()))
    texts = {
        "token": page.token, "merchant_name": trade.merchant.short_name or trade.merchant.name,
        "view": status.view, "attempt": status.attempt, "left": str(left), "total": str(total),
        "percent": str(round(left * 100 / total)), "expire_at": trade.expire_at.isoformat(timespec="seconds"),
        "until": _clock(trade.expire_at, trade.merchant.timezone), "number": amount_text(trade.money).number,
        "minor": str(trade.amount), "subject": trade.subject, "order_no": trade.app_order_no,
    }  # fmt: skip
    for at, row in enumerate(ordered_rows(page.display, shape.layout.rows)):
        texts[f"label{at}"], texts[f"value{at}"] = row["label"], row["value"]
    return texts


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


def filled(
    template: str, shape: Shape, rest: Hashable, extra: Callable[[], Mapping[str, Any]], texts: Mapping[str, str]
) -> str:
    """An order's page, as the template draws it with `order_context` and `extra`. `rest` tells apart whatever
    `extra`, which is asked for a new shape only, may give; `texts` has the `csrf_token` too."""
    key = (template, shape, rest)
    form = _forms.get(key)
    if form is None:
        form = _draw(template, shape, extra())
        if len(_forms) >= _SHAPES:
            _forms.clear()
        _forms[key] = form
    return form.fill(texts)


@dataclass(frozen=True, slots=True)
class _Form:
    """A drawn shape: literal text and names of slots in turn, beginning and ending with literal text."""

    literals: Sequence[str]
    names: Sequence[str]

    def fill(self, texts: Mapping[str, str]) -> str:
        safe = {name: escape(text) for name, text in texts.items()}
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts += (safe[name], literal)
        return "".join(parts)


_forms: dict[Hashable, _Form] = {}


def _draw(template: str, shape: Shape, extra: Mapping[str, Any]) -> _Form:
    names = [*_TEXTS, *(f"{kind}{at}" for at in range(shape.rows) for kind in ("label", "value"))]
    slots = {name: f"{_MARK}{name.replace('_', '0')}X" for name in names}
    context = {**order_context(shape, slots), **extra, "csrf_token": slots["csrf_token"]}
    head, *tails = render_to_string(template, context).split(_MARK)
    name_of = {slot[len(_MARK) : -1]: name for name, slot in slots.items()}
    found = [tail.partition("X") for tail in tails]
    return _Form(
        [head, *(literal for _slot, _end, literal in found)], [name_of[slot] for slot, _end, _literal in found]
    )


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _clock(moment: datetime, zone: str) -> str:
    """The time of day where the merchant is. To the minute, downwards: nobody is told to have longer than he has."""
    return moment.astimezone(_zone(zone)).strftime("%H:%M")
