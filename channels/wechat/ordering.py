"""Placing an order, which all scenes share, and the parameters the payer's SDK is invoked with.

https://pay.weixin.qq.com/doc/v3/merchant/4012791856 (JSAPI; the other products differ in one field)
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from channels.base import Initiated, PayOrder, Refused, SdkParams
from channels.base.beijing import BEIJING
from channels.wechat.gateway import Answer, Gateway
from paycenter.errors import UnknownOutcome

DESCRIPTION_BYTES = 127
# WeChat Pay wants an order to live at least one minute; a few seconds cover the way there.
MIN_LIFETIME = timedelta(seconds=65)

# Words of a 4xx after which this order number will never be paid through this call.
# NOAUTH, RULELIMIT and OPENID_MISMATCH: the earlier pages' spelling, still in use.
FINAL_CODES = frozenset({
    "PARAM_ERROR", "INVALID_REQUEST", "APPID_MCHID_NOT_MATCH", "MCH_NOT_EXISTS", "ORDER_CLOSED",
    "SIGN_ERROR", "NO_AUTH", "NOAUTH", "OUT_TRADE_NO_USED", "RULE_LIMIT", "RULELIMIT", "TRADE_ERROR",
    "OPENID_MISMATCH", "RESOURCE_NOT_EXISTS",
})  # fmt: skip
NO_ORDER = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST"})


def unknown(answer: Answer) -> UnknownOutcome:
    """The error for an answer whose words decide nothing."""
    return UnknownOutcome(f"WeChat Pay answered HTTP {answer.status} {answer.code} {answer.message}".rstrip())


def description(subject: str, otherwise: str) -> str:
    """What the payer reads about an order."""
    return cut_text(subject, DESCRIPTION_BYTES) or otherwise


def cut_text(text: str, size: int) -> str:
    """Without control and 4-byte characters (refused), at most `size` bytes, no character split."""
    kept = "".join(
        " " if unicodedata.category(c) == "Cc" else c
        for c in text
        if c <= "\uffff" and unicodedata.category(c) != "Cs"
    )
    return " ".join(kept.split()).encode()[:size].decode(errors="ignore").strip()


def time_expire(order: PayOrder) -> str:
    """RFC 3339 in Beijing time, whole seconds.

    Depends on nothing but the order: sending it again must repeat every parameter.
    """
    moment: datetime = max(order.expire_at, order.sent_at + MIN_LIFETIME)
    return moment.astimezone(BEIJING).replace(microsecond=0).isoformat()


def notify_url_problem(url: str) -> str:
    """What WeChat Pay would refuse about a notification address; empty when nothing is wrong."""
    return "notify_url must have no query and at most 255 characters" if "?" in url or len(url) > 255 else ""


def _problem(order: PayOrder, extra: Mapping[str, Any]) -> str:
    """What WeChat Pay would refuse anyway, said more clearly; empty when nothing is wrong."""
    if problem := notify_url_problem(order.notify_url):
        return problem
    if "payer" in extra and not extra["payer"]["openid"]:
        return "payer.openid is required"
    if "scene_info" in extra and not extra["scene_info"]["payer_client_ip"]:
        return "client_ip is required"
    return ""


def place(
    gateway: Gateway, config: Mapping[str, Any], product: str, order: PayOrder, wanted: str, **extra: Any
) -> str | Refused:
    """POST the order to `product` and return the field `wanted` of the answer, or the refusal.

    Raises NotSent or UnknownOutcome. Repeating it under the same number gives a fresh answer.
    """
    if problem := _problem(order, extra):
        return Refused(code="PARAM_ERROR", message=problem)
    payload: dict[str, Any] = {
        "appid": config["app_id"],
        "mchid": config["mch_id"],
        "description": description(order.subject, order.order_no),
        "out_trade_no": order.order_no,
        "time_expire": time_expire(order),
        "notify_url": order.notify_url,
        "amount": {"total": order.amount.minor, "currency": order.amount.currency},
        **extra,
    }
    if order.profit_sharing:
        payload["settle_info"] = {"profit_sharing": True}
    answer = gateway.call("POST", f"/v3/pay/transactions/{product}", payload, operation="pay")
    if not answer.ok:
        if answer.code not in FINAL_CODES:
            raise unknown(answer)
        return Refused(code=answer.code, message=answer.message)
    value = answer.data.get(wanted)
    if not isinstance(value, str) or not value or not value.isascii():
        raise UnknownOutcome(f"the answer has no {wanted}")
    return value


def bridge_params(gateway: Gateway, config: Mapping[str, Any], prepay_id: str) -> Initiated:
    """For `WeixinJSBridge` (JSAPI) and `wx.requestPayment` (mini program).

    https://pay.weixin.qq.com/doc/v3/merchant/4012791857
    """
    params = {
        "appId": str(config["app_id"]),
        "timeStamp": gateway.now_text(),
        "nonceStr": secrets.token_hex(16),
        "package": f"prepay_id={prepay_id}",
        "signType": "RSA",
    }
    text = "".join(params[n] + "\n" for n in ("appId", "timeStamp", "nonceStr", "package"))
    return Initiated(instruction=SdkParams({**params, "paySign": gateway.sign(text.encode())}))


def app_params(gateway: Gateway, config: Mapping[str, Any], prepay_id: str) -> Initiated:
    """For the Open SDK of iOS and Android: https://pay.weixin.qq.com/doc/v3/merchant/4013070351"""
    params = {
        "appid": str(config["app_id"]),
        "partnerid": str(config["mch_id"]),
        "prepayid": prepay_id,
        "package": "Sign=WXPay",
        "noncestr": secrets.token_hex(16),
        "timestamp": gateway.now_text(),
    }
    text = "".join(params[n] + "\n" for n in ("appid", "timestamp", "noncestr", "prepayid"))
    return Initiated(instruction=SdkParams({**params, "sign": gateway.sign(text.encode())}))
