"""Log lines: JSON, with request id and numbers, and nothing secret in them, whoever logs."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from paycenter import lanes, working
from paycenter.logging import configure, formatter
from tests import factories
from tests.factories import HMAC_SECRET
from tests.fakes.signing import signed_post
from trades.calling import call_channel
from trades.models import Attempt

SECRET = "Zq7-very-secret-9xK"
Lines = Callable[[], list[dict[str, Any]]]


def failing(request: HttpRequest) -> HttpResponse:
    local_secret = SECRET  # noqa: F841  # stands for a key in a frame's variables
    raise RuntimeError(f"cannot sign with password={request.POST['password']} for 13812345678")


urlpatterns = [path("fails", failing)]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What the handler of our configuration writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)


def test_a_line_is_json_with_level_logger_time_and_fields(lines: Lines) -> None:
    structlog.get_logger("paycenter.x").warning("channel slow", trade_no="P20261121033418123456ABCDEFG", amount=100)
    (line,) = lines()
    assert line["event"] == "channel slow"
    assert (line["level"], line["logger"]) == ("warning", "paycenter.x")
    assert line["trade_no"] == "P20261121033418123456ABCDEFG"
    assert line["amount"] == 100
    assert line["timestamp"].endswith("Z")


def test_the_request_id_is_in_every_line(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="13812345678abcdef"):
        structlog.get_logger("a").warning("x")
        logging.getLogger("b").warning("y")
    assert [line["request_id"] for line in lines()] == ["13812345678abcdef"] * 2


@pytest.mark.parametrize(
    "write",
    [
        lambda: structlog.get_logger("a").warning("x", password=SECRET),
        lambda: structlog.get_logger("a").warning(f"failed for password={SECRET}"),
        lambda: structlog.get_logger("a").warning("x", config={"a": [{"app_private_key": SECRET}]}),
        lambda: structlog.get_logger("a").warning("x", error=ValueError(f"secret: {SECRET}")),
        lambda: structlog.get_logger("a").warning("x", body=json.dumps({"api_v3_key": SECRET}).encode()),
        lambda: structlog.get_logger("a").warning("x", found={f"token={SECRET}"}),
        lambda: logging.getLogger("lib").warning("sent %s", {"Authorization": f"Bearer {SECRET}"}),
        lambda: logging.getLogger("lib").warning("GET /x?access_token=%s HTTP/1.1", SECRET),
    ],
)
def test_secrets_never_reach_a_line(write: Callable[[], None], lines: Lines) -> None:
    write()
    (line,) = lines()
    assert SECRET not in json.dumps(line)


def test_a_traceback_is_masked_and_shows_no_variables(lines: Lines) -> None:
    def inner(value: str) -> None:
        raise ValueError(f"bad config secret={value}")

    for logger in (structlog.get_logger("a"), logging.getLogger("b")):
        try:
            inner(SECRET)
        except ValueError:
            logger.exception("it failed")
    for line in lines():
        assert "ValueError" in line["exception"]
        assert "test_logging.py" in line["exception"]
        assert SECRET not in json.dumps(line)


@override_settings(ROOT_URLCONF="tests.paycenter.test_logging", DEBUG=False)
def test_a_failing_view_is_logged_once_without_its_data(lines: Lines, db: None) -> None:
    client = Client(raise_request_exception=False)
    answer = client.post("/fails", {"password": SECRET})
    assert answer.status_code == 500
    assert SECRET not in answer.content.decode(errors="replace")
    found = [line for line in lines() if line["logger"] == "django.request"]
    assert len(found) == 1
    everything = json.dumps(lines())
    assert SECRET not in everything
    assert "13812345678" not in everything
    assert "RuntimeError" in found[0]["exception"]


@override_settings(ROOT_URLCONF="tests.paycenter.test_logging", DEBUG=False)
def test_unknown_paths_are_no_noise(lines: Lines, db: None) -> None:
    Client().get("/nowhere?token=" + SECRET)
    assert [line for line in lines() if line["logger"] == "django.request"] == []


def test_objects_that_json_cannot_hold_become_text(lines: Lines) -> None:
    structlog.get_logger("a").warning("x", thing=object(), numbers=(1, 2), nothing=None, yes=True)
    (line,) = lines()
    assert line["thing"].startswith("<object")
    assert (line["numbers"], line["nothing"], line["yes"]) == ([1, 2], None, True)


def test_the_configuration_writes_to_standard_output_and_mails_nobody() -> None:
    found = configure("INFO")
    assert [one["class"] for one in found["handlers"].values()] == ["logging.StreamHandler"]
    assert found["handlers"]["stdout"]["stream"] == "ext://sys.stdout"
    assert logging.getLogger("django").handlers == []
    assert found["root"]["level"] == "INFO"
    assert found["loggers"]["django.db.backends"]["level"] == "WARNING"  # SQL carries parameters


def test_a_calls_lines_carry_its_numbers(lines: Lines, world: Any, settings: Any) -> None:
    """Of whatever module, and the line about the request itself where those are wanted."""
    settings.LOG_REQUESTS = True
    body = {"trade_no": "P404"}
    answer = signed_post(Client(), "/v1/query/trade", body, world.app.app_id, HMAC_SECRET)
    (line,) = [line for line in lines() if line["event"] == "request"]
    assert (line["route"], line["status"], line["app_id"]) == ("v1/query/trade", 404, world.app.app_id)
    assert line["trade_no"] == "P404"
    assert line["request_id"] == answer["X-Request-Id"]


def test_a_channels_trouble_is_logged_with_the_trade_it_was_about(lines: Lines, world: Any) -> None:
    trade = factories.trade_open(app=world.app, order=world.order())
    attempt = Attempt(trade=trade, account=world.account, channel="fakepay", attempt_no="A77")

    def work(_provider: Any) -> None:
        logging.getLogger("somebody.elses").warning("a strange answer")

    structlog.contextvars.clear_contextvars()
    call_channel(attempt, work)
    (line,) = [line for line in lines() if line["event"] == "a strange answer"]
    assert (line["trade_no"], line["attempt_no"]) == (trade.trade_no, attempt.attempt_no)
    assert "trade_no" not in structlog.contextvars.get_contextvars()


def test_a_workers_lines_carry_task_and_run_also_from_its_threads(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = working.Watch("celery@a")
    monkeypatch.setattr(watch._pulse, "beat", lambda: None)
    task = type("Task", (), {"name": "trades.tasks.query_due"})
    watch._begin(task_id="ab-cd", task=task)
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(lambda run, text: run(structlog.get_logger("a").warning, text), lanes._runs(["x"]), ["x"]))
    watch._end(task_id="ab-cd", task=task, state="SUCCESS")
    (line,) = lines()
    assert (line["task"], line["request_id"]) == ("trades.tasks.query_due", "abcd")
    assert structlog.contextvars.get_contextvars() == {}
