"""QR codes, icons and the theme file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from cashier.icons import icon_of
from cashier.qr import qr_svg
from channels.base.discovery import methods, provider_code_of

ICONS = Path(settings.BASE_DIR) / "static" / "cashier" / "icons"


def test_qr_title_is_escaped_and_the_code_stays_dark_on_white() -> None:
    svg = qr_svg("https://pay.example/q/abc", '<b>"R&D"</b>')
    assert "<b>" not in svg
    assert "&lt;b&gt;" in svg
    assert 'fill="#fff"' in svg
    assert 'stroke="#000"' in svg
    assert "style=" not in svg


def test_qr_changes_with_its_content() -> None:
    assert qr_svg("a", "t") != qr_svg("b", "t")
    assert qr_svg("a", "t") == qr_svg("a", "t")


def test_every_real_scene_has_an_icon() -> None:
    for code, method in methods().items():
        path = Path(settings.BASE_DIR) / icon_of(method, provider_code_of(code)).lstrip("/")
        assert path.exists(), code


def test_icons_and_glyphs_hold_nothing_the_policy_blocks() -> None:
    glyphs = Path(settings.BASE_DIR) / "templates" / "cashier" / "glyphs"
    for path in (*ICONS.glob("*.svg"), *glyphs.glob("*.svg")):
        assert not re.search(r"style=|<style|<script|href=", path.read_text()), path.name
        assert path.stat().st_size < 1024, path.name


def test_theme_holds_both_colours() -> None:
    response = Client().get("/c/theme/8a2be2.css")
    assert response.headers["Content-Type"] == "text/css; charset=utf-8"
    css = response.content.decode()
    assert "--accent:#8a2be2" in css
    assert "prefers-color-scheme:dark" in css
    assert "immutable" in response.headers["Cache-Control"]


@pytest.mark.parametrize("colour", ["ffffff", "red", "1557c", "1557c9a"])
def test_theme_of_an_unusable_colour_does_not_exist(colour: str) -> None:
    assert Client().get(f"/c/theme/{colour}.css").status_code == 404
