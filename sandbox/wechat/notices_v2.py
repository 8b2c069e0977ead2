"""Notifications of API v2, in clear and signed with the shared key: contracts and deductions.

https://pay.weixin.qq.com/doc/v2/merchant/4011987586 (contracts), .../4011987465 (deductions)
"""

from __future__ import annotations

import secrets

from sandbox.agreements import Agreement, AgreementNotice, AgreementState
from sandbox.claims import Claim, Message, Signing, Subject
from sandbox.clock import beijing, wall_clock
from sandbox.records import Account
from sandbox.wechat.v2 import HEADERS, acknowledged, stamped, write

_DONE = {"return_code": "SUCCESS", "return_msg": "OK", "result_code": "SUCCESS"}


def contract_message(account: Account, agreement: Agreement, told: AgreementNotice) -> Message:
    """Names no app id. In production an end is told at an address that belongs to the plan."""
    ended = told.state is AgreementState.ENDED
    at = agreement.ended_at if ended else agreement.signed_at
    fields = {
        **_DONE, "mch_id": account.key, "contract_code": agreement.contract_no, "plan_id": agreement.scene,
        "openid": agreement.payer, "change_type": "DELETE" if ended else "ADD",
        "operate_time": wall_clock(at or agreement.created_at), "contract_id": agreement.channel_no,
        "request_serial": "1", **({"contract_termination_mode": "2"} if ended else {}),
    }  # fmt: skip
    return _message(account, agreement.notify_url, fields, told.signing)


def deduction_message(account: Account, subject: Subject, claim: Claim) -> Message:
    payment = subject.payment
    fields = {
        **_DONE, "appid": claim.app_id or account.config["app_id"], "mch_id": claim.merchant_id or account.key,
        "nonce_str": secrets.token_hex(16), "openid": payment.payer, "is_subscribe": "N", "bank_type": "OTHERS",
        "total_fee": str(claim.amount), "fee_type": claim.currency, "cash_fee": str(claim.amount),
        "trade_state": "SUCCESS", "transaction_id": claim.trade_no, "out_trade_no": claim.order_no,
        "attach": str(payment.extra.get("attach", "")), "contract_id": str(payment.extra.get("contract_id", "")),
        "time_end": beijing(claim.paid_at).strftime("%Y%m%d%H%M%S"),
    }  # fmt: skip
    return _message(account, payment.notify_url, fields, claim.signing)


def _message(account: Account, url: str, fields: dict[str, str], signing: Signing) -> Message:
    body = write(stamped(fields, account.config["api_v2_key"], signing))
    return Message(url=url, headers=HEADERS, body=body, acknowledged=acknowledged)
