"""Alipay's deduction agreements (商家扣款, 代扣协议) on the wire.

Sign: https://opendocs.alipay.com/open/8bccfa0b_alipay.user.agreement.page.sign
Query: https://opendocs.alipay.com/open/3dab71bc_alipay.user.agreement.query
Unsign: https://opendocs.alipay.com/open/b841da1f_alipay.user.agreement.unsign
Deduct: https://opendocs.alipay.com/open/1f1fe18c_alipay.trade.pay
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.alipay.gateway import Answer, from_beijing
from channels.alipay.provider import AlipayProvider
from channels.alipay.refusals import BUSINESS_FAILED, is_final_refusal
from channels.base import (
    ContractAnswer,
    ContractMethod,
    ContractRef,
    ContractWord,
    InboundRequest,
    Initiated,
    NoAction,
    PayOrder,
    PayResult,
    Redirect,
    Refused,
    SignOrder,
)
from channels.base.provider import Provider
from paycenter.errors import IdentityMismatch, MalformedInbound, UnknownOutcome

PRODUCT, PERSONAL_PRODUCT = "GENERAL_WITHHOLDING", "GENERAL_WITHHOLDING_P"
# UNSIGN is what notices say, STOP what queries say; TEMP is an agreement that was never completed.
_WORDS = {
    "NORMAL": ContractWord.ACTIVE, "TEMP": ContractWord.UNSIGNED, "STOP": ContractWord.TERMINATED,
    "UNSIGN": ContractWord.TERMINATED,
}  # fmt: skip
# Seen with and without the prefix.
_NO_AGREEMENT = frozenset({"USER_AGREEMENT_NOT_EXIST", "ACQ.USER_AGREEMENT_NOT_EXIST"})
# A deduction refused in these words takes no money, and no payer is there to try another way.
_REFUSED_DEDUCTION = frozenset({
    "ACQ.AGREEMENT_INVALID", "ACQ.AGREEMENT_NOT_EXIST", "ACQ.AGREEMENT_STATUS_NOT_NORMAL",
    "ACQ.BUYER_BALANCE_NOT_ENOUGH", "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH", "ACQ.ERROR_BALANCE_PAYMENT_DISABLE",
    "ACQ.MERCHANT_AGREEMENT_INVALID", "ACQ.MERCHANT_AGREEMENT_NOT_EXIST", "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE",
    "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR",
})  # fmt: skip


class AlipayContracts(ContractMethod):
    """What every scene under an agreement shares; the scene says which product deducts."""

    def accepts(self, provider: Provider) -> bool:
        return bool(provider.config.get("deduct_sign_scene"))

    def sign(self, provider: AlipayProvider, order: SignOrder) -> PayResult:
        content = {
            **_named(provider, order), "product_code": PRODUCT, "access_params": {"channel": "ALIPAYAPP"},
            "external_logon_id": order.display_name,
        }  # fmt: skip
        extra = {"notify_url": order.notify_url, "return_url": order.return_url}
        parameters = provider.gateway.signed("alipay.user.agreement.page.sign", content, extra=extra)
        return Initiated(instruction=Redirect(provider.gateway.page_url(parameters)))

    def query_contract(self, provider: AlipayProvider, contract: ContractRef) -> ContractAnswer:
        answer = _ask(provider, "alipay.user.agreement.query", contract, "query_contract")
        if _is_missing(answer):
            return _missing(contract, answer)
        if not answer.ok:
            raise UnknownOutcome(f"Alipay answered {answer}")
        return _read(answer, contract)

    def terminate_contract(self, provider: AlipayProvider, contract: ContractRef) -> ContractAnswer | Refused:
        answer = _ask(provider, "alipay.user.agreement.unsign", contract, "terminate_contract")
        if answer.ok or _is_missing(answer):
            return ContractAnswer(
                state=ContractWord.TERMINATED, contract_no=contract.contract_no,
                channel_contract_no=contract.channel_contract_no, channel_state=answer.sub_code or "UNSIGN",
            )  # fmt: skip
        if is_final_refusal(answer):
            return Refused(code=answer.sub_code or answer.code, message=answer.message)
        raise UnknownOutcome(f"Alipay answered {answer}")

    def parse_contract_notify(self, provider: AlipayProvider, request: InboundRequest) -> ContractAnswer:
        """`dut_user_sign` and `dut_user_unsign`: https://opendocs.alipay.com/open/00a05b"""
        found = provider.verified_form(request)
        if found.get("app_id") != provider.config["app_id"]:
            raise IdentityMismatch("app_id is not this account's")
        contract_no, agreement_no = found.get("external_agreement_no"), found.get("agreement_no")
        if not contract_no or not agreement_no:
            raise MalformedInbound("no agreement number")
        return ContractAnswer(
            state=_WORDS.get(found.get("status", "")), contract_no=contract_no, channel_contract_no=agreement_no,
            payer_id=found.get("alipay_user_id") or found.get("alipay_open_id") or None,
            signed_at=from_beijing(found.get("sign_time", "")), channel_state=found.get("status", ""),
        )  # fmt: skip


