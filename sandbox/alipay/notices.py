"""Alipay's asynchronous notice and the signed return of the payer's browser.

https://opendocs.alipay.com/open/270/105902 : everything but `sign` and `sign_type` is signed.
"""

from __future__ import annotations

import json
from urllib.parse import urlencode

from sandbox import keys
from sandbox.alipay.envelope import signing_text
from sandbox.alipay.oauth import PAYER_ID
from sandbox.alipay.trades import trade_status
from sandbox.amounts import yuan
from sandbox.claims import Claim, Message, Signing, Subject
from sandbox.clock import wall_clock
from sandbox.context import Context
from sandbox.records import Account, Notice, Payment, PaymentState

_UNSIGNED = ("sign", "sign_type")


def message(context: Context, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
    """The notice as sent now: `notify_id` stays the same over retries, `notify_time` does not."""
    fields = _payment_fields(context, account, subject.payment, claim, notice)
    if subject.refund is not None:
        refund = subject.refund
        fields |= {
            "gmt_refund": wall_clock(refund.created_at) + ".000", "out_biz_no": refund.refund_no,
            "refund_fee": yuan(context.book.refunded(subject.payment, settled=True)),
            "trade_status": trade_status(context, subject.payment),
        }  # fmt: skip
    charset = str(subject.payment.extra.get("charset") or "utf-8")
    _sign(context, account, fields, claim.signing, charset)
    body = urlencode(fields, encoding=charset).encode("ascii")
    content_type = f"application/x-www-form-urlencoded; charset={charset}"
    return Message(url=subject.payment.notify_url, body=body, headers={"Content-Type": content_type})


def _payment_fields(
    context: Context, account: Account, payment: Payment, claim: Claim, notice: Notice
) -> dict[str, str]:
    amount = yuan(claim.amount)
    fields = {
        "gmt_create": wall_clock(payment.created_at),
        "charset": str(payment.extra.get("charset") or "utf-8"),
        "gmt_payment": wall_clock(claim.paid_at),
        "notify_time": wall_clock(context.clock()),
        "subject": payment.subject,
        "buyer_id": payment.payer or PAYER_ID,
        "buyer_logon_id": "san***@sandbox.example",
        "invoice_amount": amount,
        "version": "1.0",
        "notify_id": wall_clock(payment.created_at)[:10].replace("-", "") + notice.notice_id.replace("-", ""),
        "fund_bill_list": json.dumps([{"amount": amount, "fundChannel": "ALIPAYACCOUNT"}], separators=(",", ":")),
        "notify_type": "trade_status_sync",
        "out_trade_no": claim.order_no,
        "total_amount": amount,
        "trade_status": "TRADE_SUCCESS",
        "trade_no": claim.trade_no,
        "auth_app_id": claim.app_id or account.key,
        "receipt_amount": amount,
        "point_amount": "0.00",
        "app_id": claim.app_id or account.key,
        "buyer_pay_amount": amount,
        "seller_id": claim.merchant_id or account.config["seller_id"],
    }
    for name in ("body", "passback_params"):
        if payment.extra.get(name):
            fields[name] = str(payment.extra[name])
    return fields


def _sign(context: Context, account: Account, fields: dict[str, str], signing: Signing, charset: str) -> None:
    if signing is Signing.NONE:
        return
    fields["sign_type"] = "RSA2"
    pem = context.forger if signing is Signing.FORGED else account.secrets["private_key"]
    fields["sign"] = keys.sign(pem, signing_text(fields, drop=_UNSIGNED).encode(charset, "replace"))


def return_url(context: Context, payment: Payment) -> str:
    """Where the browser goes after paying. It carries no state: it proves nothing but the order."""
    account = context.store.account_of(payment)
    charset = str(payment.extra.get("charset") or "utf-8")
    fields = {
        "charset": charset, "out_trade_no": payment.order_no,
        "method": f"{payment.extra.get('method')}.return", "total_amount": yuan(payment.total),
        "trade_no": payment.trade_no, "auth_app_id": account.key, "version": "1.0", "app_id": account.key,
        "seller_id": account.config["seller_id"], "timestamp": wall_clock(context.clock()),
    }  # fmt: skip
    if payment.state is not PaymentState.PAID:
        raise ValueError("only a paid order sends the browser back")
    _sign(context, account, fields, Signing.GENUINE, charset)
    return f"{payment.return_url}{'&' if '?' in payment.return_url else '?'}{urlencode(fields, encoding=charset)}"
