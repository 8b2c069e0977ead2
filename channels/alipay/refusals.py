"""Alipay's words that settle a creating call: nothing was, or can be, collected under that number.

Everything that is not listed stays unknown. Left out on purpose: `ACQ.SYSTEM_ERROR` (it may have acted),
`ACQ.TRADE_HAS_SUCCESS` (it is paid) and `ACQ.CONTEXT_INCONSISTENT` (an earlier send, with other content,
lives).
https://opendocs.alipay.com/open/8ad49e4a_alipay.trade.precreate#错误码
https://opendocs.alipay.com/mini/6039ed0c_alipay.trade.create#错误码
"""

from __future__ import annotations

from channels.alipay.gateway import Answer

BUSINESS_FAILED = "40004"
# Turned away at the gateway's door: token, missing parameter, invalid parameter (signature, app id),
# permission.
_NOT_ADMITTED = frozenset({"20001", "40001", "40002", "40006"})

_FINAL = frozenset({
    "ACQ.ACCESS_FORBIDDEN",
    "ACQ.APPLY_PC_MERCHANT_CODE_ERROR",
    "ACQ.BEYOND_PAY_RESTRICTION",
    "ACQ.BEYOND_PER_RECEIPT_DAY_RESTRICTION",
    "ACQ.BEYOND_PER_RECEIPT_RESTRICTION",
    "ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION",
    "ACQ.BIZ_PRODUCT_NOT_ALLOWED",
    "ACQ.BUYER_ENABLE_STATUS_FORBID",
    "ACQ.BUYER_NOT_EXIST",
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR",
    "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR",
    "ACQ.BUYER_SELLER_EQUAL",
    "ACQ.CUSTOMER_VALIDATE_ERROR",
    "ACQ.DEFAULT_SETTLE_RULE_NOT_EXIST",
    "ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT",
    "ACQ.ERROR_SELLER_CERTIFY_LEVEL_LIMIT",
    "ACQ.EXIST_FORBIDDEN_WORD",
    "ACQ.ILLEGAL_ARGUMENT",
    "ACQ.INVALID_PARAMETER",
    "ACQ.INVALID_RECEIVE_ACCOUNT",
    "ACQ.INVALID_STORE_ID",
    "ACQ.MERCHANT_PERM_RECEIPT_DAY_LIMIT",
    "ACQ.MERCHANT_PERM_RECEIPT_SINGLE_LIMIT",
    "ACQ.MERCHANT_PERM_RECEIPT_SUSPEND_LIMIT",
    "ACQ.MERCHANT_STATUS_NOT_NORMAL",
    "ACQ.NOT_SUPPORT_PAYMENT_INST",
    "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR",
    "ACQ.OPEN_ID_NOT_TINY_APP",
    "ACQ.PARTNER_ERROR",
    "ACQ.PAYER_UNMATCHED",
    "ACQ.PLATFORM_BUSINESS_ACQUIRE_MODE_MUST_MERCHANT_ID",
    "ACQ.PRODUCT_NOT_SUPPORT_IN_TINY_APP",
    "ACQ.RISK_MERCHANT_IP_NOT_EXIST",
    "ACQ.SECONDARY_MERCHANT_ALIPAY_ACCOUNT_INVALID",
    "ACQ.SECONDARY_MERCHANT_CARD_ALIAS_NO_INVALID",
    "ACQ.SECONDARY_MERCHANT_ID_BLANK",
    "ACQ.SECONDARY_MERCHANT_ID_INVALID",
    "ACQ.SECONDARY_MERCHANT_ISV_PUNISH_INDIRECT",
    "ACQ.SECONDARY_MERCHANT_NOT_MATCH",
    "ACQ.SECONDARY_MERCHANT_STATUS_ERROR",
    "ACQ.SELLER_BEEN_BLOCKED",
    "ACQ.SELLER_NOT_EXIST",
    "ACQ.STORE_INFO_INVALID",
    "ACQ.SUB_GOODS_SIZE_MAX_COUNT",
    "ACQ.SUB_MERCHANT_CREATE_FAIL",
    "ACQ.SUB_MERCHANT_TYPE_INVALID",
    "ACQ.TOTAL_FEE_EXCEED",
    "ACQ.TRADE_BUYER_NOT_MATCH",
    "ACQ.TRADE_HAS_CLOSE",
    "ACQ.TRADE_SETTLE_ERROR",
    "ACQ.UNBOUND_APPLICATION",
    "ACQ.USER_LOGONID_DUP",
})  # fmt: skip


def is_final_refusal(answer: Answer) -> bool:
    """Whether a creating call was refused in words that leave no doubt."""
    if answer.code == BUSINESS_FAILED:
        return answer.sub_code in _FINAL
    return is_not_admitted(answer)


def is_not_admitted(answer: Answer) -> bool:
    """Whether the gateway turned the call away before anything looked at its contents."""
    return answer.code in _NOT_ADMITTED and "limited" not in answer.sub_code
