"""How a business line wants its cashier page: `App.cashier_layout`, checked when saved and again when drawn.

`{"title": "物业缴费" or {"zh": …, "en": …}, "accent": "#1f6feb", "rows": ["房号", "账期"],
"mini_page": "/pages/pay/pay"}`: the page's heading, its colour, which of the order's detail rows come first
(the others follow as sent), and the page of the line's own mini program that calls `wx.requestPayment` with
the parameters in its `pay` query, because a mini program's web view cannot pay by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

DEFAULT_ACCENT = "#1557c9"
MIN_CONTRAST = 4.5  # WCAG 2.1 AA, 1.4.3: white text on the accent colour, accent text on white
MAX_TITLE = 32
MAX_ROWS = 20
_DARK_SURFACE = (0x18, 0x1D, 0x26)
_WHITE = (0xFF, 0xFF, 0xFF)
_HEX = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
_MINI_PAGE = re.compile(r"/[A-Za-z0-9_/-]{1,100}")
_KEYS = ("title", "accent", "rows", "mini_page")
Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout fit to draw: `accent` is `#rrggbb`, `title` may be empty."""

    title: str
    accent: str
    rows: tuple[str, ...]
    mini_page: str

    @property
    def accent_code(self) -> str:
        return self.accent[1:]


def layout_problems(raw: Any) -> dict[str, list[str]]:
    """What is wrong with a layout, by key; empty means it can be saved."""
    if not isinstance(raw, Mapping):
        return {"layout": [_("must be an object")]}
    problems = {str(key): [_("unknown setting")] for key in raw if key not in _KEYS}
    for key, check in _CHECKS.items():
        reason = check(raw[key]) if key in raw else ""
        if reason:
            problems[key] = [reason]
    return problems


def layout_of(raw: Any, language: str) -> Layout:
    """The layout to draw with; whatever is unusable in it is left out, so that a page always appears."""
    usable = raw if isinstance(raw, Mapping) else {}
    wrong = layout_problems(usable)
    found = {key: usable[key] for key in _KEYS if key in usable and key not in wrong}
    title = found.get("title", "")
    if isinstance(title, Mapping):
        title = title.get("zh" if language.startswith("zh") else "en", "")
    return Layout(title=title, accent=str(found.get("accent", DEFAULT_ACCENT)).lower(),
                  rows=tuple(found.get("rows", ())), mini_page=found.get("mini_page", ""))  # fmt: skip


def ordered_rows(display: Sequence[Mapping[str, str]], first: Sequence[str]) -> Sequence[Mapping[str, str]]:
    """The order's rows, those the layout names first and in its order, the others as they were sent."""
    if not first:
        return display
    rank = {label: place for place, label in enumerate(first)}
    return sorted(display, key=lambda row: rank.get(row["label"], len(rank)))


def contrast(one: Rgb, other: Rgb) -> float:
    """Contrast ratio of two colours: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio"""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def rgb(colour: str) -> Rgb:
    """`#rrggbb` as numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def on_dark(colour: str) -> str:
    """The colour lightened until it can be read on the page's dark background."""
    red, green, blue = rgb(colour)
    while contrast((red, green, blue), _DARK_SURFACE) < MIN_CONTRAST:
        red, green, blue = (part + max(1, (255 - part) // 12) if part < 255 else 255 for part in (red, green, blue))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _luminance(colour: Rgb) -> float:
    parts = [part / 255 for part in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _title_problem(value: Any) -> str:
    texts = list(value.values()) if isinstance(value, Mapping) else [value]
    if isinstance(value, Mapping) and not set(value) <= {"zh", "en"}:
        return _("give the title as text, or as “zh” and “en”")
    if not all(_is_line(text) and len(text) <= MAX_TITLE for text in texts):
        return _("must be text of at most %(count)d characters") % {"count": MAX_TITLE}
    return ""


def _is_line(value: Any) -> bool:
    """Text that can be drawn and kept: without NUL, line ends and halves of characters."""
    return isinstance(value, str) and value.isprintable()


def _accent_problem(value: Any) -> str:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        return _("must be a colour such as #1557c9")
    ratio = contrast(rgb(value), _WHITE)
    if ratio < MIN_CONTRAST:
        return _("too light: white text on it has a contrast of %(ratio).1f, at least 4.5 is needed") % {"ratio": ratio}
    return ""


def _rows_problem(value: Any) -> str:
    usable = isinstance(value, list) and len(value) <= MAX_ROWS and all(map(_is_line, value))
    return "" if usable else _("must be a list of at most %(count)d row labels") % {"count": MAX_ROWS}


def _mini_page_problem(value: Any) -> str:
    usable = isinstance(value, str) and (value == "" or _MINI_PAGE.fullmatch(value))
    return "" if usable else _("must be a path in the mini program such as /pages/pay/pay")


_CHECKS: Mapping[str, Callable[[Any], str]] = {
    "title": _title_problem, "accent": _accent_problem, "rows": _rows_problem, "mini_page": _mini_page_problem,
}  # fmt: skip
