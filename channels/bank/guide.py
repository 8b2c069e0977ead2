"""What is agreed with the bank; `docs/channels/bank.md` is the interface this follows."""

from __future__ import annotations

from channels.base.fields import Label
from channels.base.guides import Copied, GuideStep, OurValue

GUIDE: tuple[GuideStep, ...] = (
    GuideStep(
        Label("向开户行申请商户", "Apply at the branch"),
        Label("向开户分行申请网上支付商户，通知书上有分行号和商户号；同时约定订单号位数。",
              "Ask the branch that keeps your account for online collection. Its letter names the branch and the "
              "merchant number; agree on how many digits order numbers have."),
        fields=("branch_id", "co_no", "order_no_digits"),
    ),
    GuideStep(
        Label("交换公钥", "Exchange public keys"),
        Label("生成 RSA 密钥对（2048 位）：公钥交给银行，私钥填在下面；再填写银行提供的公钥。",
              "Make an RSA key pair (2048 bits): the public half goes to the bank, the private half below; then enter "
              "the key that the bank gave you."),
        fields=("merchant_private_key", "bank_public_key"),
    ),
    GuideStep(
        Label("登记我们的地址", "Register our addresses"),
        Label("把通知地址的前缀告诉银行，以便放行；银行会提供支付网关地址。",
              "Tell the bank what notification addresses begin with, so that it lets them through; it tells you the "
              "address of its gateway."),
        fields=("gateway_url",), copies=(Copied(Label("通知地址前缀", "Notifications begin with"), OurValue.NOTIFY),),
    ),
)  # fmt: skip