def deduct(provider: AlipayProvider, order: PayOrder, product: str) -> PayResult:
    """Take the money under the agreement. 10000 says it is taken; the query books it.

    Raises NotSent, or UnknownOutcome for whatever decides nothing (10003: still being taken).
    """
    content = provider.content(order, product, agreement_params={"agreement_no": order.contract_no or ""})
    answer = provider.gateway.call(
        "alipay.trade.pay", content, operation="pay", extra={"notify_url": order.notify_url}
    )
    if is_final_refusal(answer) or (answer.code == BUSINESS_FAILED and answer.sub_code in _REFUSED_DEDUCTION):
        return Refused(code=answer.sub_code or answer.code, message=answer.message, final_for_trade=True)
    if not answer.ok or answer.text("out_trade_no") != order.order_no:
        raise UnknownOutcome(f"Alipay answered {answer}")
    return Initiated(instruction=NoAction(), channel_trade_no=answer.text("trade_no") or None)


def _named(provider: AlipayProvider, contract: ContractRef) -> dict[str, Any]:
    """An agreement by our number; Alipay looks it up together with product and scene."""
    return {
        "external_agreement_no": contract.contract_no, "personal_product_code": PERSONAL_PRODUCT,
        "sign_scene": provider.config.get("deduct_sign_scene", ""),
    }  # fmt: skip


def _ask(provider: AlipayProvider, method: str, contract: ContractRef, operation: str) -> Answer:
    content: Mapping[str, Any] = _named(provider, contract)
    if contract.channel_contract_no:  # the other ways to name it are ignored then
        content = {"agreement_no": contract.channel_contract_no}
    return provider.gateway.call(method, content, operation=operation)


def _is_missing(answer: Answer) -> bool:
    return answer.signed and answer.code == BUSINESS_FAILED and answer.sub_code in _NO_AGREEMENT


def _missing(contract: ContractRef, answer: Answer) -> ContractAnswer:
    """An agreement that Alipay itself numbered and no longer knows has ended; else it was never signed."""
    ended = contract.channel_contract_no is not None
    return ContractAnswer(
        state=ContractWord.TERMINATED if ended else ContractWord.NOT_FOUND, contract_no=contract.contract_no,
        channel_contract_no=contract.channel_contract_no, channel_state=answer.sub_code,
    )  # fmt: skip


def _read(answer: Answer, contract: ContractRef) -> ContractAnswer:
    agreement_no, word = answer.text("agreement_no"), _WORDS.get(answer.text("status"))
    known = contract.channel_contract_no
    if answer.text("external_agreement_no") != contract.contract_no or (known and known != agreement_no):
        raise UnknownOutcome("Alipay's answer is about another agreement")
    if word is None or (word is ContractWord.ACTIVE and not agreement_no):
        raise UnknownOutcome(f"unknown agreement status {answer.text('status')!r}")
    return ContractAnswer(
        state=word, contract_no=contract.contract_no, channel_contract_no=agreement_no or None,
        payer_id=answer.text("principal_id") or answer.text("principal_open_id") or None,
        signed_at=from_beijing(answer.text("sign_time")), channel_state=answer.text("status"),
    )  # fmt: skip
