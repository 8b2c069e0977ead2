"""Validates a payment account's parameters against the provider's declared fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from channels.base import keys
from channels.base.fields import Field, FieldKind, Label
from channels.base.keys import KeyProblem
from channels.base.provider import Provider
from paycenter.errors import ChannelConfigInvalid

_REQUIRED = Label("必填", "this field is required")
_WRONG_TYPE = Label("类型不正确", "not a usable type of value")
_KEY_KINDS = frozenset({
    FieldKind.PRIVATE_KEY, FieldKind.PUBLIC_KEY, FieldKind.CERTIFICATE, FieldKind.CERTIFICATE_CHAIN,
})  # fmt: skip
MASK = "••••••"


def clean_config(provider: type[Provider], raw: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The stored form of an account's parameters: keys as PEM, numbers as int, blanks as their default.

    Fields that do not apply are dropped, unknown names refused. Raises ChannelConfigInvalid with
    every problem at once, by field name.
    """
    problems: dict[str, list[Label]] = {}
    known = {f.name for f in provider.fields}
    for name in sorted(set(raw) - known):
        problems[name] = [Label("未知参数", "unknown parameter")]
    config: dict[str, Any] = {}
    for field in provider.fields:
        try:
            value = _clean_field(field, raw, config, now)
        except KeyProblem as exc:
            problems[field.name] = [exc.label]
            continue
        if value is not None:
            config[field.name] = value
    if not problems:
        problems = provider.check_config(config, now)
    if problems:
        raise ChannelConfigInvalid(problems)
    return config


def masked_config(provider: type[Provider], config: Mapping[str, Any]) -> dict[str, Any]:
    """Fit to show: secrets replaced by dots, everything else as stored."""
    secret = {f.name for f in provider.fields if f.is_secret}
    return {name: MASK if name in secret else value for name, value in config.items()}


def _clean_field(field: Field, raw: Mapping[str, Any], config: Mapping[str, Any], now: datetime) -> Any:
    if not field.applies(config):
        return None
    value = raw.get(field.name)
    if isinstance(value, str):
        value = value.strip()
    # Bytes stay as they are: a certificate in DER may well end with what looks like white space.
    if value is None or (isinstance(value, str | bytes) and not value.strip()):
        value = field.default
    if value is None:
        if field.required:
            raise KeyProblem(_REQUIRED)
        return None
    if not isinstance(value, str | bytes if field.kind in _KEY_KINDS else str | bytes | int):
        raise KeyProblem(_WRONG_TYPE)
    return _CLEANERS[field.kind](field, value, now)


def _text(field: Field, value: Any, _now: datetime) -> str:
    text = value.decode("utf-8", errors="replace").strip() if isinstance(value, bytes) else str(value)
    if not text.isprintable():
        raise KeyProblem(Label("含有不可见字符", "must not hold invisible characters"))
    if field.length is not None and len(text) != field.length:
        raise KeyProblem(Label(f"长度应为 {field.length} 个字符，实际为 {len(text)} 个",
                               f"must have {field.length} characters, has {len(text)}"))  # fmt: skip
    if len(text) > field.max_length:
        raise KeyProblem(Label(f"不能超过 {field.max_length} 个字符",
                               f"must not be longer than {field.max_length} characters"))  # fmt: skip
    if field.pattern is not None and not re.fullmatch(field.pattern, text):
        hint = field.pattern_hint
        raise KeyProblem(Label(f"格式不正确：{hint.zh}", f"wrong format: {hint.en}"))
    return text


def _url(field: Field, value: Any, now: datetime) -> str:
    text = _text(field, value, now)
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.fragment or re.search(r"[\s\x00-\x1f]", text):
        raise KeyProblem(Label("应为 http(s) 地址", "must be an http(s) address"))
    return text


def _choice(field: Field, value: Any, _now: datetime) -> str:
    if value not in {code for code, _label in field.choices}:
        raise KeyProblem(Label("不在可选范围内", "not one of the choices"))
    return str(value)


def _integer(field: Field, value: Any, _now: datetime) -> int:
    try:
        number = int(str(value))
    except ValueError as exc:
        raise KeyProblem(Label("应为整数", "must be a whole number")) from exc
    low, high = field.minimum, field.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        raise KeyProblem(Label(f"应在 {low} 到 {high} 之间", f"must be between {low} and {high}"))
    return number


def _boolean(_field: Field, value: Any, _now: datetime) -> bool:
    return value in (True, "true", "True", "1", "on", 1)


def _certificate(_field: Field, value: Any, now: datetime) -> str:
    found = keys.parse_certificates(value)
    keys.check_validity(found[0], now)
    return keys.certificates_pem(found[:1])


def _chain(_field: Field, value: Any, _now: datetime) -> str:
    return keys.certificates_pem(keys.parse_certificates(value))


_CLEANERS: Mapping[FieldKind, Callable[[Field, Any, datetime], Any]] = {
    FieldKind.TEXT: _text,
    FieldKind.SECRET: _text,
    FieldKind.URL: _url,
    FieldKind.CHOICE: _choice,
    FieldKind.INTEGER: _integer,
    FieldKind.BOOLEAN: _boolean,
    FieldKind.PRIVATE_KEY: lambda _f, v, _n: keys.private_key_pem(keys.parse_private_key(v)),
    FieldKind.PUBLIC_KEY: lambda _f, v, _n: keys.public_key_pem(keys.parse_public_key(v)),
    FieldKind.CERTIFICATE: _certificate,
    FieldKind.CERTIFICATE_CHAIN: _chain,
}
