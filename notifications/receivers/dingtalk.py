"""DingTalk group robots, with the "sign" security setting.

https://open.dingtalk.com/document/robots/custom-robot-access
https://open.dingtalk.com/document/robots/customize-robot-security-settings
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote_plus

from notifications.receivers.base import Message, Receiver, RobotRefused, Target, bounded, judge, post_json, widened
from paycenter.http import HttpClient

MESSAGES_PER_MINUTE = 20  # a robot that sends more is silenced for ten minutes
MAX_TEXT_BYTES = 18_000  # of 20,000 for the whole request
_BUSY = {130101: 600.0, 410100: 600.0}  # "send too fast": ten minutes


def sign(secret: str, timestamp_ms: int) -> str:
    """Base64 of HMAC-SHA256 over `timestamp`, line feed and secret, keyed with the secret (not yet URL-encoded)."""
    digest = hmac.digest(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode("ascii")


def signed_url(url: str, secret: str, timestamp_ms: int) -> str:
    """The webhook address with timestamp and signature; unchanged where the robot has no secret."""
    if not secret:
        return url
    mark = "&" if "?" in url else "?"
    return f"{url}{mark}timestamp={timestamp_ms}&sign={quote_plus(sign(secret, timestamp_ms))}"


def _send(http: HttpClient, target: Target, message: Message, now: float) -> str:
    body = {"msgtype": "markdown", "markdown": {"title": message.title, "text": bounded(message.text, MAX_TEXT_BYTES)}}
    answer, found = post_json(http, signed_url(target.url, target.secret, int(now * 1000)), body)
    if "errcode" not in found:
        raise RobotRefused(f"HTTP {answer.status} without errcode")
    return judge(answer, found["errcode"], found.get("errmsg", ""), _BUSY)


RECEIVER = Receiver(_send, MESSAGES_PER_MINUTE, MAX_TEXT_BYTES, widened)
