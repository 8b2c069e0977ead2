"""What a merchant gets from AcmePay by contract. The account form is drawn from this, nothing else is."""

from __future__ import annotations

from channels.base.fields import Field, FieldKind, Label
from channels.base.limits import time_limit_fields

ACMEPAY = Label("AcmePay（示例）", "AcmePay")

FIELDS: tuple[Field, ...] = (
    Field(
        "merchant_id", Label("商户号", "Merchant id"), identity=True, pattern=r"M[0-9]{9}",
        pattern_hint=Label("M 加 9 位数字", "M and 9 digits"),
        help=Label("AcmePay 商户平台 → 账户：以 M 开头的 10 位商户号。", "AcmePay portal → Account: M and 9 digits."),
    ),
    Field(
        "merchant_private_key", Label("商户私钥", "Merchant private key"), FieldKind.PRIVATE_KEY,
        help=Label("与在“开发者 → 密钥”中上传的公钥成对的 RSA 私钥。",
                   "The RSA private key whose public half was uploaded under Developers → Keys."),
    ),
    Field(
        "channel_public_key", Label("AcmePay 公钥", "AcmePay public key"), FieldKind.PUBLIC_KEY,
        help=Label("同一页面显示的 AcmePay 公钥，不是您上传的公钥。", "AcmePay's own key, shown on the same page."),
    ),
    Field(
        "gateway_url", Label("网关地址", "Gateway address"), FieldKind.URL, default="https://api.acmepay.example",
        help=Label("正式环境请保持默认值。", "Leave the default for production."),
    ),
    *time_limit_fields(ACMEPAY),
)  # fmt: skip
