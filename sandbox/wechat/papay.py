"""Deduction (委托代扣): the signing page, contracts, deductions, their query and closing.

https://pay.weixin.qq.com/doc/v2/merchant/4011986768 (sign), .../4011987640 (query), .../4011987432 (terminate),
.../4011987377 (deduct), .../4013894074 and .../4011987538 (query an order), .../4011987803 (close)
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

from sandbox.agreements import Agreement, AgreementState
from sandbox.book import NewPayment, NotPossible, random_digits
from sandbox.clock import beijing, wall_clock
from sandbox.context import Context
from sandbox.records import Account, Payment, PaymentState
from sandbox.wechat.oauth import openid_for
from sandbox.wechat.orders import STATE_WORDS, TRADE_TYPES, new_code, new_trade_no, trade_state
from sandbox.wechat.v2 import Fields, RefusedV2, TurnedAway, authenticate

PAGE = "/papay/entrustweb"
SCENE = "deduct"
_LIFE_SECONDS = 7 * 86400
_CONTRACT_CODE = re.compile(r"[0-9A-Za-z]{1,128}")
_SERIAL = re.compile(r"[1-9][0-9]{8,18}")
_ORDER_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,32}")
_FEN = re.compile(r"[1-9][0-9]{0,11}")
_NOT_IN_A_REQUEST = ("sign", "nonce_str")


class Papay:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.book, self.agreements = context.book, context.agreements

    # -- contracts

    def open(self, params: Fields, return_url: str = "") -> Agreement:
        """The signing page as a payer's WeChat opens it. Raises TurnedAway, in words for the payer's screen."""
        account = authenticate(self.context, params)
        if "sign_type" in params:
            raise TurnedAway("签名方式仅支持MD5")
        code, name = params.get("contract_code", ""), params.get("contract_display_account", "")
        if params.get("plan_id") != account.config["papay_plan_id"]:
            raise TurnedAway("签约模板信息不存在")
        if not _CONTRACT_CODE.fullmatch(code) or not name or len(name) > 128 or max(name) > "\uffff":
            raise TurnedAway("contract_code或contract_display_account参数错误")
        serial, stamp = params.get("request_serial", ""), params.get("timestamp", "")
        if not _SERIAL.fullmatch(serial) or int(serial) >= 2**63 or not re.fullmatch(r"\d{10}", stamp):
            raise TurnedAway("request_serial或timestamp参数错误")
        if params.get("version") != "1.0" or not _is_address(params.get("notify_url", "")):
            raise TurnedAway("version或notify_url参数错误")
        try:
            return self.agreements.open(
                account, code, channel_no=_contract_id(self.context), scene=params["plan_id"],
                notify_url=params["notify_url"], payer=openid_for(account.config["app_id"]),
                return_url=return_url if params.get("return_web") == "1" else "",
            )  # fmt: skip
        except NotPossible:
            raise TurnedAway("您已签约该服务，请勿重复签约") from None

    def query_contract(self, account: Account, fields: Fields) -> Fields:
        found = self._named(account, fields)
        if found is None or found.state not in (AgreementState.ACTIVE, AgreementState.ENDED):
            raise RefusedV2("CONTRACT_NOT_EXIST", "签约协议不存在")
        answer = {
            "contract_id": found.channel_no, "plan_id": found.scene, "openid": found.payer, "request_serial": "1",
            "contract_code": found.contract_no, "contract_display_account": "sandbox", "contract_state": "0",
            "contract_signed_time": wall_clock(found.signed_at or 0), "contract_expired_time": "2115-02-01 00:00:00",
        }  # fmt: skip
        if found.state is AgreementState.ENDED:
            answer |= {
                "contract_state": "1", "contract_terminated_time": wall_clock(found.ended_at or 0),
                "contract_termination_mode": "2",
            }  # fmt: skip
        return answer

    def terminate(self, account: Account, fields: Fields) -> Fields:
        if not fields.get("contract_termination_remark"):
            raise RefusedV2("PARAMETER FAIL", "contract_termination_remark参数错误")
        found = self._named(account, fields)
        if found is None or found.state is not AgreementState.ACTIVE:
            raise RefusedV2("CONTRACT_NOT_EXIST", "签约协议不存在")
        self.agreements.end(found)
        return {"contract_id": found.channel_no, "plan_id": found.scene, "contract_code": found.contract_no}

    def _named(self, account: Account, fields: Fields) -> Agreement | None:
        """By WeChat's number, else by plan and the merchant's."""
        if fields.get("version") != "1.0":
            raise RefusedV2("PARAM_ERROR", "version参数错误")
        if fields.get("contract_id"):
            return self.agreements.find_channel_no("wechat", account.key, fields["contract_id"])
        if fields.get("plan_id") != account.config["papay_plan_id"] or not fields.get("contract_code"):
            raise RefusedV2("PARAM_ERROR", "plan_id或contract_code参数错误")
        return self.agreements.find("wechat", account.key, fields["contract_code"])

    # -- deductions

    def deduct(self, account: Account, fields: Fields) -> Fields:
        """Accepted, and money moves at once as within 12 hours of signing; or refused, and no order exists."""
        order_no = _order_no(fields)
        if not _FEN.fullmatch(fields.get("total_fee", "")) or fields.get("fee_type", "CNY") != "CNY":
            raise RefusedV2("PARAM_ERROR", "total_fee或fee_type参数错误")
        if not 0 < len(fields.get("body", "")) <= 127 or fields.get("trade_type", "PAP") != "PAP":
            raise RefusedV2("PARAM_ERROR", "body或trade_type参数错误")
        if not fields.get("spbill_create_ip") or not _is_address(fields.get("notify_url", "")):
            raise RefusedV2("PARAM_ERROR", "spbill_create_ip或notify_url参数错误")
        known = self.book.find("wechat", account.key, order_no)
        if known is not None:
            paid = known.state is PaymentState.PAID
            raise RefusedV2(*(("ORDERPAID", "该订单已支付") if paid else ("ORDERCLOSED", "该订单已关闭")))
        contract = self.agreements.find_channel_no("wechat", account.key, fields.get("contract_id", ""))
        if contract is None or contract.state is not AgreementState.ACTIVE:
            raise RefusedV2("CONTRACT_NOT_EXIST", "签约协议不存在")
        if contract.highest is not None and int(fields["total_fee"]) > contract.highest:
            raise RefusedV2("RULELIMIT", "该笔交易超过限额")
        with self.context.store.together():
            order = self.book.pay(self._add(account, contract, fields), payer=contract.payer)
            self.context.notifier.owe(order)
        return {}

    def _add(self, account: Account, contract: Agreement, fields: Fields) -> Payment:
        now = self.context.clock()
        request = {name: value for name, value in fields.items() if name not in _NOT_IN_A_REQUEST}
        return self.book.add(NewPayment(
            channel="wechat", account=account.key, order_no=fields["out_trade_no"], trade_no=new_trade_no(now),
            scene=SCENE, amount=int(fields["total_fee"]), currency="CNY", subject=fields["body"],
            notify_url=fields["notify_url"], expires_at=now + _LIFE_SECONDS, state=PaymentState.UNPAID,
            request=json.dumps(request, sort_keys=True, ensure_ascii=False), code=new_code(SCENE, now),
            code_expires_at=now, extra={"attach": fields.get("attach", ""), "contract_id": contract.channel_no},
        ))  # fmt: skip

    def query_deduction(self, account: Account, fields: Fields) -> Fields:
        """The deductions' own query, which does not know what was closed."""
        found = self._order(account, fields)
        if found.scene != SCENE or found.state is PaymentState.CLOSED:
            raise RefusedV2("INVALID_REQUEST", "订单不是委托代扣场景")
        return transaction(self.context, found)

    def query_order(self, account: Account, fields: Fields) -> Fields:
        return transaction(self.context, self._order(account, fields))

    def close(self, account: Account, fields: Fields) -> Fields:
        found = self._order(account, fields)
        if found.state is PaymentState.CLOSED:
            raise RefusedV2("ORDERCLOSED", "订单已关闭")
        try:
            self.book.close(found)
        except NotPossible:
            raise RefusedV2("ORDERPAID", "订单已支付") from None
        return {}

    def _order(self, account: Account, fields: Fields) -> Payment:
        number = fields.get("transaction_id")
        found = (
            self.book.find_trade("wechat", account.key, number) if number
            else self.book.find("wechat", account.key, _order_no(fields))
        )  # fmt: skip
        if found is None:
            raise RefusedV2("ORDERNOTEXIST", "订单不存在")
        return found


