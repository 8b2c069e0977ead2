"""How large scenes and providers are. `make figures` prints the smallest and the largest."""

from __future__ import annotations

import inspect
from pathlib import Path

from channels.base.discovery import methods, provider_for, providers
from deploy.demo.layout import ROOT

SCENE_LINES = 30
# A plain vendor, complete: the example of docs/add-a-channel.md.
NEW_PROVIDER = ROOT / "tests/docs/acmepay/channels/acmepay"
NEW_PROVIDER_LINES = 345


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def scene_file(code: str) -> Path:
    return Path(inspect.getfile(type(methods()[code])))


def test_a_scene_is_one_small_file() -> None:
    sizes = {code: lines(scene_file(code)) for code in methods()}
    smallest, largest = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    print(f"scenes: {smallest} {sizes[smallest]} lines … {largest} {sizes[largest]} lines")
    assert {code: size for code, size in sizes.items() if size > SCENE_LINES} == {}
    assert len({scene_file(code) for code in sizes}) == len(sizes), "two scenes share a file"


def measured(folder: Path, name: str) -> list[int]:
    """Lines of each file of a provider's folder, printed."""
    sizes = [lines(path) for path in folder.glob("*.py")]
    print(f"provider {name}: {sum(sizes)} lines in {len(sizes)} files, the longest {max(sizes)}")
    return sizes


def test_what_a_provider_takes() -> None:
    for code in providers():
        assert max(measured(Path(inspect.getfile(provider_for(code))).parent, code)) < 400


def test_what_a_new_provider_takes() -> None:
    assert sum(measured(NEW_PROVIDER, "acmepay (the example of a new one)")) <= NEW_PROVIDER_LINES
