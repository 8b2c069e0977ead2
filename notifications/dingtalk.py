"""DingTalk group robots, with the "sign" security setting.

https://open.dingtalk.com/document/robots/custom-robot-access
https://open.dingtalk.com/document/robots/customize-robot-security-settings
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from urllib.parse import quote_plus

from paycenter.errors import PaycenterError
from paycenter.http import HttpClient, TimeLimits

LIMITS = TimeLimits(connect=3.0, total=8.0)
MESSAGES_PER_MINUTE = 20  # a robot that sends more is silenced for ten minutes
MAX_TEXT_BYTES = 18_000  # of 20,000 for the whole request


class RobotRefused(PaycenterError):
    """The robot answered, but did not take the message."""


def sign(secret: str, timestamp_ms: int) -> str:
    """Base64 of HMAC-SHA256 over `timestamp` and secret, keyed with the secret (not yet URL-encoded)."""
    digest = hmac.digest(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode("ascii")


def signed_url(url: str, secret: str, timestamp_ms: int) -> str:
    """The webhook address with timestamp and signature; unchanged where the robot has no secret."""
    if not secret:
        return url
    mark = "&" if "?" in url else "?"
    return f"{url}{mark}timestamp={timestamp_ms}&sign={quote_plus(sign(secret, timestamp_ms))}"


def send_markdown(http: HttpClient, *, url: str, secret: str, title: str, text: str, timestamp_ms: int) -> None:
    """Post one message. Raises NotSent, UnknownOutcome or RobotRefused; none of them shows the address."""
    message = {"msgtype": "markdown", "markdown": {"title": title, "text": _bounded(text)}}
    answer = http.request(
        "POST", signed_url(url, secret, timestamp_ms), limits=LIMITS, max_bytes=64 * 1024, operation="alert",
        headers={"content-type": "application/json; charset=utf-8"},
        body=json.dumps(message, ensure_ascii=False).encode(),
    )  # fmt: skip
    try:
        found = json.loads(answer.body)
        code, words = found["errcode"], str(found.get("errmsg", ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise RobotRefused(f"HTTP {answer.status} without errcode") from None
    if code != 0 or answer.status != 200:
        raise RobotRefused(f"errcode {code}: {words}"[:200])


def _bounded(text: str) -> str:
    data = text.encode()
    return text if len(data) <= MAX_TEXT_BYTES else data[:MAX_TEXT_BYTES].decode(errors="ignore") + " …"
