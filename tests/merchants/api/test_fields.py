"""Declared fields: the value that is used, or reasons by dotted path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base.discovery import methods
from merchants.api.errors import BadParameter
from merchants.api.fields import (
    PRINTABLE_ASCII,
    Address,
    Boolean,
    Currency,
    FreeObject,
    Instant,
    Integer,
    IpAddress,
    MethodCode,
    Param,
    Rows,
    Shape,
    Text,
    amount,
)


def clean(param: Param, value: Any) -> Any:
    return Shape(fields={"f": param}).read({"f": value})["f"]


def reasons(param: Param, value: Any) -> list[str]:
    with pytest.raises(BadParameter) as caught:
        clean(param, value)
    assert list(caught.value.data["errors"]) == ["f"]
    return caught.value.data["errors"]["f"]


NOT_TEXT = [None, 1, 1.5, True, [], {}, ["a"]]


@pytest.mark.parametrize("value", NOT_TEXT)
def test_text_is_text(value: Any) -> None:
    assert reasons(Text(), value) == ["must be text"]


def test_text_length_counts_code_points_not_bytes() -> None:
    assert clean(Text(most=4), "物业🏠费") == "物业🏠费"
    assert "has 5" in reasons(Text(most=4), "物业🏠费用")[0]
    assert "has 0" in reasons(Text(), "")[0]
    assert clean(Text(least=0), "") == ""


@pytest.mark.parametrize("value", ["订单", "a\tb", "a\n", "\x7f", "é", "a\r\nb"])
def test_printable_ascii_only(value: str) -> None:
    assert reasons(Text(pattern=PRINTABLE_ASCII, hint="printable ASCII"), value) == ["must be printable ASCII"]


def test_every_printable_ascii_character_passes() -> None:
    text = "".join(map(chr, range(0x20, 0x7F)))
    assert clean(Text(most=128, pattern=PRINTABLE_ASCII), text) == text


@pytest.mark.parametrize("value", [True, False, 1.0, 1e3, "1", None, [], {}])
def test_an_integer_is_no_boolean_fraction_exponent_or_text(value: Any) -> None:
    assert reasons(Integer(least=0, most=10**9), value) == ["must be an integer, written without fraction or exponent"]


@pytest.mark.parametrize("value", [0, -1, 10**11 + 1, 10**30])
def test_amounts_out_of_range(value: int) -> None:
    assert reasons(amount(), value) == ["must be between 1 and 100000000000"]


@pytest.mark.parametrize("value", [1, 10**11])
def test_amounts_at_the_ends(value: int) -> None:
    assert clean(amount(), value) == value


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_booleans(value: Any) -> None:
    assert reasons(Boolean(), value) == ["must be true or false"]
    assert clean(Boolean(), False) is False


@pytest.mark.parametrize("value", ["cny", "CN", "XXX", "RMB", 156, None, "CNY ", ""])
def test_currencies(value: Any) -> None:
    assert "ISO 4217" in reasons(Currency(), value)[0]
    assert clean(Currency(), "JPY") == "JPY"


def test_a_method_is_one_that_some_channel_has() -> None:
    known = next(iter(methods()))
    assert clean(MethodCode(), known) == known
    for value in ("no_such_method", "", None, 1, known.upper(), [known]):
        assert reasons(MethodCode(), value) == ["no channel has such a method"]


@pytest.mark.parametrize(
    "value",
    [
        "", "example.com", "/path", "ftp://a/b", "javascript:alert(1)", "http://", "http:///x", "https://a b/",
        "http://user:pw@host/", "http://user@host/", "http://h:99999/", "http://h:0/", "http://[::1", "http://h/\n",
        "http://h\\@x/", "//host/x", 1, None, ["http://a"], "http://h/\u00a0x",
    ],
)  # fmt: skip
def test_addresses_that_are_none(value: Any) -> None:
    assert reasons(Address(), value) == ["must be an http(s) address"]


@pytest.mark.parametrize(
    "value",
    ["http://a", "https://app.example/notify?x=1&y=%20", "http://127.0.0.1:8000/", "https://[::1]/a", "HTTPS://A/b"],
)
def test_addresses(value: str) -> None:
    assert clean(Address(), value) == value


def test_an_address_has_at_most_512_characters() -> None:
    assert clean(Address(), "https://a/" + "x" * 502)
    assert "has 513" in reasons(Address(), "https://a/" + "x" * 503)[0]


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-21", "2026-11-21T08:00:00", "2026-11-21 08:00:00+08:00", "20261121T080000Z", "2026-13-01T00:00:00Z",
        "2026-11-21T25:00:00Z", "2026-W47-6T08:00:00Z", 1795232837, None, "", "now", "0001-01-01T00:00:00+08:00",
        "9999-12-31T23:59:59-08:00", "2026-11-21T08:00:00+99:99", "2026-11-21T08:00:00z",
    ],
)  # fmt: skip
def test_times_need_date_time_and_offset(value: Any) -> None:
    assert "ISO 8601" in reasons(Instant(), value)[0]


@pytest.mark.parametrize(
    "value", ["2026-11-21T08:00:00+08:00", "2026-11-21T00:00:00Z", "2026-11-21T00:00Z", "2026-11-20T16:00:00.000-08:00"]
)
def test_times_become_utc(value: str) -> None:
    assert clean(Instant(), value) == datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "1.2.3", "1.2.3.4/24", "::g", "fe80::1%eth0", "localhost", 16909060, None, True])
def test_ip_addresses_that_are_none(value: Any) -> None:
    assert reasons(IpAddress(), value) == ["must be an IPv4 or IPv6 address"]


def test_ip_addresses() -> None:
    assert clean(IpAddress(), "203.0.113.7") == "203.0.113.7"
    assert clean(IpAddress(), "2001:db8::1") == "2001:db8::1"


def test_a_free_object_is_bounded_in_bytes_not_characters() -> None:
    assert clean(FreeObject(most_bytes=13), {"k": "12345"}) == {"k": "12345"}
    assert reasons(FreeObject(most_bytes=13), {"k": "123456"}) == ["must have at most 13 bytes, has 14"]
    assert reasons(FreeObject(most_bytes=13), {"k": "物业"}) == ["must have at most 13 bytes, has 14"]
    for value in ([], "x", None, 1):
        assert reasons(FreeObject(most_bytes=13), value) == ["must be an object"]


ROW = Shape(fields={"label": Text(required=True, most=3), "value": Text(required=True, least=0, most=3)})


def test_rows_name_the_row_and_the_field() -> None:
    with pytest.raises(BadParameter) as caught:
        clean(Rows(row=ROW, most=3), [{"label": "a", "value": ""}, {"label": "long", "other": 1}, "x"])
    assert caught.value.data["errors"] == {
        "f.1.other": ["unknown field"],
        "f.1.label": ["must have 1 to 3 characters, has 4"],
        "f.1.value": ["required"],
        "f.2": ["must be an object"],
    }


def test_rows_are_counted_before_they_are_looked_at() -> None:
    assert reasons(Rows(row=ROW, most=1), [{}, {}]) == ["must have at most 1 rows, has 2"]
    assert reasons(Rows(row=ROW, most=1), {}) == ["must be a list"]


SHAPE = Shape(
    fields={
        "name": Text(required=True, most=5),
        "count": Integer(least=1, most=9, default=3),
        "payer": Shape(fields={"openid": Text(most=4)}, sparse=True, default={}),
    }
)


def test_all_problems_are_reported_at_once_with_dotted_paths() -> None:
    with pytest.raises(BadParameter) as caught:
        SHAPE.read({"count": True, "payer": {"openid": 1, "x": 2}, "extra": None})
    assert caught.value.data["errors"] == {
        "extra": ["unknown field"],
        "name": ["required"],
        "count": ["must be an integer, written without fraction or exponent"],
        "payer.x": ["unknown field"],
        "payer.openid": ["must be text"],
    }


def test_what_is_left_out_gets_its_default_and_a_sparse_object_stays_sparse() -> None:
    assert SHAPE.read({"name": "a"}) == {"name": "a", "count": 3, "payer": {}}
    assert SHAPE.read({"name": "a", "payer": {"openid": "o"}})["payer"] == {"openid": "o"}


def test_null_is_not_left_out() -> None:
    with pytest.raises(BadParameter) as caught:
        SHAPE.read({"name": None, "count": None, "payer": None})
    assert set(caught.value.data["errors"]) == {"name", "count", "payer"}


def test_the_check_of_several_fields_sees_only_right_ones() -> None:
    seen: list[Any] = []
    shape = Shape(fields={"a": Text()}, check=lambda given, errors: seen.append(dict(given)))
    with pytest.raises(BadParameter):
        shape.read({"a": 1})
    shape.read({"a": "x"})
    assert seen == [{"a": "x"}]
