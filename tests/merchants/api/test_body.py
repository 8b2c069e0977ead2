"""Strict JSON: what a lenient parser would let through must not reach a service or the database."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from merchants.api.body import MAX_DEPTH, parse_object
from merchants.api.errors import BadParameter


def problems(raw: bytes) -> dict[str, list[str]]:
    with pytest.raises(BadParameter) as caught:
        parse_object(raw)
    return caught.value.data["errors"]


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" ", b"{", b"nonsense", b"{'a': 1}", b'{"a": 1,}', b'{"a": 01}', b'\xff\xfe{}', b'{"a": "\xe4\xbd"}',
        b'\xef\xbb\xbf{"a": 1}', b"{}{}", b'{"a": +1}', b'{"a": .5}', b'{"a": "\t"}',
    ],
)  # fmt: skip
def test_what_is_not_json_is_named_at_the_body(raw: bytes) -> None:
    assert list(problems(raw)) == ["_body"]


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"x"', b"null", b"true", b"[{}]"])
def test_the_body_must_be_an_object(raw: bytes) -> None:
    assert problems(raw) == {"_body": ["must be a JSON object"]}


@pytest.mark.parametrize(
    "raw", [b'{"amount": 1, "amount": 2}', b'{"payer": {"a": 1, "a": 1}}', b'{"a": 1, "\\u0061": 2}']
)
def test_a_key_given_twice_is_refused_because_readers_would_disagree(raw: bytes) -> None:
    assert "twice" in problems(raw)["_body"][0]


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_json_does_not_have_are_refused(word: bytes) -> None:
    assert list(problems(b'{"a": ' + word + b"}")) == ["_body"]


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"0.1234567890123456789", b"1e-400", b"12345678901234567.5"])
def test_a_number_that_would_change_on_its_way_is_refused(number: bytes) -> None:
    assert "exactly" in problems(b'{"detail": {"n": ' + number + b"}}")["_body"][0]


@pytest.mark.parametrize("number", ["1.5", "0.1", "-0.25", "1e3", "100.00", "2E-7"])
def test_a_number_that_is_kept_exactly_passes(number: str) -> None:
    assert parse_object(f'{{"n": {number}}}'.encode()) == {"n": float(number)}


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 5_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_an_answer_and_never_a_crash(depth: int, opening: str, closing: str) -> None:
    raw = '{"detail": ' + opening * depth + "1" + closing * depth + "}"
    assert "levels deep" in problems(raw.encode())["_body"][0]


def test_nesting_up_to_the_limit_passes() -> None:
    levels = MAX_DEPTH - 2  # the body itself and the innermost number are two
    raw = '{"detail": ' + "[" * levels + "1" + "]" * levels + "}"
    assert parse_object(raw.encode())["detail"] is not None


def test_an_integer_too_long_to_read_is_an_answer() -> None:
    assert list(problems(b'{"amount": ' + b"9" * 5000 + b"}")) == ["_body"]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (rb'{"subject": "a\u0000b"}', "subject"),
        (rb'{"subject": "\ud800"}', "subject"),
        (rb'{"subject": "\udc00\ud800"}', "subject"),
        (rb'{"payer": {"openid": "\u0000"}}', "payer.openid"),
        (rb'{"display": [{"label": "ok"}, {"label": "\udfff"}]}', "display.1.label"),
        (rb'{"detail": {"\u0000": 1}}', "detail"),
        (rb'{"\ud800": 1}', "_body"),
    ],
)
def test_characters_that_cannot_be_stored_are_named_at_their_field(raw: bytes, path: str) -> None:
    assert list(problems(raw)) == [path]


def test_a_surrogate_pair_is_one_character() -> None:
    assert parse_object(rb'{"subject": "\ud83c\udfe0"}') == {"subject": "🏠"}


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.integers()))
def test_any_storable_object_is_read_as_json_reads_it(body: dict[str, int]) -> None:
    assert parse_object(json.dumps(body).encode()) == body


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_a_parameter(raw: bytes) -> None:
    try:
        found = parse_object(raw)
    except BadParameter as exc:
        found = exc.data["errors"]
    assert isinstance(found, dict)
