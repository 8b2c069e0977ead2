"""The way through MPGS Merchant Administration and the platform's own welcome letter (`docs/channels/mpgs.md`)."""

from __future__ import annotations

from channels.base.fields import Label
from channels.base.guides import Copied, GuideStep, OurValue

GUIDE: tuple[GuideStep, ...] = (
    GuideStep(
        Label("选择接入方式", "Choose how to connect"),
        Label("收单机构的开通邮件里有 MPGS 商户号和接口地址。"
              "给了客户端 ID 和密钥的选“支付平台代理”，给了 API 密码的选“直连”。",
              "The acquirer's welcome mail names the MPGS merchant id and the API address. With a client id and secret "
              "choose the payment platform, with an API password choose MPGS itself."),
        fields=("auth_mode", "merchant_id", "merchant_name", "base_url"),
    ),
    GuideStep(
        Label("填写平台令牌参数", "Enter the platform's token parameters"),
        Label("平台开通邮件中的令牌地址、客户端 ID 和密钥；没有提到权限范围和受众就留空。",
              "The token address, client id and secret of the platform's welcome mail; leave scope and audience empty "
              "where it names none."),
        fields=("token_url", "client_id", "client_secret", "client_auth", "scope", "audience"),
    ),
    GuideStep(
        Label("生成 API 密码", "Generate the API password"),
        Label("登录商户后台，“管理 → 集成设置 → 编辑 → 启用”，复制生成的密码。",
              "In Merchant Administration: Admin → Web services API integration settings → Edit → Enable; copy the "
              "generated password."),
        fields=("api_password", "api_version"),
    ),
    GuideStep(
        Label("启用通知", "Switch on webhooks"),
        Label("在商户后台“管理 → Webhook 通知”启用并复制 Notification Secret。"
              "通知地址随订单发送；后台要求填写默认地址时，填我们的地址。",
              "In Merchant Administration: Admin → Webhook notifications; switch them on and copy the notification "
              "secret. Each order names its own address; where the page wants a default one, give ours."),
        fields=("webhook_secret",), copies=(Copied(Label("通知地址", "Notification URL"), OurValue.NOTIFY),),
    ),
    GuideStep(
        Label("与收单机构确认退款方式", "Settle with the acquirer how refunds go"),
        Label("收单机构没有特别要求时保持默认。", "Leave the defaults unless the acquirer asks for something else."),
        fields=("full_refund_before_settlement", "acquirer_time_zone"),
    ),
)  # fmt: skip
