"""Taking in an order: what a create call must say, when a repeat is the same, when it expires."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Mapping
from typing import Any

from sandbox.alipay.envelope import Params, business
from sandbox.amounts import parse_yuan
from sandbox.book import NewPayment, serial_number
from sandbox.clock import beijing, parse_wall_clock
from sandbox.context import Context
from sandbox.records import Account, Payment, PaymentState

# https://opendocs.alipay.com/open/02ekfg , .../028r8t , .../028xq9 , .../02cdx6 , .../02890k
PRODUCTS: Mapping[str, tuple[str, ...]] = {
    "alipay.trade.page.pay": ("FAST_INSTANT_TRADE_PAY",),
    # QUICK_WAP_PAY is what a widespread SDK sends; the gateway takes it.
    "alipay.trade.wap.pay": ("QUICK_WAP_WAY", "QUICK_WAP_PAY"),
    "alipay.trade.app.pay": ("QUICK_MSECURITY_PAY",),
    "alipay.trade.precreate": ("FACE_TO_FACE_PAYMENT", "OFFLINE_PAYMENT"),
    "alipay.trade.create": ("JSAPI_PAY", "FACE_TO_FACE_PAYMENT"),
    "alipay.trade.pay": ("GENERAL_WITHHOLDING", "CYCLE_PAY_AUTH"),
}
SCENES = {
    "alipay.trade.page.pay": "page", "alipay.trade.wap.pay": "wap", "alipay.trade.app.pay": "app",
    "alipay.trade.precreate": "qr", "alipay.trade.create": "jsapi",
    "alipay.trade.pay": "deduct",
}  # fmt: skip
CODE_SECONDS = 2 * 3600
_DEFAULT_SECONDS = {"qr": 3 * 3600.0}
_LONGEST_SECONDS = 15 * 86400.0
_ORDER_NO = re.compile(r"\w{1,64}", re.ASCII)
_EXPRESS = re.compile(r"([1-9]\d{0,4})([mhd])|1c")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}


def invalid(reason: str) -> Exception:
    return business("INVALID_PARAMETER", f"参数无效：{reason}")


def new_code() -> str:
    """As Alipay's `https://qr.alipay.com/bax…`."""
    return "bax" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(21))


def take_order(
    context: Context, account: Account, params: Params, biz: Mapping[str, Any], state: PaymentState
) -> Payment:
    """The order that a create call asks for: a new one, or the one that the same call made before."""
    method = params["method"]
    order_no = _order_no(biz)
    amount = _amount(biz)
    subject = _subject(biz)
    _check_product(method, biz)
    expires_at = expiry(context, SCENES[method], biz)
    _check_payer(account, method, biz)
    request = _fingerprint(method, biz)
    known = context.book.find("alipay", account.key, order_no)
    if known is not None and known.state is not PaymentState.UNSCANNED:
        return _repeated(context, known, request)
    if known is not None and known.request == request:
        return _with_live_code(context, known)
    if expires_at <= context.clock():
        raise business("NOW_TIME_AFTER_EXPIRE_TIME_ERROR", "当前时间已超过允许支付的时间")
    return context.book.add(NewPayment(
        channel="alipay", account=account.key, order_no=order_no,
        trade_no=serial_number(context.clock(), "22001"), scene=SCENES[method], amount=amount,
        currency="CNY", subject=subject, notify_url=params.get("notify_url", ""),
        return_url=params.get("return_url", ""), code=new_code(),
        code_expires_at=min(expires_at, context.clock() + CODE_SECONDS), expires_at=expires_at,
        state=state, payer=str(biz.get("buyer_id") or biz.get("buyer_open_id") or ""), request=request,
        extra={
            "body": str(biz.get("body") or ""), "passback_params": str(biz.get("passback_params") or ""),
            "quit_url": str(biz.get("quit_url") or ""), "charset": params.get("charset", "utf-8"),
            "method": method,
        },
    ))  # fmt: skip


