"""What a merchant gets from AcmePay by contract. The account form is drawn from this, nothing else is."""

from __future__ import annotations

from channels.base.fields import Field, FieldKind, Label
from channels.base.guides import Copied, GuideStep, OurValue
from channels.base.limits import time_limit_fields

ACMEPAY = Label("AcmePay（示例）", "AcmePay")

FIELDS: tuple[Field, ...] = (
    Field(
        "merchant_id", Label("商户号", "Merchant id"), identity=True, pattern=r"M[0-9]{9}",
        pattern_hint=Label("M 加 9 位数字", "M and 9 digits"),
    ),
    Field(
        "merchant_private_key", Label("商户私钥", "Merchant private key"), FieldKind.PRIVATE_KEY,
    ),
    Field(
        "channel_public_key", Label("AcmePay 公钥", "AcmePay public key"), FieldKind.PUBLIC_KEY,
    ),
    Field(
        "gateway_url", Label("网关地址", "Gateway address"), FieldKind.URL, default="https://api.acmepay.example",
        help=Label("正式环境请保持默认值。", "Leave the default for production."),
    ),
    *time_limit_fields(ACMEPAY),
)  # fmt: skip

GUIDE: tuple[GuideStep, ...] = (
    GuideStep(
        Label("复制商户号", "Copy the merchant id"),
        Label("AcmePay 商户平台 → 账户：以 M 开头的 10 位商户号。", "AcmePay portal → Account: M and 9 digits."),
        fields=("merchant_id",), link="https://portal.acmepay.example",
    ),
    GuideStep(
        Label("交换密钥", "Exchange keys"),
        Label("“开发者 → 密钥”：上传您的 RSA 公钥，私钥填在下面；再复制该页显示的 AcmePay 公钥，并填写我们的通知地址。",
              "Developers → Keys: upload your RSA public key and paste its private half below; copy AcmePay's own key "
              "from the same page, and give our notification address."),
        fields=("merchant_private_key", "channel_public_key"),
        copies=(Copied(Label("通知地址前缀", "Notification prefix"), OurValue.NOTIFY),),
    ),
)  # fmt: skip
