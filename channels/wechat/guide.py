"""The way through WeChat Pay's consoles: https://pay.weixin.qq.com (merchant platform), https://mp.weixin.qq.com."""

from __future__ import annotations

from channels.base.fields import Label
from channels.base.guides import Copied, GuideStep, OurValue

_PLATFORM = "https://pay.weixin.qq.com"

GUIDE: tuple[GuideStep, ...] = (
    GuideStep(
        Label("找到商户号并关联 AppID", "Find the merchant number and link the AppID"),
        Label("登录商户平台，在“账户中心 → 商户信息”复制商户号；"
              "在“产品中心 → AppID 账号管理”关联公众号、小程序或移动应用。"
              "在微信内付款还需要公众号的 AppSecret（微信公众平台 → 设置与开发 → 基本配置）。",
              "Sign in to the merchant platform. Copy the merchant number from Account centre → Merchant information "
              "and link the official account, mini program or mobile app under Product centre → AppID account "
              "management. Paying inside WeChat also needs the account's AppSecret (mp.weixin.qq.com → Basic "
              "configuration)."),
        fields=("mch_id", "app_id", "app_secret"), link=_PLATFORM,
    ),
    GuideStep(
        Label("申请商户 API 证书", "Apply for the merchant API certificate"),
        Label("“账户中心 → API 安全 → 申请 API 证书”：按提示用证书工具生成，"
              "得到 apiclient_key.pem 和 apiclient_cert.pem，"
              "上传到下面。",
              "Account centre → API security → Apply for API certificate: the certificate tool makes "
              "apiclient_key.pem and apiclient_cert.pem; upload both below."),
        fields=("merchant_private_key", "merchant_cert"), link=_PLATFORM,
    ),
    GuideStep(
        Label("设置 APIv3 密钥", "Set the APIv3 key"),
        Label("“账户中心 → API 安全 → 设置 APIv3 密钥”：生成 32 位随机字母数字，在那里和下面各填一次。"
              "设置后商户平台不再显示。",
              "Account centre → API security → Set APIv3 key: make up 32 random letters and digits, and enter them "
              "there and below. The platform never shows them again."),
        fields=("api_v3_key",), link=_PLATFORM,
    ),
    GuideStep(
        Label("选择验签方式", "Choose how WeChat Pay signs"),
        Label("同一页面：显示“微信支付公钥”的，复制公钥 ID 并下载 pub_key.pem；否则选平台证书，我们会自动获取。",
              "The same page: where it shows a WeChat Pay public key, copy its id and download pub_key.pem; otherwise "
              "choose platform certificates, which we fetch by ourselves."),
        fields=("verify_mode", "wechatpay_public_key_id", "wechatpay_public_key", "platform_certificates"),
        link=_PLATFORM,
    ),
    GuideStep(
        Label("填写我们的地址", "Enter our addresses"),
        Label("“产品中心 → 开发配置”：JSAPI 支付授权目录和 H5 支付域名；公众平台“网页授权域名”。"
              "每笔订单的通知地址随订单发送，不用设置。",
              "Product centre → Development configuration: the JSAPI payment directory and the H5 domain; on "
              "mp.weixin.qq.com the web authorisation domain. Notification addresses travel with each order."),
        copies=(Copied(Label("JSAPI 支付授权目录", "JSAPI payment directory"), OurValue.CASHIER),
                Copied(Label("H5 支付域名", "H5 payment domain"), OurValue.HOST),
                Copied(Label("网页授权域名", "Web authorisation domain"), OurValue.HOST)),
        link=_PLATFORM,
    ),
    GuideStep(
        Label("免密代扣（可选）", "Deduction without password (optional)"),
        Label("只有签约了“委托代扣”才需要：APIv2 密钥和模板 ID。",
              "Only where entrusted deduction was contracted: the API v2 key and the plan id."),
        fields=("api_v2_key", "papay_plan_id"), link=_PLATFORM,
    ),
)  # fmt: skip
