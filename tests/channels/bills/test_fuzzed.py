"""Whatever the bytes are, reading gives rows or a refusal, and nothing else."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paycenter.errors import BillRefused
from tests.channels.bills.files import FORMATS, Format

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rows_or_refusal(form: Format, content: bytes) -> int | None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            return len(form.rows(Path(file.name)))
        except BillRefused:
            return None


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_packed_bill_with_one_byte_too_many(name: str) -> None:
    """In one of the places the list at an archive's end then points before its beginning."""
    form = FORMATS[name]
    content = form.pack(form.plain(form.lines()))
    found = [rows_or_refusal(form, content[:at] + b"\0" + content[at:]) for at in range(len(content) + 1)]
    assert None in found


@pytest.mark.parametrize("name", sorted(FORMATS))
@quick
@given(content=st.binary(max_size=300), head=st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08\x00"]))
def test_any_bytes(name: str, content: bytes, head: bytes) -> None:
    assert rows_or_refusal(FORMATS[name], head + content) is None


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "plain"])
@pytest.mark.parametrize("name", sorted(FORMATS))
@quick
@given(data=st.data())
def test_a_good_bill_with_some_bytes_changed(name: str, packed: bool, data: st.DataObject) -> None:
    form = FORMATS[name]
    plain = form.plain(form.lines())
    content = bytearray(form.pack(plain) if packed else plain)
    for _change in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        how = data.draw(st.sampled_from(["set", "drop", "insert", "repeat"]))
        if how == "set":
            content[at] = data.draw(st.integers(0, 255))
        elif how == "drop":
            del content[at : at + data.draw(st.integers(1, 40))]
        elif how == "insert":
            content[at:at] = data.draw(st.binary(min_size=1, max_size=6))
        else:
            content[at:at] = content[at : at + 200]
        if not content:
            break
    found = rows_or_refusal(form, bytes(content))
    if name not in ("unionpay", "mpgs"):  # which have no totals
        assert found is None or found <= 3


@pytest.mark.parametrize("name", sorted(FORMATS))
@quick
@given(data=st.data())
def test_a_good_bill_with_fields_changed(name: str, data: st.DataObject) -> None:
    form, mark = FORMATS[name], "|" if name == "bank" else ","
    lines = form.lines()
    at = data.draw(st.integers(0, len(lines) - 1))
    values = lines[at].split(mark)
    where = data.draw(st.integers(0, len(values) - 1))
    text = st.text(st.characters(codec=form.encoding, exclude_characters="\r\n"), max_size=20)
    values[where] = data.draw(st.sampled_from(["", "`", "\t", "0", "-1", "9" * 40, "2026-02-30 10:00:00"]) | text)
    lines[at] = mark.join(values)
    rows_or_refusal(form, gzip.compress(form.plain(lines)))
