"""The wallet's words in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

ZH, EN = "zh", "en"

_TEXTS: Mapping[str, tuple[str, str]] = {
    "desk": ("沙箱钱包", "Sandbox wallet"),
    "desk_hint": (
        "这里代替付款人的手机：粘贴二维码内容、支付链接或 SDK 参数，或从下面选一笔待付款订单。",
        "This stands in for the payer's phone: paste a QR code's content, a payment link or SDK parameters, "
        "or pick a waiting payment below.",
    ),
    "code": ("二维码内容、链接或参数", "QR content, link or parameters"),
    "open": ("打开", "Open"),
    "waiting": ("待付款订单", "Waiting payments"),
    "none_waiting": ("目前没有待付款订单。", "Nobody is waiting for money just now."),
    "refresh": ("刷新", "Refresh"),
    "unknown_code": ("没有通道认识这个内容。", "No channel knows this content."),
    "merchant": ("收款方", "Pay to"),
    "subject": ("商品", "For"),
    "order_no": ("商户订单号", "Merchant order no."),
    "expires": ("有效期至", "Valid until"),
    "created": ("创建时间", "Created"),
    "pay": ("确认付款", "Pay now"),
    "cancel": ("取消", "Cancel"),
    "scan": ("只扫码，不付款", "Scan only, do not pay"),
    "scanned": ("已扫码，等待付款。", "Scanned, waiting for the payment."),
    "paid": ("付款成功", "Payment successful"),
    "cancelled": ("已取消付款", "Payment cancelled"),
    "cancelled_hint": ("订单没有付款，可以再次打开付款。", "Nothing was paid. The order can be opened again."),
    "closed": ("订单已关闭", "The order is closed"),
    "expired": ("订单已过期", "The order has expired"),
    "refused": ("无法打开", "Cannot be opened"),
    "back": ("返回钱包", "Back to the wallet"),
    "other_language": ("English", "中文"),
    "fake": ("沙箱环境，不会产生真实扣款", "Sandbox: no real money moves"),
    "trade_no": ("交易号", "Transaction no."),
    "contract_no": ("商户签约号", "Merchant contract no."),
    "sign": ("同意并签约", "Agree and sign"),
    "contract_opened": ("签约后，商户可直接扣款，无需再次确认。",
                        "Once signed, the merchant may deduct without asking again."),
    "contract_active": ("签约成功", "Signed"),
    "contract_cancelled": ("没有签约", "Not signed"),
    "contract_ended": ("已解约", "Ended"),
    "paid_at": ("付款时间", "Paid at"),
}


def language_of(request: web.Request) -> str:
    """`?lang=` wins over the browser's preference; Chinese where neither says English."""
    asked = request.query.get("lang", "")
    if asked in (ZH, EN):
        return asked
    first = request.headers.get("Accept-Language", "").split(",")[0].strip().lower()
    return EN if first.startswith("en") else ZH


def text(name: str, language: str) -> str:
    zh, en = _TEXTS[name]
    return en if language == EN else zh
