"""An account's parameters against a provider's declaration, without any real provider."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from channels.base import CheckResult, Field, FieldKind, Label, Provider, keys
from channels.base.config import MASK, clean_config, masked_config
from paycenter.errors import ChannelConfigInvalid
from tests.channels.base.test_keys import KEY, NOW, certificate

NAME = Label("名称", "name")
MODES = (("a", Label("甲", "A")), ("b", Label("乙", "B")))


class Example(Provider):
    name = NAME
    fields = (
        Field("mode", NAME, FieldKind.CHOICE, choices=MODES, default="a"),
        Field("text", NAME, required=False, max_length=8),
        Field("code", NAME, length=4, pattern=r"[0-9]{4}", pattern_hint=Label("4 位数字", "4 digits")),
        Field("secret", NAME, FieldKind.SECRET, required=False),
        Field("only_b", NAME, when={"mode": ("b",)}),
        Field("seconds", NAME, FieldKind.INTEGER, default=3, minimum=1, maximum=10),
        Field("flag", NAME, FieldKind.BOOLEAN, default=False),
        Field("url", NAME, FieldKind.URL, required=False),
        Field("private", NAME, FieldKind.PRIVATE_KEY, required=False),
        Field("public", NAME, FieldKind.PUBLIC_KEY, required=False),
        Field("cert", NAME, FieldKind.CERTIFICATE, required=False),
        Field("chain", NAME, FieldKind.CERTIFICATE_CHAIN, required=False),
    )

    @classmethod
    def check_config(cls, config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
        return {"text": [Label("不可", "not this")]} if config.get("text") == "bad" else {}

    def check(self) -> CheckResult:
        raise NotImplementedError

    query = close = parse_notify = ack = nack = check  # type: ignore[assignment]


GOOD = {"code": "1234"}


def clean(**raw: Any) -> dict[str, Any]:
    return clean_config(Example, {**GOOD, **raw}, NOW)


def problems(**raw: Any) -> dict[str, str]:
    with pytest.raises(ChannelConfigInvalid) as caught:
        clean(**raw)
    return {name: str(found[0]) for name, found in caught.value.problems.items()}


def test_defaults_fill_what_is_left_out_or_blank() -> None:
    expected = {"mode": "a", "code": "1234", "seconds": 3, "flag": False}
    assert clean() == expected
    assert clean(mode="", seconds=" ", text="  ", url=None, secret=b"") == expected


def test_values_are_trimmed_and_typed() -> None:
    config = clean(text=" x ", seconds="7", flag="on", code=b" 1234\n", url=" https://a.example/x?y=1 ")
    assert (config["text"], config["seconds"], config["flag"], config["code"]) == ("x", 7, True, "1234")
    assert config["url"] == "https://a.example/x?y=1"


def test_a_field_of_another_mode_is_dropped() -> None:
    assert "only_b" not in clean(only_b="left over")
    assert clean(mode="b", only_b="x")["only_b"] == "x"
    assert list(problems(mode="b")) == ["only_b"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"code": ""}, "required"),
        ({"code": None}, "required"),
        ({"code": "123"}, "has 3"),
        ({"code": "12345"}, "has 5"),
        ({"code": "12a4"}, "4 digits"),
        ({"text": "123456789"}, "longer than 8"),
        ({"mode": "c"}, "choices"),
        ({"mode": ["a"]}, "type"),
        ({"text": {"a": 1}}, "type"),
        ({"private": 5}, "type"),
        ({"seconds": "x"}, "whole number"),
        ({"seconds": "1.5"}, "whole number"),
        ({"seconds": "0"}, "between 1 and 10"),
        ({"seconds": "11"}, "between 1 and 10"),
        ({"url": "a.example"}, "http"),
        ({"url": "javascript:alert(1)"}, "http"),
        ({"url": "https://"}, "http"),
        ({"url": "https://u@a.example/"}, "http"),
        ({"url": "https://a.example/#x"}, "http"),
        ({"url": "https://a.example:99999/"}, "http"),
        ({"url": "https://a.example:0/"}, "http"),
        ({"url": "https://[::1/"}, "http"),
        ({"url": "https://a.example/a b"}, "http"),
        ({"text": "bad"}, "not this"),
        ({"unheard_of": "x"}, "unknown"),
    ],
    ids=str,
)
def test_each_problem_is_named(raw: dict[str, Any], words: str) -> None:
    found = problems(**raw)
    assert list(found) == list(raw)
    assert words in found[next(iter(raw))]


def test_all_problems_at_once() -> None:
    assert set(problems(code="", seconds="x", url="x", private="x", nothing="x")) == {
        "code", "seconds", "url", "private", "nothing",
    }  # fmt: skip


def test_a_der_certificate_may_end_with_what_looks_like_white_space() -> None:
    while True:  # about one in forty does
        made = certificate()
        der = made.public_bytes(keys.serialization.Encoding.DER)
        if der != der.strip():
            break
    config = clean(
        private=keys.private_key_pem(KEY).encode(), public=_public(), cert=der, chain=keys.certificates_pem([made])
    )
    assert config["cert"] == keys.certificates_pem([made])


def test_keys_and_certificates_are_stored_in_one_form() -> None:
    found = [certificate(), certificate()]
    config = clean(
        private=keys.private_key_pem(KEY).encode(), public="".join(_public().splitlines()[1:-1]),
        cert=found[0].public_bytes(keys.serialization.Encoding.DER), chain=keys.certificates_pem(found),
    )  # fmt: skip
    assert config["private"] == keys.private_key_pem(KEY)
    assert config["public"] == _public()
    assert config["cert"] == keys.certificates_pem(found[:1])
    assert config["chain"] == keys.certificates_pem(found)


def test_cleaning_the_stored_form_changes_nothing() -> None:
    config = clean(private=keys.private_key_pem(KEY), chain=keys.certificates_pem([certificate()]), text="x")
    assert clean_config(Example, config, NOW) == config


def test_expired_certificate_is_named() -> None:
    old = keys.certificates_pem([certificate(days=(-9, -1))])
    assert "expired on 2026-11-19" in problems(cert=old)["cert"]


def test_secrets_are_masked_and_nothing_else() -> None:
    config = clean(secret="pa55word", private=keys.private_key_pem(KEY), text="seen")
    shown = masked_config(Example, config)
    assert (shown["secret"], shown["private"], shown["text"]) == (MASK, MASK, "seen")
    assert set(shown) == set(config)


def test_labels_choose_their_language() -> None:
    assert [NAME.text(code) for code in ("zh-hans", "zh", "ZH-CN", "en", "fr", None, "")] == [
        "名称", "名称", "名称", "name", "name", "name", "name",
    ]  # fmt: skip


def _public() -> str:
    return keys.public_key_pem(KEY.public_key())
