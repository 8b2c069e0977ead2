from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trades.api.cursor import decode_cursor, encode_cursor


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_a_cursor_is_read_back(seq: int) -> None:
    cursor = encode_cursor("APP1", seq)
    assert decode_cursor("APP1", cursor) == seq
    assert cursor.isascii()
    assert len(cursor) <= 128


def test_the_empty_cursor_is_the_start() -> None:
    assert decode_cursor("APP1", "") == 0


def test_another_apps_cursor_is_refused() -> None:
    with pytest.raises(ValueError, match="cursor"):
        decode_cursor("APP2", encode_cursor("APP1", 7))


@given(st.text(min_size=1, max_size=128))
def test_any_other_text_is_refused_and_never_crashes(text: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        decode_cursor("APP1", text)


@given(st.data())
def test_a_mangled_cursor_is_refused(data: st.DataObject) -> None:
    cursor = encode_cursor("APP1", 123456)
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters(codec="ascii", exclude_characters=cursor[at]))
    with pytest.raises(ValueError, match="cursor"):
        decode_cursor("APP1", cursor[:at] + other + cursor[at + 1 :])
