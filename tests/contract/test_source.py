"""A provider's folder stands alone: pure Python, no Django, no other provider, no app."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from channels.base.discovery import provider_for, providers

_ALLOWED = {"channels.base", "cryptography", "paycenter.errors", "paycenter.http", "paycenter.money"}


def files_of(channel: str) -> list[Path]:
    return sorted(Path(inspect.getfile(provider_for(channel))).parent.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports name the whole path"
            yield node.module or ""


@pytest.mark.parametrize("channel", sorted(providers()))
def test_it_imports_only_what_a_provider_may(channel: str) -> None:
    own = f"channels.{files_of(channel)[0].parent.name}"
    for path in files_of(channel):
        for module in imported(path):
            top = module.partition(".")[0]
            allowed = top in sys.stdlib_module_names or any(
                module == name or module.startswith(f"{name}.") for name in {*_ALLOWED, own}
            )
            assert allowed, f"channels/{channel}/{path.name} imports {module}"


@pytest.mark.parametrize("channel", sorted(providers()))
def test_it_has_a_gateway_and_a_provider(channel: str) -> None:
    names = {path.name for path in files_of(channel)}
    assert {"__init__.py", "gateway.py", "provider.py"} <= names
