"""What the payer's WeChat does with what it is given: it checks the invocation's signature itself.

https://pay.weixin.qq.com/doc/v3/merchant/4012365870
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from sandbox import keys
from sandbox.channel import DeviceRefused
from sandbox.context import Context
from sandbox.records import Payment, PaymentState

H5_PATH = "/cgi-bin/mmpayweb-bin/checkmweb"
_JSAPI = ("appId", "timeStamp", "nonceStr", "package", "signType", "paySign")
_APP = ("appid", "partnerid", "prepayid", "package", "noncestr", "timestamp", "sign")


def invoke(context: Context, params: Mapping[str, str]) -> Payment | None:
    """The order of JSAPI, mini-program or app SDK parameters; None where they are something else."""
    if "paySign" in params:
        _need(params, _JSAPI)
        if params["signType"] != "RSA":
            raise DeviceRefused("signType must be RSA")
        payment = _prepaid(context, params["package"].removeprefix("prepay_id="), ("jsapi",))
        _check_app_id(context, payment, params["appId"])
        text = f"{params['appId']}\n{params['timeStamp']}\n{params['nonceStr']}\n{params['package']}\n"
        return _signed(context, payment, params["paySign"], text)
    if "prepayid" in params:
        _need(params, _APP)
        payment = _prepaid(context, params["prepayid"], ("app",))
        _check_app_id(context, payment, params["appid"])
        if params["package"] != "Sign=WXPay" or params["partnerid"] != payment.account:
            raise DeviceRefused("package or partnerid is wrong")
        text = f"{params['appid']}\n{params['timestamp']}\n{params['noncestr']}\n{params['prepayid']}\n"
        return _signed(context, payment, params["sign"], text)
    return None


def _need(params: Mapping[str, str], names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(params.get(name), str) or not params[name]:
            raise DeviceRefused(f"{name} is missing or no text")
    stamp = params.get("timeStamp") or params.get("timestamp", "")
    if not stamp.isdigit() or len(stamp) != 10:
        raise DeviceRefused("the timestamp must be Unix seconds")


def _prepaid(context: Context, prepay_id: str, scenes: tuple[str, ...]) -> Payment:
    payment = context.book.find_code("wechat", prepay_id)
    if payment is None or payment.scene not in scenes:
        raise DeviceRefused("no such prepay_id")
    return valid(context, payment)


def valid(context: Context, payment: Payment) -> Payment:
    """Raises DeviceRefused for a code or prepay id past its own life."""
    if payment.state is PaymentState.UNPAID and context.clock() >= payment.code_expires_at:
        raise DeviceRefused("the code has expired")
    return payment


def _check_app_id(context: Context, payment: Payment, app_id: str) -> None:
    if context.store.account_of(payment).config["app_id"] != app_id:
        raise DeviceRefused("the app id is not the order's")


def _signed(context: Context, payment: Payment, signature: str, text: str) -> Payment:
    account = context.store.account_of(payment)
    if not keys.verify(account.secrets["merchant_public_key"], signature, text.encode()):
        raise DeviceRefused("支付验证签名失败 (the invocation's signature does not match)")
    return payment


def open_code(context: Context, text: str) -> Payment | None:
    """A Native code, an H5 address, or the code alone."""
    parts = urlsplit(text.strip())
    query = parse_qs(parts.query)
    if parts.scheme == "weixin":
        code = query.get("pr", [""])[0]
    elif parts.path == H5_PATH:
        code = query.get("prepay_id", [""])[0]
    else:
        code = text.strip()
    payment = context.book.find_code("wechat", code) if code else None
    if payment is None:
        return None
    payment = valid(context, payment)
    if "redirect_url" in query and payment.scene == "h5":
        payment = context.book.change(payment, return_url=query["redirect_url"][0])
    return payment
