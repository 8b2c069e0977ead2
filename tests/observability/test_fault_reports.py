"""What Sentry receives: the fault and where it was, with the numbers it was about, and nothing secret or personal."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from paycenter import fault_reports
from tests.notifications.receiver import Receiver, Say

SECRET = "Zq7-very-secret-9xK"
Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def events() -> Iterator[Events]:
    """Reports are on; sends what waits and answers the events that arrived."""
    sentry_sdk = pytest.importorskip("sentry_sdk")
    structlog.contextvars.clear_contextvars()  # of the request that somebody tested before
    receiver = Receiver()
    receiver.answers["/api/1/envelope/"] = Say(body=b"{}")
    fault_reports.configure(f"http://key@127.0.0.1:{receiver.port}/1", "production")

    def received() -> list[dict[str, Any]]:
        sentry_sdk.flush(5)
        found = []
        for got in receiver.of("/api/1/envelope/"):
            body = gzip.decompress(got.body) if got.headers.get("content-encoding") == "gzip" else got.body
            found += [json.loads(line) for line in body.splitlines()[2::2]]
        return [one for one in found if "event_id" in one]

    yield received
    sentry_sdk.get_client().close(timeout=1)
    sentry_sdk.get_global_scope().set_client(None)  # init() without a word would patch Django for good
    receiver.stop()


def fail(password: str) -> None:
    held = f"private {password}"
    raise ValueError(f"cannot sign with password={password} for 13812345678 {len(held)}")


def test_a_fault_arrives_with_its_numbers_and_without_anything_else(events: Events) -> None:
    with structlog.contextvars.bound_contextvars(request_id="ab" * 16, trade_no="P77", client_ip="198.51.100.7"):
        structlog.get_logger("trades.calling").info("before", body=SECRET)
        try:
            fail(SECRET)
        except ValueError:
            structlog.get_logger("trades.calling").exception("provider defect", channel="wechat", config=SECRET)
    (event,) = events()
    assert event["logentry"]["message"] == "provider defect"
    (exception,) = event["exception"]["values"]
    assert exception["type"] == "ValueError"
    assert [frame["function"] for frame in exception["stacktrace"]["frames"]][-1] == "fail"
    assert event["tags"] == {"request_id": "ab" * 16, "trade_no": "P77", "channel": "wechat"}
    text = json.dumps(event)
    for hidden in (SECRET, "13812345678", "198.51.100.7", "before"):
        assert hidden not in text
    assert not {"user", "request", "breadcrumbs", "extra", "contexts"} & set(event)


def test_libraries_errors_arrive_masked_and_warnings_do_not(events: Events) -> None:
    logging.getLogger("some.library").error("refused token=%s", SECRET)
    logging.getLogger("some.library").warning("only a warning")
    (event,) = events()
    assert event["logentry"]["message"].startswith("refused token=")
    assert SECRET not in json.dumps(event)


def test_off_unless_a_dsn_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentry_sdk", None)  # importing it would fail
    fault_reports.configure("", "production")


def test_without_the_package_it_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentry_sdk", None)
    fault_reports.configure("http://key@127.0.0.1:9/1", "production")
    assert "sentry-sdk is not installed" in caplog.text
