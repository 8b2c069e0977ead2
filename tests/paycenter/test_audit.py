"""verify_audit names the first place where the chain does not hold."""

from __future__ import annotations

import json
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from notifications.models import Alert
from paycenter.audit import heads_path, write_head
from paycenter.models import AuditVerification, Event, EventHead
from paycenter.sequencer import HEAD_ID, chain_hash, sequence_events
from paycenter.tasks import verify_audit, write_audit_head
from tests.fakes.audit_triggers import without_triggers
from tests.paycenter.test_sequencer import make_events


@pytest.fixture(autouse=True)
def _own_directory(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path


@pytest.fixture
def chain(db: None) -> list[Event]:
    """Ten numbered events, the head noted behind the fifth and the tenth."""
    make_events(5)
    write_audit_head()
    make_events(5)
    write_audit_head()
    return list(Event.objects.order_by("seq"))


def verify() -> str:
    out = StringIO()
    call_command("verify_audit", stdout=out)
    return out.getvalue()


def broken() -> str:
    with pytest.raises(CommandError) as caught:
        call_command("verify_audit")
    return str(caught.value)


def rewrite_from(seq: int) -> None:
    """What somebody with the database in hand would do: hash everything again from here on."""
    previous = Event.objects.get(seq=seq - 1).hash if seq > 1 else ""
    for event in Event.objects.filter(seq__gte=seq).order_by("seq"):
        previous = chain_hash(previous, event)
        Event.objects.filter(pk=event.pk).update(hash=previous)
    EventHead.objects.update(hash=previous)


def test_an_untouched_chain_holds(chain: list[Event]) -> None:
    make_events(1)
    assert "10 events verified, 2 noted heads compared, 1 not numbered yet" in verify()


def test_a_range_is_walked_from_the_hash_before_it(chain: list[Event]) -> None:
    out = StringIO()
    call_command("verify_audit", "--from", "4", "--to", "8", stdout=out)
    assert "5 events verified, 1 noted heads compared" in out.getvalue()
    with without_triggers():
        Event.objects.filter(seq=9).update(actor="mallory")
    call_command("verify_audit", "--to", "8", stdout=out)
    with pytest.raises(CommandError, match="event seq 9, id"):
        call_command("verify_audit", "--from", "9")


@pytest.mark.parametrize("wrong", [["--from", "11"], ["--to", "11"], ["--from", "5", "--to", "4"], ["--from", "-1"]])
def test_a_range_beyond_the_chain_is_refused(chain: list[Event], wrong: list[str]) -> None:
    with pytest.raises(CommandError, match="the chain goes from 1 to 10"):
        call_command("verify_audit", *wrong)


def test_a_long_run_says_how_far_it_is(chain: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paycenter.audit._BATCH", 4)
    said = StringIO()
    call_command("verify_audit", stdout=StringIO(), stderr=said)
    assert said.getvalue().splitlines() == ["4 of 10 (40 %)", "8 of 10 (80 %)"]


def test_its_exit_status_tells(chain: list[Event]) -> None:
    from django.core.management import execute_from_command_line

    with without_triggers():
        Event.objects.filter(seq=2).update(actor="mallory")
    with pytest.raises(SystemExit) as caught:
        execute_from_command_line(["manage.py", "verify_audit"])
    assert caught.value.code == 1


def test_the_schedule_keeps_each_result_and_goes_on_from_the_last_good_one(chain: list[Event]) -> None:
    assert verify_audit() is True
    make_events(3)
    sequence_events()
    assert verify_audit() is True
    whole, new = AuditVerification.objects.order_by("id")
    assert (whole.ok, whole.first_seq, whole.last_seq, whole.events) == (True, 1, 10, 10)
    assert (new.ok, new.first_seq, new.last_seq, new.events) == (True, 10, 13, 4)
    assert not Alert.objects.exists()


def test_a_break_is_kept_and_alerts_somebody(chain: list[Event]) -> None:
    with without_triggers():
        Event.objects.filter(seq=4).update(reason="x")
    assert verify_audit() is False
    row = AuditVerification.objects.get()
    assert (row.ok, row.problem[:11]) == (False, "event seq 4")
    alert = Alert.objects.get(kind="audit")
    assert (alert.severity, "序号 4" in alert.text) == ("critical", True)


def test_what_was_rewritten_or_cut_off_since_the_last_one_is_noticed_without_the_file(chain: list[Event]) -> None:
    verify_audit()
    heads_path().unlink()
    with without_triggers():
        Event.objects.filter(seq=3).update(actor="mallory")
        rewrite_from(3)
    assert verify_audit() is False
    assert "seq 10 was rewritten" in AuditVerification.objects.latest("id").problem
    with without_triggers():
        Event.objects.filter(seq__gt=7)._raw_delete("default")
    EventHead.objects.update(seq=7, hash=Event.objects.get(seq=7).hash)
    assert verify_audit() is False
    assert "seq 10 was verified, but the chain ends at seq 7" in AuditVerification.objects.latest("id").problem


def test_an_empty_book_holds(db: None) -> None:
    assert "0 events verified" in verify()


@pytest.mark.parametrize(
    ("column", "value"),
    [("actor", "mallory"), ("data", {"amount": 1}), ("reason", "x"), ("trade_no", "P2"), ("public", True)],
)
def test_the_first_altered_event_is_named(chain: list[Event], column: str, value: Any) -> None:
    with without_triggers():
        Event.objects.filter(seq__in=[4, 8]).update(**{column: value})
    assert broken() == f"event seq 4, id {chain[3].pk} (test.happened) was altered"


def test_a_missing_event_is_named(chain: list[Event]) -> None:
    with without_triggers():
        Event.objects.filter(seq=6)._raw_delete("default")
    assert "event seq 6 is missing" in broken()


def test_two_events_that_changed_places_are_noticed(chain: list[Event]) -> None:
    with without_triggers():
        Event.objects.filter(pk=chain[2].pk).update(seq=100)
        Event.objects.filter(pk=chain[3].pk).update(seq=3)
        Event.objects.filter(pk=chain[2].pk).update(seq=4)
    assert "event seq 3" in broken()


def test_events_cut_off_at_the_end_are_noticed(chain: list[Event]) -> None:
    with without_triggers():
        Event.objects.filter(seq__gt=7)._raw_delete("default")
    assert "ends at seq 7, but its head says 10" in broken()
    EventHead.objects.update(seq=7, hash=chain[6].hash)
    assert "ends at seq 7, but seq 10 was noted" in broken()


def test_a_chain_rewritten_from_the_middle_differs_from_the_noted_heads(chain: list[Event]) -> None:
    with without_triggers():
        Event.objects.filter(seq=3).update(actor="mallory")
        rewrite_from(3)
    assert f"event seq 5, id {chain[4].pk} was rewritten" in broken()


def test_an_event_put_behind_the_head_is_noticed(chain: list[Event]) -> None:
    make_events(1, seq=11, hash="0" * 64)
    assert "event seq 11 is beyond the head" in broken()


def test_a_forged_head_is_noticed(chain: list[Event]) -> None:
    EventHead.objects.update(hash="0" * 64)
    assert "head's hash" in broken()


def test_a_lost_head_is_noticed(chain: list[Event]) -> None:
    EventHead.objects.all().delete()
    assert "beyond the head" in broken()


def test_the_head_is_noted_with_its_time_one_line_each(chain: list[Event]) -> None:
    rows = [json.loads(line) for line in heads_path().read_text().splitlines()]
    assert [row["seq"] for row in rows] == [5, 10]
    assert [row["hash"] for row in rows] == [chain[4].hash, chain[9].hash]
    assert all(datetime.fromisoformat(row["time"]).utcoffset() is not None for row in rows)


def test_a_head_that_did_not_move_is_not_noted_again(chain: list[Event]) -> None:
    assert write_head() is False
    make_events(1)
    assert write_audit_head() is True
    assert len(heads_path().read_text().splitlines()) == 3


def test_nothing_is_noted_before_the_first_event(db: None) -> None:
    assert write_head() is False
    assert not heads_path().exists()


@pytest.mark.parametrize("line", ["garbage", "{}", '{"seq": "x", "hash": 1}', "[]"])
def test_a_damaged_heads_file_is_named_with_its_line(chain: list[Event], line: str) -> None:
    with heads_path().open("a") as out:
        out.write(line + "\n")
    assert "line 3 cannot be read" in broken()


def test_two_different_hashes_for_one_number_are_noticed(chain: list[Event]) -> None:
    with heads_path().open("a") as out:
        out.write(json.dumps({"seq": 5, "hash": "0" * 64, "time": "x"}) + "\n")
    assert "line 3" in broken()


def test_long_chains_are_read_in_pages(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paycenter.audit._BATCH", 4)
    make_events(11)
    sequence_events()
    assert "11 events verified" in verify()
    assert EventHead.objects.get(pk=HEAD_ID).seq == 11
