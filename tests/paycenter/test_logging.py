"""Log lines: JSON, with request id and numbers, and nothing secret in them, whoever logs."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from paycenter.logging import configure, formatter

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
