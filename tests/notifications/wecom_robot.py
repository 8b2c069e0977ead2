"""A WeCom group robot as its documentation describes it: the key in the address, 4096 bytes, 20 messages a minute.

https://developer.work.weixin.qq.com/document/path/91770
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from tests.notifications.receiver import Got, Receiver, Say


class WeComRobot:
    """Answers at `/cgi-bin/webhook/send`; `taken` holds the Markdown it accepted, refusals come with HTTP 200."""

    def __init__(self, receiver: Receiver, key: str = "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa") -> None:
        self.key, self.taken = key, list[str]()
        self.busy = False
        self.url = receiver.url(f"/cgi-bin/webhook/send?key={key}")
        receiver.answers["/cgi-bin/webhook/send"] = self._answer

    def _answer(self, got: Got) -> Say:
        code, words = self._verdict(got)
        return Say(200, json.dumps({"errcode": code, "errmsg": words}).encode())

    def _verdict(self, got: Got) -> tuple[int, str]:
        if parse_qs(urlsplit(got.path).query) != {"key": [self.key]}:
            return 93000, "invalid webhook url, hint: [1755605200056773468916791]"
        if self.busy:
            return 45009, "api freq out of limit"
        if not got.headers["content-type"].startswith("application/json"):
            return 40008, "invalid message type"
        message = json.loads(got.body)
        if message.get("msgtype") != "markdown":
            return 40008, "invalid message type"
        content = message["markdown"]["content"]
        if not content:
            return 44004, "empty content"
        if len(content.encode("utf-8")) > 4096:
            return 40058, "markdown.content exceed max length 4096"
        self.taken.append(content)
        return 0, "ok"
