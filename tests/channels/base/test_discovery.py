"""The file is the registration: what is found in folders, and what a wrong folder is told."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import channels
from channels.base import Method, Provider, discovery
from paycenter.errors import ConfigError

PROVIDER = """
from channels.base import Label, Provider

class {name}(Provider):
    code = "{code}"
    name = Label("临时", "temporary")
    fields = ()
    def check(self): ...
    def query(self, order): ...
    def close(self, order): ...
    def parse_notify(self, request): ...
    def ack(self, notice): ...
    def nack(self, reason): ...
"""
SCENE = """
from channels.base import Initiated, Label, Method, QrCode

class Scene(Method):
    code = "{code}"
    name = Label("临时扫码", "temporary QR")
    instruction = "qrcode"
    def pay(self, provider, order):
        return Initiated(instruction=QrCode("hello"))
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Put provider folders beside the real ones, for one test."""
    monkeypatch.setattr(channels, "__path__", [*channels.__path__, str(tmp_path)])
    before = set(sys.modules)

    def make(folder: str, **files: str) -> None:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, text in {"__init__": "", **files}.items():
            (tmp_path / folder / f"{name}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        discovery._registry.cache_clear()

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("channels."):
            del sys.modules[name]
    discovery._registry.cache_clear()


def provider(code: str = "temporary", name: str = "Temporary") -> str:
    return PROVIDER.format(code=code, name=name)


def test_a_new_folder_is_a_provider_with_its_scenes(write: Write) -> None:
    write("temporary", provider=provider(), temporary_qr=SCENE.format(code="temporary_qr"))
    assert discovery.provider_for("temporary").code == "temporary"
    assert isinstance(discovery.method_for("temporary_qr"), Method)
    assert discovery.provider_code_of("temporary_qr") == "temporary"
    assert [m.code for m in discovery.methods_of("temporary")] == ["temporary_qr"]
    assert "alipay" in discovery.providers()


def test_a_scene_pays_through_its_provider(write: Write) -> None:
    write("temporary", provider=provider(), temporary_qr=SCENE.format(code="temporary_qr"))
    made = discovery.provider_for("temporary")({}, http=None)  # type: ignore[arg-type]
    assert made.pay("temporary_qr", None).instruction.content == "hello"  # type: ignore[arg-type, union-attr]


def test_a_new_file_is_a_scene(write: Write) -> None:
    write("temporary", provider=provider())
    assert discovery.methods_of("temporary") == ()
    write("temporary", another=SCENE.format(code="another_scene"))
    assert [m.code for m in discovery.methods_of("temporary")] == ["another_scene"]


@pytest.mark.parametrize("code", ["alipay_qr", "taken_twice"])
def test_a_scene_code_used_twice_fails(write: Write, code: str) -> None:
    write("temporary", provider=provider(), one=SCENE.format(code=code), two=SCENE.format(code=code))
    with pytest.raises(ConfigError, match=rf"'{code}' is taken"):
        discovery.methods()


def test_a_provider_code_used_twice_fails(write: Write) -> None:
    write("temporary", provider=provider("alipay"))
    with pytest.raises(ConfigError, match="'alipay' is taken"):
        discovery.providers()


@pytest.mark.parametrize("code", ["ab", "UPPER", "with-dash", "x" * 33, "", "中文码"])
def test_a_code_outside_the_alphabet_fails(write: Write, code: str) -> None:
    write("temporary", provider=provider(), scene=SCENE.format(code=code))
    with pytest.raises(ConfigError, match=r"is not \[a-z0-9_\]"):
        discovery.methods()


def test_a_folder_needs_exactly_one_provider(write: Write) -> None:
    write("temporary", scene=SCENE.format(code="temporary_qr"))
    with pytest.raises(ConfigError, match="exactly one Provider, not 0"):
        discovery.providers()
    write("temporary", provider=provider(), second=provider("second", "Second"))
    with pytest.raises(ConfigError, match="exactly one Provider, not 2"):
        discovery.providers()


def test_imported_and_abstract_classes_do_not_register(write: Write) -> None:
    base = SCENE.format(code="temporary_qr").replace(
        "class Scene(Method):", "class Base(Method):\n    pass\n\nclass Scene(Method):"
    )
    again = "from channels.temporary.provider import Temporary\nfrom channels.base import Method\n"
    write("temporary", provider=provider(), scene=base, other=again)
    assert [m.code for m in discovery.methods_of("temporary")] == ["temporary_qr"]


def test_a_broken_file_fails_at_start_instead_of_disappearing(write: Write) -> None:
    write("temporary", provider=provider(), broken="raise RuntimeError('half written')")
    with pytest.raises(RuntimeError, match="half written"):
        discovery.methods()


def test_unknown_codes() -> None:
    for lookup in (discovery.provider_for, discovery.method_for, discovery.provider_code_of):
        with pytest.raises(KeyError):
            lookup("nothing")
    assert discovery.methods_of("nothing") == ()


def test_registry_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        discovery.providers()["x"] = Provider  # type: ignore[index]


class TestEveryScene:
    """The contract that each scene of each provider keeps, found without a list."""

    @pytest.fixture(params=sorted(discovery.methods()))
    def method(self, request: pytest.FixtureRequest) -> Method:
        return discovery.method_for(request.param)

    def test_declares_what_callers_read(self, method: Method) -> None:
        assert method.instruction in {"redirect", "form", "qrcode", "sdk", "none"}
        assert method.name.zh
        assert method.name.en
        assert method.currencies
        assert method.__doc__ or sys.modules[type(method).__module__].__doc__

    def test_stays_small(self, method: Method) -> None:
        source = Path(str(sys.modules[type(method).__module__].__file__))
        assert len(source.read_text(encoding="utf-8").splitlines()) <= 30
