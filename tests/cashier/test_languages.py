"""The payer's pages are complete in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext

BASE = Path(settings.BASE_DIR)
_PYTHON = re.compile(r"""\b(?:_|gettext)\(\s*"((?:[^"\\]|\\.)*)"\s*\)""")
_TEMPLATE = re.compile(r'{%\s*translate\s+"([^"]*)"')
_BLOCK = re.compile(r"{%\s*blocktranslate[^%]*%}(.*?){%\s*endblocktranslate", re.DOTALL)


def messages() -> list[str]:
    """Every text of the payer's pages, as the catalogue names it."""
    found: set[str] = set()
    code = BASE / "cashier"
    for path in (*(code / f"{name}.py" for name in ("amounts", "layout", "selectors")), *(code / "views").glob("*.py")):
        found.update(_PYTHON.findall(path.read_text()))
    for path in (BASE / "templates" / "cashier").rglob("*.html"):
        text = path.read_text()
        found.update(_TEMPLATE.findall(text))
        found.update(re.sub(r"{{\s*(\w+)\s*}}", r"%(\1)s", block) for block in _BLOCK.findall(text))
    return sorted(found)


def test_the_texts_are_found() -> None:
    assert len(messages()) > 90


@pytest.mark.parametrize("message", messages())
def test_text_has_chinese_and_its_placeholders(message: str) -> None:
    with translation.override("zh-hans"):
        chinese = gettext(message)
    assert re.search("[\u4e00-\u9fff]", chinese), f"no Chinese for {message!r}"
    placeholder = r"%\(\w+\)(?:\.1f|[sd])|{n}"
    assert sorted(re.findall(placeholder, chinese)) == sorted(re.findall(placeholder, message))
