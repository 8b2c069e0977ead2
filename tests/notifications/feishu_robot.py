"""A Feishu custom robot as its documentation describes it: signature in the body, keyed with timestamp and secret.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from tests.notifications.receiver import Got, Receiver, Say


class FeishuRobot:
    """Answers at `/open-apis/bot/v2/hook/<token>`; `taken` holds the cards it accepted."""

    def __init__(self, receiver: Receiver, secret: str = "demo-secret-QtW0", token: str = "c9f2-hook") -> None:
        self.secret, self.taken = secret, list[dict[str, Any]]()
        self.busy = False
        path = f"/open-apis/bot/v2/hook/{token}"
        self.url = receiver.url(path)
        receiver.answers[path] = self._answer

    def _answer(self, got: Got) -> Say:
        code, words = self._verdict(got)
        old = {"StatusCode": 0, "StatusMessage": "success"} if code == 0 else {}
        return Say(200, json.dumps({"code": code, "msg": words, "data": {}, **old}).encode())

    def _verdict(self, got: Got) -> tuple[int, str]:
        if self.busy:
            return 11232, "frequency limited psm[lark.oapi.app_platform_runtime]"
        message = json.loads(got.body)
        if len(got.body) > 20 * 1024:
            return 9499, "Bad Request"
        if not self._signed(message):
            return 19021, "sign match fail or timestamp is not within one hour from current time"
        card = message.get("card", {})
        if message.get("msg_type") != "interactive" or not card["header"]["title"]["content"]:
            return 9499, "Bad Request"
        assert all(part["tag"] == "markdown" for part in card["elements"])
        self.taken.append(card)
        return 0, "success"

    def _signed(self, message: dict[str, Any]) -> bool:
        """As the documentation's Go sample: HMAC-SHA256 keyed with `timestamp + "\\n" + secret`, over no data."""
        stamp = message.get("timestamp")
        if not isinstance(stamp, str) or abs(time.time() - int(stamp)) > 3600:
            return False
        mac = hmac.new((stamp + "\n" + self.secret).encode("utf-8"), digestmod=hashlib.sha256)
        return message.get("sign") == base64.b64encode(mac.digest()).decode("utf-8")
