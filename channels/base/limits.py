"""How long a call to a channel may take: parameters of an account, in whole seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.base.fields import Field, FieldKind, Label
from paycenter.http import TimeLimits


def time_limit_fields(channel: Label) -> tuple[Field, Field]:
    """The last two parameters of an account; `channel` is what the form calls the vendor."""
    return (
        Field(
            "connect_timeout", Label("连接时限（秒）", "Connection limit (seconds)"), FieldKind.INTEGER,
            default=3, minimum=1, maximum=10,
            help=Label(f"与{channel.zh}建立连接最多等待的秒数。", f"Seconds to wait for a connection to {channel.en}."),
        ),
        Field(
            "read_timeout", Label("应答时限（秒）", "Answer limit (seconds)"), FieldKind.INTEGER,
            default=8, minimum=1, maximum=10,
            help=Label("一次调用从开始到收完应答的总秒数，包含建立连接。",
                       "Seconds for a whole call, from its start to the end of the answer."),
        ),
    )  # fmt: skip


def time_limits(config: Mapping[str, Any]) -> TimeLimits:
    """Of an account with these fields; the second bounds the whole call."""
    return TimeLimits(connect=config["connect_timeout"], total=config["read_timeout"])
