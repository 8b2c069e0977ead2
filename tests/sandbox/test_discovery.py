"""A folder is a provider: nothing else registers it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from sandbox.channel import channel_classes

CHANNEL = """
    from sandbox.alipay.channel import Alipay as Base
    class {name}(Base):
        code = "{code}"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place whose folders count as folders below `sandbox`."""
    monkeypatch.setattr(sandbox, "__path__", [*sandbox.__path__, str(tmp_path)])
    channel_classes.cache_clear()
    yield tmp_path
    channel_classes.cache_clear()
    for name in [n for n in sys.modules if n.startswith("sandbox.extra")]:
        del sys.modules[name]


def write(folder: Path, package: str, source: str) -> None:
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("")
    (folder / package / "channel.py").write_text(textwrap.dedent(source))


def test_finds_the_two_providers() -> None:
    assert {"alipay", "wechat"} <= set(channel_classes())


def test_a_new_folder_is_found(folder: Path) -> None:
    write(folder, "extra_one", CHANNEL.format(name="One", code="one"))
    assert channel_classes()["one"].__module__ == "sandbox.extra_one.channel"


def test_a_code_used_twice_and_a_folder_without_a_channel_fail(folder: Path) -> None:
    write(folder, "extra_two", CHANNEL.format(name="Two", code="alipay"))
    with pytest.raises(RuntimeError, match=r"sandbox\.extra_two"):
        channel_classes()
    (folder / "extra_two" / "channel.py").write_text("")
    sys.modules.pop("sandbox.extra_two.channel", None)
    with pytest.raises(RuntimeError, match="exactly one Channel"):
        channel_classes()
