"""The business line's layout: checked when saved, harmless when drawn."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from cashier.layout import (
    DEFAULT_ACCENT,
    MIN_CONTRAST,
    contrast,
    layout_of,
    layout_problems,
    on_dark,
    ordered_rows,
    rgb,
)

WHITE = (255, 255, 255)


def test_contrast_is_the_standard_one() -> None:
    assert contrast((0, 0, 0), WHITE) == pytest.approx(21)
    assert contrast(WHITE, WHITE) == pytest.approx(1)
    assert contrast(rgb("#767676"), WHITE) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"title": "物业缴费"},
        {"title": {"zh": "物业缴费", "en": "Property fees"}},
        {"accent": "#8A2BE2", "rows": ["房号", "账期"], "mini_page": "/pages/pay/pay"},
    ],
)
def test_good_layout_has_no_problems(layout: dict[str, Any]) -> None:
    assert layout_problems(layout) == {}


@pytest.mark.parametrize(
    ("layout", "key", "reason"),
    [
        ({"accent": "#ffd400"}, "accent", "too light"),
        ({"accent": "red"}, "accent", "must be a colour"),
        ({"accent": "#12345"}, "accent", "must be a colour"),
        ({"accent": "#1557c9;}body{display:none"}, "accent", "must be a colour"),
        ({"accent": None}, "accent", "must be a colour"),
        ({"title": "x" * 33}, "title", "at most 32"),
        ({"title": {"fr": "Frais"}}, "title", "“zh” and “en”"),
        ({"title": 7}, "title", "at most 32"),
        ({"rows": "房号"}, "rows", "list"),
        ({"rows": ["a"] * 21}, "rows", "at most 20"),
        ({"rows": [1]}, "rows", "list"),
        ({"mini_page": "https://evil.example"}, "mini_page", "path"),
        ({"mini_page": "/pages/x?y=1"}, "mini_page", "path"),
        ({"font": "Comic Sans"}, "font", "unknown"),
        ([], "layout", "object"),
    ],
)
def test_bad_layout_is_named(layout: Any, key: str, reason: str) -> None:
    with translation.override("en"):
        problems = layout_problems(layout)
    assert list(problems) == [key]
    assert reason in problems[key][0]


def test_unusable_parts_are_left_out_when_drawn() -> None:
    layout = layout_of({"accent": "#ffffff", "title": "Fees", "rows": 3}, "en")
    assert (layout.accent, layout.title, layout.rows) == (DEFAULT_ACCENT, "Fees", ())


@pytest.mark.parametrize(("language", "title"), [("zh-hans", "物业缴费"), ("en", "Property fees")])
def test_title_follows_the_language(language: str, title: str) -> None:
    assert layout_of({"title": {"zh": "物业缴费", "en": "Property fees"}}, language).title == title


def test_named_rows_come_first_and_none_is_lost() -> None:
    display = [{"label": name, "value": str(place)} for place, name in enumerate("ABCDA")]
    ordered = ordered_rows(display, ["C", "missing", "A"])
    assert [(row["label"], row["value"]) for row in ordered] == [
        ("C", "2"), ("A", "0"), ("A", "4"), ("B", "1"), ("D", "3"),
    ]  # fmt: skip


@given(st.integers(0, 0xFFFFFF))
def test_every_colour_becomes_readable_on_dark(value: int) -> None:
    assert contrast(rgb(on_dark(f"#{value:06x}")), (0x18, 0x1D, 0x26)) >= MIN_CONTRAST


def test_default_accent_passes_its_own_rule() -> None:
    assert layout_problems({"accent": DEFAULT_ACCENT}) == {}
