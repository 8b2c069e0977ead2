"""`make bench` around its rows: what is measured, written down, resumed and answered. The rows are made up."""

from __future__ import annotations

import json
import subprocess
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as bench
from bench import stage as stages
from bench.registry import MORE, ROWS
from bench.stage import Sizes, Stage
from bench.table import Bar, Pairs, Row, Series, Skipped

Measure = Callable[[Stage], Pairs]


def pairs(*ours: float, limit: float = 1.0) -> Pairs:
    return Pairs(ours, [limit] * len(ours), "ms", "made up")


def row(name: str, measure: Measure | Pairs | Exception, bar: Bar | None = None) -> Row:
    def answer(stage: Stage) -> Pairs:
        if isinstance(measure, Exception):
            raise measure
        return measure if isinstance(measure, Pairs) else measure(stage)

    return Row(name, f"title of {name}", "the limit", bar or Bar(2, 1), answer)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run it with these rows and words; its exit status. What it writes is below `tmp_path`."""
    monkeypatch.setattr(bench, "FILE", tmp_path / "bench.json")
    monkeypatch.setattr(bench.signal, "signal", lambda *_: None)

    def run(rows: list[Row], *words: str, more: tuple[Row, ...] = ()) -> int:
        monkeypatch.setattr(bench, "ROWS", tuple(rows))
        monkeypatch.setattr(bench, "MORE", more)
        return bench.main(words)

    return run


def found(folder: Path, name: str = "bench.json") -> dict[str, Any]:
    return dict(json.loads((folder / name).read_text()))


def test_the_file_has_ratio_bar_and_verdict_of_every_row(run: Callable[..., int], tmp_path: Path) -> None:
    assert run([row("peer", pairs(7.0), Bar(None, 1))]) == 0
    assert run([row("quick", pairs(1.0, 1.5, 4.0)), row("rate", pairs(3.0), Bar(0.5, 1, at_least=True))]) == 0
    data = found(tmp_path)
    assert list(data) == ["quick", "rate"]
    quick = {k: data["quick"][k] for k in ("ratio", "bar", "ok", "aim", "at_least", "ratios", "ours", "limit", "unit")}
    assert quick == {
        "ratio": 1.5, "bar": 2, "ok": True, "aim": 1, "at_least": False, "ratios": [1.0, 1.5, 4.0],
        "ours": [1.0, 1.5, 4.0], "limit": [1.0, 1.0, 1.0], "unit": "ms",
    }  # fmt: skip
    assert (data["rate"]["ok"], data["rate"]["at_least"]) == (True, True)
    assert not (tmp_path / "bench.partial.json").exists()


def test_a_missed_bar_is_1_and_named(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    missed = row("slow", pairs(2.1))
    assert run([missed, row("gone", Skipped("no disk")), row("fine", pairs(1.0))]) == 1
    said = capsys.readouterr().out
    assert "MISSED: slow" in said
    assert "gone                   skipped: no disk" in said
    assert "not measured: gone" in said


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Skipped("it is far away"), "it is far away"),
        (KeyError("x"), "KeyError: 'x'"),
        (subprocess.CalledProcessError(3, ["it"]), "CalledProcessError"),
        (ZeroDivisionError("0"), "ZeroDivisionError: 0"),
    ],
)
def test_what_cannot_be_measured_has_its_reason_and_stops_nothing(
    run: Callable[..., int], tmp_path: Path, trouble: Exception, said: str
) -> None:
    assert run([row("gone", trouble), row("fine", pairs(1.0))]) == 2
    data = found(tmp_path)
    assert (data["gone"]["ratio"], data["gone"]["ok"], data["fine"]["ok"]) == (None, None, True)
    assert said in data["gone"]["skipped"]


def test_an_interrupted_full_run_goes_on_behind_its_last_row(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def counted(name: str) -> Measure:
        def measure(_stage: Stage) -> Pairs:
            seen.append(name)
            if name == "second" and seen.count(name) == 1:
                raise KeyboardInterrupt
            return pairs(1.0)

        return measure

    rows = [row("gone", Skipped("not now")), *(row(name, counted(name)) for name in ("first", "second", "third"))]
    with pytest.raises(KeyboardInterrupt):
        run(rows, "--full")
    assert found(tmp_path, "bench.partial.json")["rows"]["first"]["ratio"] == 1.0
    assert not (tmp_path / "bench.json").exists()
    assert run(rows, "--full") == 2  # what was skipped is tried again
    assert seen == ["first", "second", "second", "third"]
    assert list(found(tmp_path)) == ["gone", "first", "second", "third"]
    assert capsys.readouterr().out.count("(measured before)") == 1


@pytest.mark.parametrize("words", [("--full", "--fresh"), ("--full", "--large"), ("--full", "--sizes", "5", "9"), ()])
def test_other_sizes_or_a_fresh_start_measure_everything_again(
    run: Callable[..., int], tmp_path: Path, words: tuple[str, ...]
) -> None:
    partial = {"scale": str(Sizes.of(full=True, large=False)), "rows": {"one": {"ratio": 9.0}}}
    (tmp_path / "bench.partial.json").write_text(json.dumps(partial))
    assert run([row("one", pairs(1.0))], *words) == 0
    assert found(tmp_path)["one"]["ratio"] == 1.0


def test_a_broken_file_of_an_interrupted_run_is_a_fresh_start(run: Callable[..., int], tmp_path: Path) -> None:
    (tmp_path / "bench.partial.json").write_text("{")
    assert run([row("one", pairs(1.0))], "--full") == 0


def test_rows_by_name_leave_the_file_of_all_rows_alone(run: Callable[..., int], tmp_path: Path) -> None:
    rows, more = [row("one", pairs(1.0)), row("two", pairs(9.0))], (row("rare", pairs(1.0)),)
    assert run(rows, "--only", "one", "--only", "rare", more=more) == 0
    assert list(found(tmp_path, "bench-only.json")) == ["one", "rare"]
    assert not (tmp_path / "bench.json").exists()
    with pytest.raises(SystemExit, match="no such row: three"):
        run(rows, "--only", "three")


def test_rare_rows_belong_to_the_full_run(run: Callable[..., int], tmp_path: Path) -> None:
    for words, names in (((), ["one"]), (("--full",), ["one", "rare"])):
        assert run([row("one", pairs(1.0))], *words, more=(row("rare", pairs(1.0)),)) == 0
        assert list(found(tmp_path)) == names


def test_the_disk_is_looked_at_before_much_is_stored(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(stages.shutil, "disk_usage", lambda _path: usage(10**12, 0, 30 * 10**9))
    monkeypatch.setattr(Stage, "var", tmp_path)
    asked: list[int] = []

    def measure(stage: Stage) -> Pairs:
        asked.append(stage.sizes.large)
        stage.need_disk(stage.sizes.large)
        return pairs(1.0)

    assert run([row("one", measure)], "--full") == 2
    assert found(tmp_path)["one"]["skipped"] == "10,000,000 trades need about 60 GB, 30 are free"
    assert run([row("one", measure)]) == 0
    assert run([row("one", measure)], "--full", "--large") == 2
    assert asked == [10_000_000, 1_000_000, 50_000_000]


def test_rows_share_what_was_measured_once() -> None:
    series, made = Series("ms"), []
    with Stage(runs=1, sizes=Sizes(1, 2, 1, 2)) as stage:
        for _ in range(2):
            stage.once("key", lambda: made.append(1))
    assert made == [1]
    series.add(3.0, 2.0)
    assert series.pairs("n").ratio == 1.5


def test_every_row_has_a_name_of_its_own_a_bar_and_an_aim_on_its_side() -> None:
    rows = (*ROWS, *MORE)
    assert len({each.name for each in rows}) == len(rows) >= 18
    for each in rows:
        if each.bar.value is None:
            assert each.name in ("peer_django_payments", "peer_django_getpaid")
            continue
        assert each.bar.value > 0
        assert each.bar.aim >= each.bar.value if each.bar.at_least else each.bar.aim <= each.bar.value
        assert each.title
        assert each.limit
