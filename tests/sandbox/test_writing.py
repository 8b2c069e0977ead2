"""Amounts and times as the providers write them, whatever zone this process runs in."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.amounts import parse_yuan, thousandths_of_percent, yuan
from sandbox.clock import day_bounds, parse_rfc3339, parse_wall_clock, rfc3339, wall_clock


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_yuan_is_exact_both_ways(fen: int) -> None:
    assert parse_yuan(yuan(fen)) == fen


@pytest.mark.parametrize(("text", "fen"), [("1", 100), ("0.1", 10), ("0.01", 1), ("88.88", 8888), ("-0.04", -4)])
def test_reads_what_merchants_send(text: str, fen: int) -> None:
    assert parse_yuan(text) == fen


@pytest.mark.parametrize("text", ["", "1.", ".5", "1.001", "1e2", "1,00", " 1", "NaN", "+1", "1" * 13, "１"])
def test_refuses_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_yuan(text)


@pytest.mark.parametrize(("fen", "fee"), [(10000, 60), (1, 0), (83, 0), (84, 1), (250, 2), (0, 0)])
def test_fees_are_rounded_half_up(fen: int, fee: int) -> None:
    assert thousandths_of_percent(fen, 600) == fee


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Shanghai"])
def test_times_are_beijings_in_every_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert wall_clock(0) == "1970-01-01 08:00:00"
        assert parse_wall_clock("1970-01-01 08:00:00") == 0
        assert rfc3339(0.9) == "1970-01-01T08:00:00+08:00"
        assert parse_rfc3339("1970-01-01T00:00:00+00:00") == 0
        start, end = day_bounds("1970-01-02")
        assert (start, end) == (16 * 3600, 40 * 3600)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "yesterday", ""])
def test_a_time_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"offset|isoformat"):
        parse_rfc3339(text)
