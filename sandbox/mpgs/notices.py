"""Webhooks: what Retrieve Transaction would answer, with a constant secret in a header and no signature.

https://test-gateway.mastercard.com/api/documentation/integrationGuidelines/supportedFeatures/pickAdditionalFunctionality/webhookNotifications.html
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from sandbox.claims import Claim, Message, Signing, Subject
from sandbox.context import Context
from sandbox.mpgs.orders import pay_transaction, refund_transaction, transaction
from sandbox.mpgs.wire import number
from sandbox.records import Account, Notice, Payment

AUTHENTICATED, NOT_AUTHENTICATED, DECLINED = "authenticated", "not_authenticated", "declined"


def message(context: Context, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
    payment = subject.payment
    if subject.refund is not None:
        body = refund_transaction(context, payment, subject.refund)
    else:
        body = _about(context, payment, claim)
    headers = {
        "Content-Type": "application/json;charset=UTF-8", "X-Notification-Id": notice.notice_id,
        "X-Notification-Attempt": str(notice.sends + 1),
    }  # fmt: skip
    if claim.signing is Signing.GENUINE:
        headers["X-Notification-Secret"] = account.config["webhook_secret"]
    elif claim.signing is Signing.FORGED:
        headers["X-Notification-Secret"] = secrets.token_hex(16).upper()
    return Message(url=payment.notify_url, body=json.dumps(body, ensure_ascii=False).encode(), headers=headers)


def _about(context: Context, payment: Payment, claim: Claim) -> dict[str, Any]:
    if claim.topic in (AUTHENTICATED, NOT_AUTHENTICATED):
        return _authentication(context, payment, done=claim.topic == AUTHENTICATED)
    if claim.topic == DECLINED:
        body = pay_transaction(context, payment)
        return body | {"result": "FAILURE", "response": {"gatewayCode": "DECLINED"}}
    return _claimed(pay_transaction(context, payment), claim)


def _authentication(context: Context, payment: Payment, *, done: bool) -> dict[str, Any]:
    """The webhook after 3-D Secure: it says nothing about money, although it looks much the same."""
    word = "AUTHENTICATION_SUCCESSFUL" if done else "AUTHENTICATION_UNSUCCESSFUL"
    details = {
        "amount": number(payment.amount, payment.currency), "authenticationStatus": word,
        "currency": payment.currency, "id": "trans-3ds-1", "type": "AUTHENTICATION",
    }  # fmt: skip
    body = transaction(context, payment, details, context.clock(), result="SUCCESS" if done else "FAILURE",
                       code="APPROVED" if done else "DECLINED")  # fmt: skip
    body["order"] |= {
        "status": "AUTHENTICATED" if done else "AUTHENTICATION_UNSUCCESSFUL", "totalCapturedAmount": 0,
        "totalAuthorizedAmount": 0,
    }  # fmt: skip
    return body


def _claimed(body: dict[str, Any], claim: Claim) -> dict[str, Any]:
    """A paid order in the claim's words: true ones, or a fake's."""
    amount = number(claim.amount, claim.currency)
    body["order"] |= {
        "id": claim.order_no, "amount": amount, "currency": claim.currency, "status": "CAPTURED",
        "totalAuthorizedAmount": amount, "totalCapturedAmount": amount,
    }  # fmt: skip
    body["transaction"] |= {"amount": amount, "currency": claim.currency}
    if claim.merchant_id:
        body["merchant"] = claim.merchant_id
    return body
