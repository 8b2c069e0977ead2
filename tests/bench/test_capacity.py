"""What `make bench-capacity` says, and that it says something where nothing can be measured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import capacity
from bench.private_demo import NotStarted


@pytest.fixture(autouse=True)
def _no_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity.signal, "signal", lambda *_: None)


def test_the_answer_is_json_by_number_of_stored_trades(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled: list[int] = []

    class Worker:
        def call(self, _function: str, trades: int) -> None:
            filled.append(trades)

    class Site:
        worker = Worker()

    def measure(_stage: Any, payments: int, prefix: str) -> capacity.Cost:
        return capacity.Cost(float(payments), 0.5, 80.0, 9.0, {"trades_trade": 2.0, "paycenter_event": 3.0}, 0.0)

    monkeypatch.setattr(capacity, "measure", measure)
    monkeypatch.setattr(capacity, "pace", lambda _stage, rate, _seconds, _prefix: (rate * 0.9, 0.7))
    monkeypatch.setattr(capacity.Stage, "site", Site())
    monkeypatch.setattr(capacity.Stage, "need_disk", lambda *_: None)
    assert capacity.main(["--payments", "7", "--stored", "50"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["0", "50"]
    assert (found["50"]["web_ms"], found["50"]["stored"], filled) == (7.0, 5.0, [50])
    assert found["50"]["paced"]["100"] == {"per_second": 90.0, "processors": 0.7, "reckoned": 90 * 7.5 / 1000}


@pytest.mark.parametrize("trouble", [NotStarted("no PostgreSQL"), OSError("no room")])
def test_what_cannot_be_measured_is_2_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trouble: Exception
) -> None:
    def measure(*_: Any) -> Any:
        raise trouble

    monkeypatch.setattr(capacity, "measure", measure)
    assert capacity.main([]) == 2
    said = capsys.readouterr()
    assert str(trouble) in said.err
    assert said.out == ""
