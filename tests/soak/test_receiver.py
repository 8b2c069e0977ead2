"""The app stand-in of the soak: it writes down what came and fails by number, not by chance."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

import pytest

from deploy.soak.apps import FAILURES, Receiver, name_of
from deploy.soak.record import Record
from notifications.signing import signed_headers
from tests.factories import WEBHOOK_SECRET


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "operations.jsonl")


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read()
    except (OSError, HTTPException):
        return 0, b""


def test_one_seed_fails_the_same_messages_in_any_order(record: Record) -> None:
    one, other = Receiver(3, record), Receiver(3, record)
    messages = [(f"trade.paid:S3-{order}:None", time) for order in range(60) for time in (1, 2, 3)]
    told = {message: one.how(*message) for message in messages}
    assert {message: other.how(*message) for message in reversed(messages)} == told
    assert {"success", *FAILURES} == set(told.values())
    assert {message: Receiver(4, record).how(*message) for message in messages} != told


def test_a_message_is_named_by_what_its_app_calls_things(record: Record) -> None:
    data = {"trade_no": "P1", "app_order_no": "S3-1", "refund_no": "R1", "app_refund_no": "S3-1-R1"}
    assert name_of(json.dumps({"type": "refund.succeeded", "data": data}).encode()) == "refund.succeeded:S3-1:S3-1-R1"
    receiver = Receiver(3, record)
    assert [receiver.times(number) for number in ("m1", "m2", "m1")] == [1, 1, 2]


def test_what_came_is_written_down_and_its_signature_judged(record: Record) -> None:
    receiver = Receiver(3, record)
    receiver.secrets["APP"] = WEBHOOK_SECRET
    receiver.behaving = True
    body = json.dumps({"id": "m1", "type": "trade.paid", "data": {}}).encode()
    headers = signed_headers((WEBHOOK_SECRET,), webhook_id="m1", timestamp=1, body=body)
    with receiver.serving() as url:
        assert post(f"{url}/APP", body, headers) == (200, b"success")
        assert post(f"{url}/APP", body, {**headers, "webhook-signature": "v1,AAAA"}) == (200, b"success")
    assert [(r["webhook_id"], r["genuine"], r["acknowledged"]) for r in record.receipts] == [
        ("m1", True, True), ("m1", False, True)]  # fmt: skip


@pytest.mark.parametrize("how", ["500", "not_success", "reset"])
def test_a_receiver_that_fails_acknowledges_nothing(record: Record, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    receiver = Receiver(3, record)
    receiver.secrets["APP"] = WEBHOOK_SECRET
    monkeypatch.setattr(receiver, "how", lambda name, number: how)
    body = json.dumps({"id": "m1", "type": "trade.paid"}).encode()
    with receiver.serving() as url:
        status, answer = post(f"{url}/APP", body, {"webhook-id": "m1"})
    assert (status, answer) != (200, b"success")
    assert [r["acknowledged"] for r in record.receipts] == [False]
