"""What a merchant gets from the bank by contract, and the check across those fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from channels.base import keys
from channels.base.fields import Field, FieldKind, Label
from channels.base.limits import time_limit_fields

FIELDS: tuple[Field, ...] = (
    Field(
        "branch_id", Label("分行号", "Branch number"), length=4, pattern=r"[0-9]{4}",
        pattern_hint=Label("4 位数字", "4 digits"), identity=True,
        help=Label("开户分行的 4 位编号，见银行开通商户时的通知书。",
                   "The branch's 4 digits, from the letter with which the bank opened the merchant account."),
    ),
    Field(
        "co_no", Label("商户号", "Merchant number"), length=6, pattern=r"[0-9]{6}",
        pattern_hint=Label("6 位数字", "6 digits"), identity=True,
        help=Label("银行分配的 6 位商户号。",
                   "The 6 digits given by the bank."),
    ),
    Field(
        "order_no_digits", Label("订单号位数", "Digits of an order number"), FieldKind.CHOICE, default="10",
        choices=(("10", Label("10 位", "10 digits")), ("6", Label("6 位（每天最多 999999 笔）",
                                                                 "6 digits (at most 999999 a day)"))),
        help=Label("与银行约定的订单号位数；订单号每天从 1 重新编起。",
                   "As agreed with the bank; numbers start again from 1 each day."),
    ),
    Field(
        "merchant_private_key", Label("商户私钥", "Merchant private key"), FieldKind.PRIVATE_KEY,
        help=Label("与交给银行的公钥成对的 RSA 私钥（2048 位及以上），银行没有它。",
                   "The RSA private key (2048 bits or more) whose public half was given to the bank; the bank "
                   "itself does not have it."),
    ),
    Field(
        "bank_public_key", Label("银行公钥", "Bank public key"), FieldKind.PUBLIC_KEY,
        help=Label("银行用于签名的公钥，由银行提供，不是您交给银行的公钥。",
                   "The key that the bank signs with, as handed over by the bank; not the one you gave to it."),
    ),
    Field(
        "gateway_url", Label("网关地址", "Gateway address"), FieldKind.URL,
        help=Label("银行提供的支付网关地址，不含末尾的 /pay。", "As told by the bank, without the /pay at its end."),
    ),
    *time_limit_fields(Label("银行", "the bank")),
)  # fmt: skip

_OWN_PUBLIC_KEY = Label(
    "这是商户自己的公钥（与上面的商户私钥是一对），此处应填银行提供的公钥",
    "this is the merchant's own public key (it belongs to the private key above); the bank's is wanted",
)
_NO_QUERY = Label("不能带有 ? 参数", "must not have a query (?)")


def check_fields(config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
    """Problems by field name that only show when fields are seen together; empty means fine."""
    problems: dict[str, list[Label]] = {}
    own = keys.load_private_key(config["merchant_private_key"])
    if keys.is_pair(own, keys.parse_public_key(config["bank_public_key"])):
        problems["bank_public_key"] = [_OWN_PUBLIC_KEY]
    if "?" in config["gateway_url"]:
        problems["gateway_url"] = [_NO_QUERY]
    return problems
