"""Taking in an order: what a consume request must say, and when it is one that is known already."""

from __future__ import annotations

import json
import re

from sandbox.book import NewPayment, random_digits
from sandbox.context import Context
from sandbox.records import Account, Payment, PaymentState
from sandbox.unionpay.wire import Params, Refused, parse_stamp, stamp

# txnType, txnSubType, bizType that each address takes for a payment.
PRODUCTS = {"front": ("01", "01", "000201"), "app": ("01", "01", "000201"), "qr": ("01", "07", "000000")}
# `txnTime` has to be the time of sending; how far it may be off is not documented.
TIME_WINDOW_SECONDS = 15 * 60
_DEFAULT_SECONDS = 24 * 3600.0
_ORDER_ID = re.compile(r"[0-9A-Za-z]{8,40}")
_AMOUNT = re.compile(r"[1-9][0-9]{0,11}")
_GOODS = re.compile(r"\{commodityName=([^{}&]*)\}")
_UNFIT = re.compile(r"[&={}\[\]]")


def bad(name: str) -> Refused:
    return Refused("10", f"报文格式错误[{name}]")


def query_id(context: Context) -> str:
    """UnionPay's transaction number, 21 digits: its trace time and trace number are inside."""
    return random_digits(2) + stamp(context.clock())[2:] + random_digits(7)


def take_order(context: Context, account: Account, params: Params, product: str) -> Payment:
    """The order that a request asks for. Raises Refused."""
    if (params["txnType"], params["txnSubType"], params["bizType"]) != PRODUCTS[product]:
        raise bad("txnType, txnSubType, bizType")
    if params.get("channelType") not in ("07", "08"):
        raise bad("channelType")
    check_order_id(params)
    amount = amount_of(params)
    back, front = address(params, "backUrl"), address(params, "frontUrl", required=product == "front")
    known = context.book.find("unionpay", account.key, params["orderId"])
    request = json.dumps({k: v for k, v in params.items() if k != "signature"}, sort_keys=True)
    if known is not None:
        # A browser may post the same form again, as after "back"; a server call never may.
        if product == "front" and known.request == request and known.state is PaymentState.UNPAID:
            return known
        raise Refused("12", "重复交易[2040003]")
    expires_at = _expiry(context, params)
    if product != "front":
        check_time(context, params)
    code = {"front": context.token(), "app": query_id(context), "qr": "62" + random_digits(30)}[product]
    return context.book.add(NewPayment(
        channel="unionpay", account=account.key, order_no=params["orderId"], trade_no=query_id(context),
        scene={"front": "pc" if params["channelType"] == "07" else "wap"}.get(product, product),
        amount=amount, currency="CNY", subject=_subject(params), notify_url=back, return_url=front,
        code=code, code_expires_at=expires_at, expires_at=expires_at, state=PaymentState.UNPAID,
        request=request, extra={
            "txnTime": params["txnTime"], "txnSubType": params["txnSubType"], "bizType": params["bizType"],
            "reqReserved": params.get("reqReserved", ""),
        },
    ))  # fmt: skip


def check_order_id(params: Params) -> None:
    if not _ORDER_ID.fullmatch(params["orderId"]):
        raise bad("orderId")


def amount_of(params: Params) -> int:
    """Fen. Raises Refused."""
    if params.get("currencyCode", "156") != "156":
        raise bad("currencyCode")
    if not _AMOUNT.fullmatch(params.get("txnAmt", "")):
        raise bad("txnAmt")
    return int(params["txnAmt"])


def address(params: Params, name: str, *, required: bool = True) -> str:
    value = params.get(name, "")
    if not value and not required:
        return ""
    if not value.startswith(("http://", "https://")) or len(value) > 256:
        raise bad(name)
    return value


def check_time(context: Context, params: Params) -> None:
    try:
        when = parse_stamp(params["txnTime"])
    except ValueError:
        raise bad("txnTime") from None
    if abs(context.clock() - when) > TIME_WINDOW_SECONDS:
        raise Refused("10", "订单发送时间不正确[txnTime]")


def _expiry(context: Context, params: Params) -> float:
    try:
        sent = parse_stamp(params["txnTime"])
        text = params.get("payTimeout")
        expires_at = parse_stamp(text) if text else sent + _DEFAULT_SECONDS
    except ValueError:
        raise bad("txnTime, payTimeout") from None
    if expires_at <= context.clock():
        raise Refused("01", "订单已超时[payTimeout]")
    return expires_at


def _subject(params: Params) -> str:
    goods = params.get("riskRateInfo", "")
    if goods:
        match = _GOODS.fullmatch(goods)
        if match is None:
            raise bad("riskRateInfo")
        return match[1]
    return _UNFIT.sub(" ", params.get("orderDesc", "")) or "银联在线支付"