def transaction(context: Context, payment: Payment) -> dict[str, str]:
    """What a query answers about an order."""
    word = trade_state(context, payment)
    answer = {
        "out_trade_no": payment.order_no, "trade_state": word, "trade_state_desc": STATE_WORDS[word],
        "attach": str(payment.extra.get("attach", "")),
    }  # fmt: skip
    if payment.paid_at is None:
        return answer
    return {
        **answer, "openid": payment.payer, "trade_type": TRADE_TYPES[payment.scene], "bank_type": "OTHERS",
        "total_fee": str(payment.total), "fee_type": payment.currency, "cash_fee": str(payment.total),
        "transaction_id": payment.trade_no, "time_end": beijing(payment.paid_at).strftime("%Y%m%d%H%M%S"),
        **({"contract_id": str(payment.extra["contract_id"])} if "contract_id" in payment.extra else {}),
    }  # fmt: skip


def _order_no(fields: Fields) -> str:
    order_no = fields.get("out_trade_no", "")
    if not _ORDER_NO.fullmatch(order_no):
        raise RefusedV2("PARAM_ERROR", "out_trade_no参数错误")
    return order_no


def _is_address(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "?" not in url and len(url) <= 256


def _contract_id(context: Context) -> str:
    return "Wx" + beijing(context.clock()).strftime("%Y%m%d") + random_digits(16)
