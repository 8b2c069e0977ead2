"""A DingTalk group robot as its documentation describes it: signature, rate limit, answers.

https://open.dingtalk.com/document/robots/customize-robot-security-settings
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import parse_qs, urlsplit

from tests.notifications.receiver import Got, Receiver, Say

OK = Say(body=b'{"errcode":0,"errmsg":"ok"}')


class Robot:
    """Answers at `/robot/send` of a receiver; `taken` holds the messages it accepted."""

    def __init__(
        self, receiver: Receiver, secret: str = "SEC0123456789abcdef", token: str = "tok-abcdef123456"
    ) -> None:
        self.secret, self.token = secret, token
        self.taken: list[dict[str, object]] = []
        self.refused: list[str] = []
        self.down = False
        self.url = receiver.url(f"/robot/send?access_token={token}")
        receiver.answers["/robot/send"] = self._answer

    def _answer(self, got: Got) -> Say:
        if self.down:
            return Say(502, b"bad gateway")
        problem = self._problem(got)
        if problem:
            self.refused.append(problem)
            return Say(body=json.dumps({"errcode": 310000, "errmsg": problem}).encode())
        self.taken.append(json.loads(got.body))
        return OK

    def _problem(self, got: Got) -> str:
        query = parse_qs(urlsplit(got.path).query)
        if query.get("access_token") != [self.token]:
            return "token is not exist"
        stamp = query.get("timestamp", ["0"])[0]
        if abs(time.time() * 1000 - int(stamp)) > 3600_000:
            return "invalid timestamp"
        mac = hmac.new(self.secret.encode("utf-8"), f"{stamp}\n{self.secret}".encode(), digestmod=hashlib.sha256)
        if query.get("sign") != [base64.b64encode(mac.digest()).decode()]:
            return "sign not match"
        message = json.loads(got.body)
        if message.get("msgtype") != "markdown" or not message["markdown"]["title"] or not message["markdown"]["text"]:
            return "param error"
        if len(got.body) > 20_000:
            return "message too long"
        return ""
