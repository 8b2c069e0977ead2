"""Every error the center raises on purpose, in one tree.

PaycenterError
├── MoneyError                 an amount or currency that cannot be money
├── ConfigError                settings or stored configuration are unusable; says which
├── EgressRefused              an outbound address resolves to a place we never connect to
├── TransitionRefused          a state change that is not allowed from the present state
├── ApiError                   an answer of the contract: errno, HTTP status, data
│   └── (one subclass per errno, in merchants.api.errors)
└── ChannelError               talking to a payment channel failed; a decline is a result, not an error
    ├── NotSent                nothing reached the channel (no connection, no token): may be sent again
    ├── UnknownOutcome         it may have acted (time-out, 5xx, bad signature, unmapped words): query
    ├── InboundRefused         a notification or return that must change nothing
    │   ├── BadSignature       signature absent, wrong, stale, or by an unknown key
    │   ├── IdentityMismatch   genuine, but for another app id or merchant id
    │   └── MalformedInbound   not even parseable
    ├── BillNotReady           the channel has not made the day's bill yet: ask again later
    ├── BillRefused            a bill's bytes cannot be trusted or read; says the line and why
    └── ChannelConfigInvalid   a payment account's fields are wrong; `problems` maps field to reasons
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class PaycenterError(Exception):
    """Root of every deliberate error."""


class MoneyError(PaycenterError, ValueError):
    """An amount or a currency that cannot be money."""


class ConfigError(PaycenterError):
    """A setting or a stored configuration is unusable; the message names it."""


class EgressRefused(PaycenterError):
    """An outbound address that we never connect to (private, loopback, link-local ...)."""


class TransitionRefused(PaycenterError):
    """The record's present state does not allow this change."""

    def __init__(self, message: str, *, state: str = "") -> None:
        super().__init__(message)
        self.state = state


class ApiError(PaycenterError):
    """Becomes the envelope `{"errno", "msg", "data"}` with this HTTP status."""

    errno: int = 50001
    status: int = 500
    default_msg: str = "internal error"

    def __init__(
        self,
        msg: str = "",
        *,
        data: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(msg or self.default_msg)
        self.msg = msg or self.default_msg
        self.data: dict[str, Any] = dict(data or {})
        self.retry_after = retry_after


class ChannelError(PaycenterError):
    """Talking to a payment channel failed."""


class NotSent(ChannelError):
    """The request never reached the channel; sending it again is safe."""


class UnknownOutcome(ChannelError):
    """The channel may or may not have acted. Query it with the same number; never assume."""


class InboundRefused(ChannelError):
    """A notification or return that must not change any state."""


class BadSignature(InboundRefused):
    """Signature absent, wrong, stale or made with a key we do not know."""


class IdentityMismatch(InboundRefused):
    """Genuinely signed, but it names another app id or merchant id than the account's."""


class MalformedInbound(InboundRefused):
    """The bytes are not a message of this channel."""


class BillNotReady(ChannelError):
    """The channel has not made this day's bill yet; asking again later is right."""


class BillRefused(ChannelError):
    """A bill that is truncated, doubled, of another day or account, or whose columns or totals are wrong."""

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        super().__init__(f"line {line}: {reason}" if line is not None else reason)
        self.reason, self.line = reason, line


class ChannelConfigInvalid(ChannelError):
    """Fields of a payment account are wrong; `problems` maps field name to reasons (Label or str)."""

    def __init__(self, problems: Mapping[str, Sequence[Any]]) -> None:
        self.problems = {field: list(reasons) for field, reasons in problems.items()}
        super().__init__("; ".join(f"{f}: {', '.join(map(str, r))}" for f, r in self.problems.items()))
