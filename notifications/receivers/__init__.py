"""What carries alerts to people, by kind. Each module names the public documentation it follows."""

from __future__ import annotations

from collections.abc import Mapping

from notifications.receivers import dingtalk, feishu, mail, wecom
from notifications.receivers.base import Receiver

RECEIVERS: Mapping[str, Receiver] = {
    "dingtalk": dingtalk.RECEIVER, "wecom": wecom.RECEIVER, "feishu": feishu.RECEIVER, "email": mail.RECEIVER,
}  # fmt: skip