def _repeated(context: Context, known: Payment, request: str) -> Payment:
    if known.state is PaymentState.PAID:
        raise business("TRADE_HAS_SUCCESS", "交易已被支付")
    if known.state is PaymentState.CLOSED:
        raise business("TRADE_HAS_CLOSE", "交易已经关闭")
    if known.request != request:
        raise business("CONTEXT_INCONSISTENT", "交易信息被篡改")
    return _with_live_code(context, known)


def _with_live_code(context: Context, known: Payment) -> Payment:
    """A code dies after two hours; asking again gets a new one."""
    if context.clock() < known.code_expires_at:
        return known
    return context.book.change(known, code=new_code(), code_expires_at=context.clock() + CODE_SECONDS)


def _fingerprint(method: str, biz: Mapping[str, Any]) -> str:
    """The same call again says the same; the order of its fields does not matter."""
    return json.dumps({"method": method, **biz}, sort_keys=True, ensure_ascii=False)


def _order_no(biz: Mapping[str, Any]) -> str:
    order_no = biz.get("out_trade_no")
    if not isinstance(order_no, str) or not _ORDER_NO.fullmatch(order_no):
        raise invalid("out_trade_no")
    return order_no


def _amount(biz: Mapping[str, Any]) -> int:
    try:
        # Numbers are taken too, as SDKs send them; they are read as the text they were.
        amount = parse_yuan(str(biz.get("total_amount", "")))
    except ValueError:
        amount = 0
    if amount < 1:
        raise invalid("total_amount")
    if amount > 100_000_000 * 100:
        raise business("TOTAL_FEE_EXCEED", "订单总金额超过限额")
    return amount


def _subject(biz: Mapping[str, Any]) -> str:
    subject = biz.get("subject")
    if not isinstance(subject, str) or not subject.strip() or len(subject) > 256 or set(subject) & set("/=&"):
        raise invalid("subject")
    if len(str(biz.get("body") or "")) > 128:
        raise invalid("body")
    return subject


def _check_product(method: str, biz: Mapping[str, Any]) -> None:
    products = PRODUCTS[method]
    optional = method in ("alipay.trade.precreate", "alipay.trade.create")
    if biz.get("product_code", products[-1] if optional else None) not in products:
        raise invalid("product_code")


def _check_payer(account: Account, method: str, biz: Mapping[str, Any]) -> None:
    if method != "alipay.trade.create":
        return
    buyer, open_id = biz.get("buyer_id"), biz.get("buyer_open_id")
    if not buyer and not open_id:
        raise invalid("buyer_id和buyer_open_id不能同时为空")
    if buyer and not re.fullmatch(r"2088\d{12}", str(buyer)):
        raise invalid("buyer_id")
    if buyer == account.config["seller_id"]:
        raise business("BUYER_SELLER_EQUAL", "买卖家不能相同")
    if biz.get("product_code") == "JSAPI_PAY" and not biz.get("op_app_id"):
        raise invalid("op_app_id")


def expiry(context: Context, scene: str, biz: Mapping[str, Any]) -> float:
    """Unix seconds: `time_expire` wins over `timeout_express`; else the product's default."""
    now = context.clock()
    if biz.get("time_expire"):
        try:
            return parse_wall_clock(str(biz["time_expire"]))
        except ValueError:
            raise invalid("time_expire") from None
    express = biz.get("timeout_express") or (biz.get("qr_code_timeout_express") if scene == "qr" else None)
    if not express:
        return now + _DEFAULT_SECONDS.get(scene, _LONGEST_SECONDS)
    match = _EXPRESS.fullmatch(str(express))
    if match is None:
        raise invalid("timeout_express")
    if match.group(0) == "1c":
        midnight = beijing(now).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight.timestamp() + 86400
    seconds = int(match.group(1)) * _UNITS[match.group(2)]
    if seconds > _LONGEST_SECONDS:
        raise invalid("timeout_express")
    return now + seconds
