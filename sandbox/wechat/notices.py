"""Notifications: signed over the raw body, contents sealed with the merchant's API v3 key.

https://pay.weixin.qq.com/doc/v3/merchant/4012791861 (payment), .../4012791865 (refund)
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.claims import Claim, Message, Signing, Subject
from sandbox.clock import rfc3339
from sandbox.context import Context
from sandbox.records import Account, Notice, Refund, RefundState
from sandbox.wechat.notices_v2 import deduction_message
from sandbox.wechat.oauth import openid_for
from sandbox.wechat.orders import TRADE_TYPES
from sandbox.wechat.transport import seal, signature_headers, signer

_REFUND_EVENTS = {
    RefundState.SUCCESS: ("REFUND.SUCCESS", "退款成功", "SUCCESS"),
    RefundState.FAIL: ("REFUND.CLOSED", "退款关闭", "CLOSED"),
}


def message(context: Context, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
    if subject.refund is None and subject.payment.scene == "deduct":
        return deduction_message(account, subject, claim)
    if subject.refund is None:
        event, summary, kind = "TRANSACTION.SUCCESS", "支付成功", "transaction"
        plain, url = _paid(account, subject, claim), subject.payment.notify_url
    else:
        event, summary, _word = _REFUND_EVENTS[subject.refund.state]
        kind, plain, url = "refund", _refunded(account, subject, subject.refund, claim), subject.refund.notify_url
    sealed = seal(account.config["api_v3_key"], json.dumps(plain, ensure_ascii=False).encode(), kind)
    body = json.dumps({
        "id": notice.notice_id, "create_time": rfc3339(claim.paid_at), "resource_type": "encrypt-resource",
        "event_type": event, "summary": summary, "resource": {"original_type": kind, **sealed},
    }, ensure_ascii=False).encode()  # fmt: skip
    headers = {"Content-Type": "application/json", "Accept": "*/*", "User-Agent": "Mozilla/4.0"}
    if claim.signing is not Signing.NONE:
        serial, pem = signer(account)
        pem = context.forger if claim.signing is Signing.FORGED else pem
        headers |= signature_headers(context, serial, pem, body)
    return Message(url=url, headers=headers, body=body)


def _paid(account: Account, subject: Subject, claim: Claim) -> dict[str, Any]:
    payment = subject.payment
    return {
        "mchid": claim.merchant_id or account.key,
        "appid": claim.app_id or account.config["app_id"],
        "out_trade_no": claim.order_no, "transaction_id": claim.trade_no,
        "trade_type": TRADE_TYPES[payment.scene], "trade_state": "SUCCESS", "trade_state_desc": "支付成功",
        "bank_type": "OTHERS", "attach": str(payment.extra.get("attach", "")),
        "success_time": rfc3339(claim.paid_at),
        "payer": {"openid": payment.payer or openid_for(account.config["app_id"])},
        "amount": {
            "total": claim.amount, "payer_total": claim.amount, "currency": claim.currency,
            "payer_currency": claim.currency,
        },
    }  # fmt: skip


def _refunded(account: Account, subject: Subject, refund: Refund, claim: Claim) -> dict[str, Any]:
    payment = subject.payment
    plain: dict[str, Any] = {
        "mchid": claim.merchant_id or account.key, "out_trade_no": payment.order_no, "transaction_id": payment.trade_no,
        "out_refund_no": refund.refund_no, "refund_id": refund.channel_refund_no,
        "refund_status": _REFUND_EVENTS[refund.state][2],
        "amount": {
            "total": payment.total, "refund": refund.amount, "payer_total": payment.total,
            "payer_refund": refund.amount,
        },
        "user_received_account": "支付用户零钱",
    }  # fmt: skip
    if refund.state is RefundState.SUCCESS and refund.settled_at is not None:
        plain["success_time"] = rfc3339(refund.settled_at)
    return plain
