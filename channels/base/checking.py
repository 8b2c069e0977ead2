"""The connection check at a channel that signs its answers: ask for an order that cannot exist."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

from channels.base.fields import Label
from channels.base.results import CheckResult
from paycenter.errors import NotSent, UnknownOutcome

A = TypeVar("A")
_CONFIRMED = Label("连接正常，双方签名均已验证", "connected; both signatures verified")


def unknown_number() -> str:
    """An order number that nobody gave out."""
    return f"CHECK{secrets.token_hex(12).upper()}"


def check_by_asking(
    channel: Label, ask: Callable[[], A], *, proves: Callable[[A], bool], compare: Label,
    hint: Callable[[A], Label | None] = lambda _answer: None,
) -> CheckResult:  # fmt: skip
    """`ask` asks for what cannot exist. A genuine "no such order", which `proves` recognises, shows that address,
    identity and both keys are right. `hint` words other answers of the channel, whose own text is shown
    where it knows none; `compare` names the parameters to look at where an answer cannot be trusted.
    """
    try:
        answer = ask()
    except NotSent as exc:
        return _no(Label(f"无法连接{channel.zh}：{exc}", f"cannot reach {channel.en}: {exc}"))
    except UnknownOutcome as exc:
        return _no(Label(f"{channel.zh}的应答无法确认，请核对{compare.zh}：{exc}",
                         f"the answer of {channel.en} cannot be trusted; check {compare.en}: {exc}"))  # fmt: skip
    if proves(answer):
        return CheckResult(ok=True, message=_CONFIRMED)
    words = Label(f"{channel.zh}拒绝：{answer}", f"{channel.en} refused: {answer}")
    return CheckResult(ok=False, message=hint(answer) or words, detail={"answer": str(answer)})


def _no(message: Label) -> CheckResult:
    return CheckResult(ok=False, message=message)
