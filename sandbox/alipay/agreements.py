"""Alipay's deduction agreements: the signing page, query, unsign, deduction, and their notices.

https://opendocs.alipay.com/open/8bccfa0b_alipay.user.agreement.page.sign and its neighbours
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from sandbox import keys
from sandbox.agreements import Agreement, AgreementNotice, AgreementState
from sandbox.alipay.envelope import Params, Refused, business, signing_text
from sandbox.alipay.oauth import PAYER_ID
from sandbox.alipay.orders import take_order
from sandbox.book import NotPossible, random_digits
from sandbox.claims import Message, Signing
from sandbox.clock import beijing, wall_clock
from sandbox.context import Context
from sandbox.records import Account, PaymentState

Biz = Mapping[str, Any]
PAGE = "alipay.user.agreement.page.sign"
PRODUCTS = {"GENERAL_WITHHOLDING": "GENERAL_WITHHOLDING_P", "CYCLE_PAY_AUTH": "CYCLE_PAY_AUTH_P"}
_OK = {"code": "10000", "msg": "Success"}
_NUMBER = re.compile(r"[\w-]{1,32}", re.ASCII)
_WORDS = {AgreementState.ACTIVE: "NORMAL", AgreementState.ENDED: "UNSIGN"}


class AlipayAgreements:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.book = context.agreements

    def open(self, account: Account, params: Params, biz: Biz) -> Agreement:
        """The signing page as a payer's device opens it. Raises Refused."""
        contract_no = str(biz.get("external_agreement_no") or "")
        product = str(biz.get("product_code") or "")
        if not _NUMBER.fullmatch(contract_no):
            raise _invalid("external_agreement_no")
        if product not in PRODUCTS or biz.get("personal_product_code") != PRODUCTS[product]:
            raise _invalid("personal_product_code")
        access = biz.get("access_params")
        if not isinstance(access, Mapping) or not access.get("channel") or "|" not in str(biz.get("sign_scene")):
            raise _invalid("access_params, sign_scene")
        try:
            return self.book.open(
                account, contract_no, channel_no=_agreement_no(self.context), scene=str(biz["sign_scene"]),
                notify_url=params.get("notify_url", ""), return_url=params.get("return_url", ""), payer=PAYER_ID,
            )  # fmt: skip
        except NotPossible:
            raise Refused("40004", "AGREEMENT_HAS_SIGNED", "用户已签约") from None

    def query(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        found = self._active(account, biz)
        return {
            **_OK, "agreement_no": found.channel_no, "external_agreement_no": found.contract_no,
            "personal_product_code": "GENERAL_WITHHOLDING_P", "principal_id": found.payer, "principal_type": "CARD",
            "sign_scene": found.scene, "sign_time": wall_clock(found.signed_at or 0), "status": "NORMAL",
            "valid_time": wall_clock(found.signed_at or 0), "invalid_time": "2115-02-01 00:00:00",
        }  # fmt: skip

    def unsign(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        self.book.end(self._active(account, biz))
        return dict(_OK)

    def deduct(self, account: Account, params: Params, biz: Biz, base: str) -> dict[str, Any]:
        """`alipay.trade.pay` under an agreement: money moves at once, or not at all."""
        agreed = biz.get("agreement_params")
        number = str(agreed.get("agreement_no") or "") if isinstance(agreed, Mapping) else ""
        found = self.book.find_channel_no("alipay", account.key, number)
        if found is None:
            raise business("AGREEMENT_NOT_EXIST", "用户协议不存在")
        if found.state is not AgreementState.ACTIVE:
            raise business("AGREEMENT_INVALID", "用户协议失效")
        with self.context.store.together():
            order = take_order(self.context, account, params, biz, PaymentState.UNPAID)
            if found.highest is not None and order.amount > found.highest:
                self.context.book.close(order)
                over = True
            else:
                over, order = False, self.context.book.pay(order, payer=found.payer)
                if order.notify_url:
                    self.context.notifier.owe(order)
        if over:
            raise business("PRODUCT_AMOUNT_LIMIT_ERROR", "产品额度超限")
        return {
            **_OK, "trade_no": order.trade_no, "out_trade_no": order.order_no, "buyer_user_id": found.payer,
            "total_amount": str(biz["total_amount"]), "gmt_payment": wall_clock(order.paid_at or 0),
        }  # fmt: skip

    def _active(self, account: Account, biz: Biz) -> Agreement:
        """By Alipay's number, else by the merchant's together with product and scene."""
        number = biz.get("agreement_no")
        if number:
            found = self.book.find_channel_no("alipay", account.key, str(number))
        elif biz.get("personal_product_code") and biz.get("sign_scene"):
            found = self.book.find("alipay", account.key, str(biz.get("external_agreement_no") or ""))
        else:
            raise _invalid("personal_product_code, sign_scene")
        if found is None or found.state is not AgreementState.ACTIVE:
            raise Refused("40004", "USER_AGREEMENT_NOT_EXIST", "用户协议不存在")
        return found


def message(context: Context, account: Account, agreement: Agreement, told: AgreementNotice) -> Message:
    """`dut_user_sign` or `dut_user_unsign`, signed like every notice."""
    ended = told.state is AgreementState.ENDED
    fields = {
        "charset": "utf-8", "version": "1.0", "notify_time": wall_clock(context.clock()),
        "notify_type": "dut_user_unsign" if ended else "dut_user_sign", "notify_id": told.notice_id.replace("-", ""),
        "app_id": account.key, "auth_app_id": account.key, "agreement_no": agreement.channel_no,
        "external_agreement_no": agreement.contract_no, "status": _WORDS.get(told.state, "TEMP"),
        "personal_product_code": "GENERAL_WITHHOLDING_P", "sign_scene": agreement.scene,
        "alipay_user_id": agreement.payer, "alipay_logon_id": "san***@sandbox.example",
    }  # fmt: skip
    if ended:
        fields["unsign_time"] = wall_clock(agreement.ended_at or 0)
    elif agreement.signed_at is not None:
        fields["sign_time"] = fields["valid_time"] = wall_clock(agreement.signed_at)
    if told.signing is not Signing.NONE:
        pem = context.forger if told.signing is Signing.FORGED else account.secrets["private_key"]
        fields |= {"sign_type": "RSA2", "sign": keys.sign(pem, signing_text(fields).encode())}
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return Message(url=agreement.notify_url, body=urlencode(fields).encode("ascii"), headers=headers)


def _agreement_no(context: Context) -> str:
    return beijing(context.clock()).strftime("%Y%m%d") + random_digits(12)


def _invalid(names: str) -> Refused:
    return Refused("40004", "INVALID_PARAMETER", f"参数无效：{names}")
