"""UnionPay's back notice, and the same fields carried to the front address by the payer's browser."""

from __future__ import annotations

import base64
import html
from urllib.parse import urlencode

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import padding

from sandbox import keys
from sandbox.claims import Claim, Message, Signing, Subject
from sandbox.context import Context
from sandbox.notifier import genuine_claim
from sandbox.records import Account, Payment, PaymentState
from sandbox.unionpay.refunds import request_of
from sandbox.unionpay.wire import OK, clearing_day, signed

CARD = "6216260000000000000"
NUMERIC = {"CNY": "156", "USD": "840", "EUR": "978"}


def message(context: Context, account: Account, subject: Subject, claim: Claim) -> Message:
    """Success of a payment or refund; `txnType` says which."""
    fields = payment_fields(account, subject.payment, claim)
    url = subject.payment.notify_url
    if subject.refund is not None:
        refund, request = subject.refund, request_of(context, subject.refund)
        url = refund.notify_url
        settled = refund.settled_at or refund.created_at
        fields |= {
            "orderId": refund.refund_no, "txnAmt": str(refund.amount), "settleAmt": str(refund.amount),
            "queryId": refund.channel_refund_no, "origQryId": subject.payment.trade_no, "txnSubType": "00",
            "txnType": request.get("txnType", "04"), "txnTime": request.get("txnTime", ""),
            **trace(refund.channel_refund_no), "settleDate": clearing_day(settled).strftime("%m%d"),
        }  # fmt: skip
    body = urlencode(_signed(context, account, fields, claim.signing)).encode("ascii")
    content_type = "application/x-www-form-urlencoded; charset=UTF-8"
    return Message(url=url, body=body, headers={"Content-Type": content_type})


def payment_fields(account: Account, payment: Payment, claim: Claim) -> dict[str, str]:
    """As in a real notice of the test environment."""
    currency = NUMERIC.get(claim.currency, claim.currency)
    return {
        "accNo": encrypted_card(account), "accessType": "0", "bizType": str(payment.extra["bizType"]),
        "currencyCode": currency, "encoding": "UTF-8", "exchangeRate": "0",
        "merId": claim.merchant_id or account.key, "orderId": claim.order_no, "payCardType": "01",
        "queryId": claim.trade_no, "reqReserved": str(payment.extra["reqReserved"]), "respCode": OK[0],
        "respMsg": OK[1], "settleAmt": str(claim.amount), "settleCurrencyCode": currency,
        "settleDate": clearing_day(claim.paid_at).strftime("%m%d"), "signMethod": "01",
        **trace(claim.trade_no), "txnAmt": str(claim.amount), "txnSubType": str(payment.extra["txnSubType"]),
        "txnTime": str(payment.extra["txnTime"]), "txnType": "01", "version": "5.1.0",
    }  # fmt: skip


def trace(query_id: str) -> dict[str, str]:
    return {"traceNo": query_id[14:20], "traceTime": query_id[4:14]}


def encrypted_card(account: Account) -> str:
    """The card number, readable with the merchant's private key only."""
    key = keys.public_key(account.secrets["merchant_cert"])
    return base64.b64encode(key.encrypt(CARD.encode(), padding.PKCS1v15())).decode()


def _signed(context: Context, account: Account, fields: dict[str, str], signing: Signing) -> dict[str, str]:
    if signing is Signing.NONE:
        return {name: value for name, value in fields.items() if value}
    return signed(account, fields, private_pem=context.forger if signing is Signing.FORGED else "")


def front_page(context: Context, payment: Payment) -> web.Response:
    """What the browser shows after paying: it posts the signed fields to the merchant by itself."""
    if payment.state is not PaymentState.PAID or not payment.return_url:
        raise web.HTTPNotFound
    account = context.store.account_of(payment)
    fields = signed(account, payment_fields(account, payment, genuine_claim(payment, context.clock())))
    inputs = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{_attribute(value)}">'
        for name, value in fields.items()
    )
    text = (
        '<!doctype html><html lang="zh"><meta charset="utf-8"><title>银联在线支付</title><body>'
        f'<form id="back" method="post" action="{html.escape(payment.return_url)}">{inputs}'
        '<button>返回商户</button></form><script>document.getElementById("back").submit()</script></body></html>'
    )
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


def _attribute(value: str) -> str:
    """Line ends of the certificate are part of the signed text, and a parser would take raw ones as it likes."""
    return html.escape(value).replace("\r", "&#13;").replace("\n", "&#10;")
