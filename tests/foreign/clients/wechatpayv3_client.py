"""PyPI wechatpayv3, its synchronous and its asynchronous client. Its host is fixed in the code, so its
private gateway attribute is replaced before it fetches anything; nothing else is."""

import asyncio
import json

from lines import serve
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.async_ import AsyncWeChatPay
from wechatpayv3.async_.type import WeChatPayType as AsyncType
from wechatpayv3.core import Core

known = {}


def _arguments(config):
    both = {"public_key": config.get("wechatpay_public_key"), "public_key_id": config.get("wechatpay_public_key_id")}
    return {
        "wechatpay_type": WeChatPayType.NATIVE, "mchid": config["mch_id"], "cert_serial_no": config["serial"],
        "private_key": config["merchant_private_key"], "apiv3_key": config["api_v3_key"],
        "appid": config["app_id"], "notify_url": config["notify_url"], **both,
    }


def configure(config):
    fetch, Core._init_certificates = Core._init_certificates, lambda self: None
    try:
        client = WeChatPay(**_arguments(config))
    finally:
        Core._init_certificates = fetch
    client._core._gate_way = config["base_url"]
    if not config.get("wechatpay_public_key"):
        client._core._init_certificates()
    known.update(client=client, config=config)


def _settled(answer):
    status, text = answer
    return {"status": status, "data": json.loads(text) if text else None}


def create(order_no, amount, pay_type="NATIVE", **more):
    return _settled(known["client"].pay(
        description="物业费", out_trade_no=order_no, amount={"total": amount, "currency": "CNY"},
        pay_type=WeChatPayType[pay_type], **more,
    ))


def refund(order_no, refund_no, amount, total):
    return _settled(known["client"].refund(
        out_refund_no=refund_no, out_trade_no=order_no,
        amount={"refund": amount, "total": total, "currency": "CNY"},
    ))


def create_async(order_no, amount):
    async def run():
        client = AsyncWeChatPay(**_arguments(known["config"]) | {"wechatpay_type": AsyncType.NATIVE})
        client._core._gate_way = known["config"]["base_url"]
        async with client:
            return await client.pay(
                description="物业费", out_trade_no=order_no, amount={"total": amount, "currency": "CNY"}
            )

    return _settled(asyncio.run(run()))


serve({
    "configure": configure,
    "create": create,
    "create_async": create_async,
    "query": lambda order_no: _settled(known["client"].query(out_trade_no=order_no)),
    "close": lambda order_no: _settled(known["client"].close(out_trade_no=order_no)),
    "refund": refund,
    "refund_query": lambda refund_no: _settled(known["client"].query_refund(out_refund_no=refund_no)),
    "sign": lambda parts: known["client"].sign(parts),
    "notice": lambda headers, body: known["client"].callback(headers, body),
    "bill": lambda date: _settled(known["client"].trade_bill(bill_date=date)),
})
