"""The contract's error answers, one class per errno."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from paycenter.errors import ApiError


class BadParameter(ApiError):
    """`errors` maps a dotted field path (`_body` for the body itself) to its reasons."""

    errno, status, default_msg = 40001, 400, "invalid parameters"

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(data={"errors": {field: list(reasons) for field, reasons in errors.items()}})


class NotAuthenticated(ApiError):
    errno, status, default_msg = 40101, 401, "the request is not signed correctly"


class TimestampOutside(ApiError):
    errno, status, default_msg = 40102, 401, "X-Timestamp is more than 300 seconds off"


class NonceUsed(ApiError):
    errno, status, default_msg = 40103, 401, "X-Nonce was used before"


class AddressNotAllowed(ApiError):
    errno, status, default_msg = 40301, 403, "the source address is not allowed"


class NotPermitted(ApiError):
    errno, status, default_msg = 40302, 403, "no such active merchant, account or method for this app"


class UnknownPath(ApiError):
    errno, status, default_msg = 40400, 404, "no such path"


class WrongVerb(ApiError):
    errno, status, default_msg = 40500, 405, "only POST is answered here"


class BodyTooLarge(ApiError):
    errno, status, default_msg = 41300, 413, "the body is larger than 256 KiB"


class NotJson(ApiError):
    errno, status, default_msg = 41500, 415, "the body must be application/json"


class NotFound(ApiError):
    errno, status, default_msg = 40401, 404, "no such record for this app"


class AlreadyPaid(ApiError):
    errno, status, default_msg = 40901, 409, "the order is already paid"


class OrderClosed(ApiError):
    errno, status, default_msg = 40902, 409, "the order is closed, failed or expired"


class ContentDiffers(ApiError):
    errno, status, default_msg = 40903, 409, "the same number was used with other content"


class NotPossible(ApiError):
    errno, status, default_msg = 40904, 409, "not possible in the present state"


class RefundExceeds(ApiError):
    """data: refundable, in minor units."""

    errno, status, default_msg = 42201, 422, "the refund exceeds what can still be refunded"


class TooManyRequests(ApiError):
    errno, status, default_msg = 42901, 429, "too many requests"


class ChannelRefused(ApiError):
    """data: channel_code, channel_msg, trade_no, attempt_no, app_order_no."""

    errno, status, default_msg = 50201, 502, "the channel refused"


class ChannelShed(ApiError):
    errno, status, default_msg = 50301, 503, "the channel is not available just now"


class ChannelUnknown(ApiError):
    """data: trade_no, attempt_no, app_order_no. The attempt exists; query it."""

    errno, status, default_msg = 50401, 504, "the channel's answer is unknown"
