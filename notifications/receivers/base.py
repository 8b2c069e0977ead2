"""What every receiver of alerts has in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paycenter.errors import PaycenterError
from paycenter.http import HttpClient, HttpResponse, TimeLimits

LIMITS = TimeLimits(connect=3.0, total=8.0)
MAX_ANSWER_BYTES = 64 * 1024
SILENCE = 60.0  # seconds without messages to a robot that asked for fewer and did not say for how long


class RobotRefused(PaycenterError):
    """The receiver answered, but did not take the message."""


class RobotBusy(RobotRefused):
    """The receiver wants no further message for `wait` seconds."""

    def __init__(self, text: str, wait: float = SILENCE) -> None:
        super().__init__(text)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes. `url` and `secret` are credentials and stand in no error; `addresses` are for e-mail."""

    url: str = ""
    secret: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """`text` is Markdown of headings, quotes, bold and links only, which all robots draw."""

    title: str
    text: str
    critical: bool = False


# (client, target, message, seconds since the epoch) → the receiver's own words. Raises NotSent, UnknownOutcome,
# RobotRefused or RobotBusy; none of them shows the address or the secret.
Send = Callable[[HttpClient, Target, Message, float], str]


@dataclass(frozen=True, slots=True)
class Receiver:
    """`per_minute` is what the receiver takes at most, `max_bytes` the longest text of one message (UTF-8).

    `escape` makes text that may hold what others wrote (a company's name, an app's reason) stand as it is among the
    Markdown of a message: no link, no mention, no heading of its own.
    """

    send: Send
    per_minute: int
    max_bytes: int
    escape: Callable[[str], str]


_WIDE = {ord(char): chr(ord(char) + 0xFEE0) for char in r"\`*[]<>#|~@!"}


def widened(text: str) -> str:
    """For Markdown without an escape that is written down: what has a meaning in it in its full-width form, which has
    none and reads alike. No address is drawn as a link either."""
    return text.translate(_WIDE).replace("://", "：//")


def post_json(http: HttpClient, url: str, message: Mapping[str, Any]) -> tuple[HttpResponse, dict[str, Any]]:
    """The answer and its JSON object. Raises NotSent, UnknownOutcome, RobotRefused, and RobotBusy on HTTP 429."""
    answer = http.request(
        "POST", url, limits=LIMITS, max_bytes=MAX_ANSWER_BYTES, operation="alert",
        headers={"content-type": "application/json; charset=utf-8"},
        body=json.dumps(message, ensure_ascii=False).encode(),
    )  # fmt: skip
    if answer.status == 429:
        raise RobotBusy("HTTP 429", _wait_of(answer))
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RobotRefused(f"HTTP {answer.status} without JSON")
    return answer, found


def _wait_of(answer: HttpResponse) -> float:
    """Seconds that the answer asks to wait, between 1 and 3600."""
    for name in ("retry-after", "x-ogw-ratelimit-reset"):
        text = answer.headers.get(name, "").strip()
        if text.isascii() and text.isdigit() and len(text) < 8:
            return float(min(max(int(text), 1), 3600))
    return SILENCE


def judge(answer: HttpResponse, code: Any, words: Any, busy: Mapping[int, float]) -> str:
    """`0: ok` where the receiver took it: HTTP 200 and the number 0. Codes in `busy` say for how long to be silent.

    Raises RobotRefused or RobotBusy; robots answer refusals with HTTP 200, too.
    """
    # A robot's words are kept, and JSON may name characters that no record keeps.
    text = f"{code}: {words}"[:200].replace("\0", "").encode(errors="replace").decode()
    if type(code) is int and code in busy:
        raise RobotBusy(text, busy[code])
    if type(code) is not int or code != 0 or answer.status != 200:
        raise RobotRefused(f"HTTP {answer.status}, {text}" if answer.status != 200 else text)
    return text


def bounded(text: str, limit: int) -> str:
    """The text, cut at `limit` bytes of UTF-8 where it is longer."""
    data = text.encode()
    return text if len(data) <= limit else data[: limit - 4].decode(errors="ignore") + " …"
