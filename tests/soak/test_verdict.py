"""What a run says in the end: its exit status, its last lines, and what it leaves for whoever has to explain it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.soak import run as running
from deploy.soak.books import Books
from deploy.soak.checker import differences
from deploy.soak.record import Record
from deploy.soak.run import Run
from deploy.soak.verdict import PER_MINUTE, Verdict, judge
from tests.soak.sample import A1, R1, T, refund

COUNTS = Counter({"kill web": 6, "kill postgres": 3, "missed redis": 1, "fault": 20, "act": 90, "decision": 9})


@pytest.fixture
def busy() -> Books:
    """Enough of everything for two minutes."""
    amounts = [50] * 20 + [200] * 10 + [300] * 10
    return Books(
        trades=[{"state": "paid"}] * 40, receipts=[{}] * 80,
        refunds=[refund(f"R{number}", amount, 1.0) for number, amount in enumerate(amounts)],
        policies=[{"app_id": "APP", "merchant_no": "M1", "currency": "", "automatic_up_to": 100,
                   "one_approval_up_to": 250, "abnormal_automatic_up_to": 100}],
    )  # fmt: skip


def verdict(books: Books, counts: Counter[str] = COUNTS, troubles: tuple[str, ...] = ()) -> Verdict:
    return judge([], books, counts, troubles, minutes=2)


def test_a_run_in_which_enough_happened_passes(busy: Books) -> None:
    passed = verdict(busy)
    assert (passed.status, passed.wrong) == (0, ())
    said = "\n".join(passed.lines)
    assert "killed: postgres 3, web 6; missed: redis 1" in said
    assert "20 without a person, 10 with one approval, 10 with two approvals" in said
    assert "trouble: none" in said


def _without(table: str) -> Callable[[Books], None]:
    return lambda books: getattr(books, table).clear()


def _automatic(books: Books) -> None:
    books.policies[0]["automatic_up_to"] = 10_000


def _refused(books: Books) -> None:
    for row in books.refunds:
        row["state"] = "failed"


TOO_LITTLE: dict[str, tuple[Callable[[Books], None], str]] = {
    "nobody paid": (_without("trades"), "trades paid"),
    "nothing was given back": (_refused, "refunds that succeeded"),
    "nothing was sent by itself": (lambda books: books.policies[0].update(automatic_up_to=0), "without a person"),
    "nobody had to approve": (_automatic, "with one approval"),
    "no two people had to approve": (_automatic, "with two approvals"),
    "apps heard nothing": (_without("receipts"), "notifications received"),
}


@pytest.mark.parametrize("name", TOO_LITTLE)
def test_a_run_in_which_too_little_happened_fails_and_says_so(busy: Books, name: str) -> None:
    doctor, missing = TOO_LITTLE[name]
    doctor(busy)
    failed = verdict(busy)
    assert failed.status == 1
    assert any(one.rule == "too little happened" and missing in one.words for one in failed.wrong)


@pytest.mark.parametrize("counted", ["kill", "fault"])
def test_what_missed_counts_for_nothing(busy: Books, counted: str) -> None:
    counts = Counter({name.replace(counted, "missed", 1): count for name, count in COUNTS.items()})
    failed = verdict(busy, counts)
    assert [one.words.split(",")[0] for one in failed.wrong] == [f"0 {counted}s"]


def test_a_short_run_is_asked_for_less(busy: Books) -> None:
    assert judge([], Books(), Counter(), (), minutes=0.01).status == 0
    assert len(judge([], Books(), Counter(), (), minutes=1).wrong) == len(PER_MINUTE)


def test_trouble_in_the_run_fails_it_and_stands_in_the_last_lines(busy: Books) -> None:
    failed = verdict(busy, troubles=("KeyError: 'data'", "KeyError: 'data'", "Unavailable: postgres did not start"))
    assert failed.status == 1
    assert "trouble: 2 x KeyError: 'data'; 1 x Unavailable: postgres did not start" in failed.lines
    assert [one.rule for one in failed.wrong] == ["trouble in the run"] * 2


def test_a_client_that_breaks_is_trouble(tmp_path: Path) -> None:
    record, answer = Record(tmp_path / "operations.jsonl"), {"errno": 0}
    running._guarded(record, lambda: answer["data"])
    record.close()
    assert record.troubles == ["KeyError: 'data'"]


def _run(tmp_path: Path) -> Run:
    return Run(seed=3, seconds=0.6, folder=tmp_path, clients=1, followed=4)


def test_a_failing_run_leaves_all_that_explains_it(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    books.channel_refunds[0]["amount"] = 301
    record = Record(tmp_path / "operations.jsonl")
    record.trouble(RuntimeError("a client broke"))
    assert _run(tmp_path)._judge(differences(books), books, record) == 1
    record.close()
    said = capsys.readouterr().out.splitlines()
    assert "FAILED: 2 differences" in said[-1]
    assert str(tmp_path) in said[-1]
    assert "the channel gave back 301" in said[-3]
    assert "a client broke" in said[-2]
    found = (tmp_path / "differences.txt").read_text().splitlines()
    assert found[0].startswith("[money given back]")
    assert "trouble: 1 x RuntimeError: a client broke" in (tmp_path / "summary.txt").read_text()
    planned = (tmp_path / "plan.txt").read_text().splitlines()
    assert [line.split()[0] for line in planned if line[4] != " "] == ["1", "2", "3", "4"]
    (rows,) = json.loads((tmp_path / "rows.json").read_text()).values()
    assert rows["refunds"][0]["refund_no"] == R1
    assert [row["trade_no"] for row in rows["trades"]] == [T]
    assert {row["attempt_no"] for row in rows["channel_payments"]} >= {A1}
    (line,) = map(json.loads, (tmp_path / "operations.jsonl").read_text().splitlines())
    assert (line["what"], "RuntimeError" in line["trace"]) == ("trouble", True)


def test_a_run_whose_books_agree_leaves_none(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record(tmp_path / "operations.jsonl")
    assert _run(tmp_path)._judge(differences(books), books, record) == 0
    record.close()
    assert "ok: all books agree (seed 3)" in capsys.readouterr().out.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"operations.jsonl"}


def test_a_run_that_breaks_off_leaves_its_bundle_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given: object) -> None:
        raise ValueError("nobody expected this")

    monkeypatch.setattr(Run, "_soak", broken)
    monkeypatch.setattr(running.reading, "center_rows", broken)
    record = Record(tmp_path / "operations.jsonl")
    run = _run(tmp_path)
    outcome = run._outcome(None, None, record)  # type: ignore[arg-type]
    assert run._judge(*outcome, record) == 1
    record.close()
    assert "ValueError: nobody expected this" in (tmp_path / "differences.txt").read_text()
    assert "in broken" in (tmp_path / "operations.jsonl").read_text(), "with where it happened"
