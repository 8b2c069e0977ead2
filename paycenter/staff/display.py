"""How values look on admin pages: chips, numbers with a copy button, money."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from paycenter.amounts import amount_text
from paycenter.money import Money

TONES = {
    "active": "good", "paid": "good", "succeeded": "good", "delivered": "good", "confirmed": "good",
    "accepted": "good", "refunded": "good", "review": "info", "paying": "info", "confirming": "info",
    "submitted": "info", "pending": "info", "created": "", "refunding": "info", "unknown": "warn",
    "suspended": "warn", "unverified": "warn", "open": "bad", "given_up": "bad", "rejected": "bad",
    "imported": "good", "empty": "good", "settled": "good", "importing": "info", "fetched": "info",
    "carried": "info", "expected": "info", "closing": "warn", "blocked": "warn", "refused": "bad", "different": "bad",
    "pending_approval": "warn", "on_hold": "warn", "approved": "info", "processing": "info",
    "running": "info", "done": "good", "cancelled": "", "gone": "",
    "failed": "bad", "critical": "bad", "warning": "warn", "info": "info",
}  # fmt: skip


def chip(text: Any, tone: str = "") -> SafeString:
    """A small coloured label. `tone` is good, warn, bad, info or empty."""
    return format_html('<span class="pc-chip {}">{}</span>', tone, text)


def state_chip(record: Any) -> SafeString:
    """The record's state in words, coloured."""
    return chip(record.get_state_display(), TONES.get(str(record.state), ""))


def copyable(text: str | None) -> SafeString:
    """A number in fixed width with a button that copies it."""
    return SafeString(render_to_string("admin/pc/copy.html", {"text": text or ""}).strip()) if text else SafeString("–")


def money(amount: int | None, currency: str) -> str:
    """`¥128.50`; a dash where there is none."""
    return "–" if amount is None else str(amount_text(Money(amount, currency)))
