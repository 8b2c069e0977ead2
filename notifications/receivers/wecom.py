"""WeCom (企业微信) group robots: the key in the address is the whole credential.

https://developer.work.weixin.qq.com/document/path/91770
https://developer.work.weixin.qq.com/document/path/90313 (return codes)
"""

from __future__ import annotations

from notifications.receivers.base import Message, Receiver, RobotRefused, Target, bounded, judge, post_json, widened
from paycenter.http import HttpClient

MESSAGES_PER_MINUTE = 20
MAX_TEXT_BYTES = 4096  # of `markdown.content`
_BUSY = {45009: 60.0, 45033: 10.0}  # too many calls; too many at a time


def _send(http: HttpClient, target: Target, message: Message, _now: float) -> str:
    body = {"msgtype": "markdown", "markdown": {"content": bounded(message.text, MAX_TEXT_BYTES)}}
    answer, found = post_json(http, target.url, body)
    if "errcode" not in found:
        raise RobotRefused(f"HTTP {answer.status} without errcode")
    return judge(answer, found["errcode"], found.get("errmsg", ""), _BUSY)


RECEIVER = Receiver(_send, MESSAGES_PER_MINUTE, MAX_TEXT_BYTES, widened)
