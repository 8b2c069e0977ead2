"""WeChat Pay's deduction contracts (委托代扣) on the wire.

Sign: https://pay.weixin.qq.com/doc/v2/merchant/4011986768
Query: https://pay.weixin.qq.com/doc/v2/merchant/4011987640
Terminate: https://pay.weixin.qq.com/doc/v2/merchant/4011987432
Notification: https://pay.weixin.qq.com/doc/v2/merchant/4011987586
"""

from __future__ import annotations

from datetime import datetime

from channels.base import (
    ContractAnswer,
    ContractMethod,
    ContractRef,
    ContractWord,
    InboundRequest,
    Initiated,
    PayResult,
    Redirect,
    Refused,
    SignOrder,
)
from channels.base.beijing import BEIJING
from channels.base.provider import Provider
from channels.wechat.gateway_v2 import AnswerV2
from channels.wechat.ordering import description
from channels.wechat.provider import WeChatPay
from paycenter.errors import MalformedInbound, UnknownOutcome

SIGNED, UNSIGNED = "0", "1"  # 9: being signed, which decides nothing
_CHANGES = {"ADD": ContractWord.ACTIVE, "DELETE": ContractWord.TERMINATED}
_NO_CONTRACT = "CONTRACT_NOT_EXIST"
# Refused before anything was looked at; the last two are spelled as in the vendor's table.
_REFUSED = frozenset({"SIGN_ERROR", "PARAM_ERROR", "PARAMETER FAIL", "MERCHANT PERMISSION ERROR"})
_VERSION = {"version": "1.0"}


class WeChatContracts(ContractMethod):
    """What every scene under a contract shares."""

    def accepts(self, provider: Provider) -> bool:
        return bool(provider.config.get("api_v2_key") and provider.config.get("papay_plan_id"))

    def sign(self, provider: WeChatPay, order: SignOrder) -> PayResult:
        """WeChat takes no address to return to, only the wish to see the page before again; its page opens
        inside WeChat. Every request wants a rising number of its own."""
        now = provider.clock()
        url = provider.v2.page_url("/papay/entrustweb", {
            **_planned(provider, order), **_VERSION, "request_serial": str(int(now.timestamp() * 1_000_000)),
            "contract_display_account": description(order.display_name, order.contract_no),
            "notify_url": order.notify_url, "timestamp": str(int(now.timestamp())), "return_web": "1",
        })  # fmt: skip
        return Initiated(instruction=Redirect(url))

    def query_contract(self, provider: WeChatPay, contract: ContractRef) -> ContractAnswer:
        answer = _ask(provider, "/papay/querycontract", contract, "query_contract")
        if answer.ok:
            return _read(answer, contract)
        if answer.code == _NO_CONTRACT:
            return _missing(contract, answer)
        raise answer.unknown()

    def terminate_contract(self, provider: WeChatPay, contract: ContractRef) -> ContractAnswer | Refused:
        """What one that has ended before answers is not published: where it is no plain word, the query decides."""
        remark = {"contract_termination_remark": "merchant"}
        with provider.v2.together():
            answer = _ask(provider, "/papay/deletecontract", contract, "terminate_contract", **remark)
            if answer.ok:
                _must_name(answer, contract)
                return _ended(contract, "DELETE")
            if answer.code == _NO_CONTRACT:
                return _ended(contract, answer.code)
            if answer.code in _REFUSED:
                return Refused(code=answer.code, message=answer.message)
            word = self.query_contract(provider, contract)
        if word.state is not ContractWord.TERMINATED:
            raise answer.unknown()
        return word

    def parse_contract_notify(self, provider: WeChatPay, request: InboundRequest) -> ContractAnswer:
        found = provider.v2.verified(request.body)
        provider.v2.must_be_ours(found)
        contract_no, contract_id = found.get("contract_code"), found.get("contract_id")
        if not contract_no or not contract_id or found.get("result_code") != "SUCCESS":
            raise MalformedInbound("it is about no contract")
        word = found.get("change_type", "")
        return ContractAnswer(
            state=_CHANGES.get(word), contract_no=contract_no, channel_contract_no=contract_id,
            payer_id=found.get("openid") or None, channel_state=word,
            signed_at=_moment(found.get("operate_time", "")) if word == "ADD" else None,
        )  # fmt: skip


def _planned(provider: WeChatPay, contract: ContractRef) -> dict[str, str]:
    return {"plan_id": str(provider.config.get("papay_plan_id") or ""), "contract_code": contract.contract_no}


def _ask(provider: WeChatPay, path: str, contract: ContractRef, operation: str, **extra: str) -> AnswerV2:
    """By WeChat's own number where it is known, which outlives a change of the plan."""
    known = contract.channel_contract_no
    named = {"contract_id": known} if known else _planned(provider, contract)
    return provider.v2.call(path, {**named, **_VERSION, **extra}, operation=operation, nonce=False)


def _ended(contract: ContractRef, word: str) -> ContractAnswer:
    return ContractAnswer(
        state=ContractWord.TERMINATED, contract_no=contract.contract_no,
        channel_contract_no=contract.channel_contract_no, channel_state=word,
    )  # fmt: skip


def _missing(contract: ContractRef, answer: AnswerV2) -> ContractAnswer:
    """One that WeChat itself numbered and no longer knows has ended; else it was never signed."""
    if contract.channel_contract_no is not None:
        return _ended(contract, answer.code)
    return ContractAnswer(
        state=ContractWord.NOT_FOUND, contract_no=contract.contract_no, channel_state=answer.code
    )


def _must_name(answer: AnswerV2, contract: ContractRef) -> None:
    """Raises UnknownOutcome for an answer about another contract."""
    if contract.channel_contract_no not in (None, answer.text("contract_id")):
        raise UnknownOutcome("WeChat Pay's answer is about another contract")


def _read(answer: AnswerV2, contract: ContractRef) -> ContractAnswer:
    contract_id = answer.text("contract_id")
    _must_name(answer, contract)
    if answer.text("contract_code") != contract.contract_no:
        raise UnknownOutcome("WeChat Pay's answer is about another contract")
    word = _word(answer, contract)
    if word is None or (word is ContractWord.ACTIVE and not contract_id):
        raise UnknownOutcome(f"contract_state {answer.text('contract_state')!r} decides nothing")
    return ContractAnswer(
        state=word, contract_no=contract.contract_no, channel_contract_no=contract_id or None,
        payer_id=answer.text("openid") or None, signed_at=_moment(answer.text("contract_signed_time")),
        channel_state=answer.text("contract_state"),
    )  # fmt: skip


def _word(answer: AnswerV2, contract: ContractRef) -> ContractWord | None:
    """`1` says "not signed" of a contract that never was and of one that has ended, which states when."""
    state = answer.text("contract_state")
    if state == UNSIGNED:
        ended = answer.text("contract_terminated_time") or contract.channel_contract_no
        return ContractWord.TERMINATED if ended else ContractWord.UNSIGNED
    return ContractWord.ACTIVE if state == SIGNED else None


def _moment(text: str) -> datetime | None:
    """WeChat's wall clock, always Beijing's; None where absent or not a time."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    except ValueError:
        return None
