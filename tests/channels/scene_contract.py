"""What every scene and provider has to be, whoever wrote it. Used for all that discovery finds."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from channels.base import Device, Field, FieldKind, Label, Method, PayerKey, Provider

INSTRUCTIONS = {"redirect", "form", "qrcode", "sdk", "none"}
SCENE_LINES, PROVIDER_LINES = 30, 400
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def check_label(label: Label) -> None:
    """Both languages are there, and the Chinese one is Chinese (names of products excepted)."""
    assert isinstance(label, Label)
    assert label.zh.strip(), f"{label} has no Chinese text"
    assert label.en.strip(), f"{label} has no English text"
    assert not _CHINESE.search(label.en), f"{label.en} is not English"


def check_scene(scene: Method, owner: type[Provider]) -> None:
    """The declarations that the cashier, the API and the admin rely on."""
    kind = type(scene)
    check_label(scene.name)
    assert _CHINESE.search(scene.name.zh), f"{scene.code} has no Chinese name"
    assert scene.code.startswith(f"{owner.code}_"), "a code starts with its channel's"
    assert scene.instruction in INSTRUCTIONS
    assert scene.devices <= set(Device)
    assert scene.payer_key in {None, *PayerKey}
    assert scene.currencies
    assert all(re.fullmatch(r"[A-Z]{3}", currency) for currency in scene.currencies)
    if scene.own_cashier:
        assert scene.instruction in {"redirect", "form"}, "only a browser can be sent to a channel's own cashier"
    if scene.payer_key is not None and scene.devices:
        assert owner.payer_authorization, "the cashier has no way to learn who the payer is"
    path = Path(inspect.getfile(kind))
    source = path.read_text(encoding="utf-8")
    assert "https://" in source, f"{path.name} names no document of the vendor"
    assert len(source.splitlines()) <= SCENE_LINES, f"{path.name} is too long for a scene"


def check_provider(provider: type[Provider]) -> None:
    """The declaration from which the admin draws its form."""
    check_label(provider.name)
    names = [field.name for field in provider.fields]
    assert len(names) == len(set(names)), "a field is declared once"
    assert any(field.identity for field in provider.fields), "something has to name the merchant at the channel"
    for position, field in enumerate(provider.fields):
        _check_field(field, names[:position])
    check_guide(provider)
    path = Path(inspect.getfile(provider))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= PROVIDER_LINES


def check_guide(provider: type[Provider]) -> None:
    """A merchant who follows the steps comes by every parameter that has to be found somewhere."""
    assert provider.guide, "say where a merchant finds the parameters (channels.base.guides)"
    named = [name for step in provider.guide for name in step.fields]
    assert len(named) == len(set(named)), "a parameter is asked for in one step"
    assert set(named) <= {field.name for field in provider.fields}, "a step names a parameter that is not declared"
    wanted = {field.name for field in provider.fields if field.required and field.default is None}
    assert wanted <= set(named), f"no step says where {sorted(wanted - set(named))} comes from"
    for step in provider.guide:
        assert not step.link or step.link.startswith("https://")
        for label in (step.title, step.text, *(copied.box for copied in step.copies)):
            check_label(label)


def _check_field(field: Field, earlier: list[str]) -> None:
    check_label(field.label)
    assert set(field.when or {}) <= set(earlier), f"{field.name} depends on a field that comes after it"
    assert (field.kind is FieldKind.CHOICE) == bool(field.choices), f"{field.name}: choices belong to a choice"
    assert not (field.is_secret and field.default), f"{field.name}: a secret has no default"
    assert not (field.is_secret and field.identity), f"{field.name}: an identity is shown, a secret never"
    if field.pattern is not None:
        re.compile(field.pattern)
        check_label(field.pattern_hint)
