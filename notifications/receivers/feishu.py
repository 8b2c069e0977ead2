"""Feishu (飞书) custom group robots, with the signature setting.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
https://open.feishu.cn/document/server-docs/api-call-guide/frequency-control
https://open.feishu.cn/document/feishu-cards/card-components/content-components/rich-text (escapes of Markdown)
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from notifications.receivers.base import Message, Receiver, RobotRefused, Target, bounded, judge, post_json
from paycenter.http import HttpClient

MESSAGES_PER_MINUTE = 100  # and five per second
MAX_TEXT_BYTES = 16_000  # of 20 KB for the whole request, in which line feeds and quotes take two bytes
_BUSY = {9499: 60.0, 11232: 60.0, 99991400: 60.0}  # too many requests; the platform is busy


_ENTITIES = {ord(char): f"&#{ord(char)};" for char in r"&\`*_[]()<>#~!"}


def escape(text: str) -> str:
    """What has a meaning in a card's Markdown as a numeric entity; no address is drawn as a link."""
    return text.translate(_ENTITIES).replace("://", "：//")


def sign(secret: str, timestamp: int) -> str:
    """Base64 of HMAC-SHA256 over nothing, keyed with `timestamp` (seconds), line feed and secret."""
    return base64.b64encode(hmac.digest(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256)).decode("ascii")


def _send(http: HttpClient, target: Target, message: Message, now: float) -> str:
    answer, found = post_json(http, target.url, {**_signature(target.secret, int(now)), **_card(message)})
    # Answers of older robots name it StatusCode; newer ones carry both.
    code = found.get("code", found.get("StatusCode"))
    if code is None:
        raise RobotRefused(f"HTTP {answer.status} without code")
    return judge(answer, code, found.get("msg", found.get("StatusMessage", "")), _BUSY)


def _signature(secret: str, timestamp: int) -> dict[str, str]:
    return {"timestamp": str(timestamp), "sign": sign(secret, timestamp)} if secret else {}


def _card(message: Message) -> dict[str, Any]:
    return {
        "msg_type": "interactive",
        "card": {
            "header": {
                "title": {"tag": "plain_text", "content": message.title},
                "template": "red" if message.critical else "orange",
            },
            "elements": [{"tag": "markdown", "content": bounded(message.text, MAX_TEXT_BYTES)}],
        },
    }


RECEIVER = Receiver(_send, MESSAGES_PER_MINUTE, MAX_TEXT_BYTES, escape)
