"""What a merchant copies out of the WeChat Pay merchant platform (商户平台, pay.weixin.qq.com)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.base.fields import Field, FieldKind, Label
from paycenter.http import TimeLimits

PLATFORM_CERTIFICATE = "platform_certificate"
PUBLIC_KEY = "public_key"
_WECHAT_ID = r"wx[0-9A-Za-z]{6,30}"

FIELDS: tuple[Field, ...] = (
    Field(
        "mch_id", Label("商户号", "Merchant number (mchid)"), identity=True,
        pattern=r"[0-9]{8,10}", pattern_hint=Label("8 到 10 位数字", "8 to 10 digits"),
        help=Label("商户平台 → 账户中心 → 商户信息 → 微信支付商户号",
                   "Merchant platform → Account centre → Merchant information"),
    ),
    Field(
        "app_id", Label("AppID", "App id"), identity=True,
        pattern=_WECHAT_ID, pattern_hint=Label("以 wx 开头", "starts with wx"),
        help=Label("公众号、小程序或移动应用的 AppID；先在商户平台 → 产品中心 → AppID 账号管理 关联商户号",
                   "Of the official account, mini program or mobile app; link it to the merchant number "
                   "first: Product centre → AppID account management"),
    ),
    Field(
        "app_secret", Label("AppSecret", "App secret"), FieldKind.SECRET, required=False,
        help=Label("仅在微信内打开收银台时需要：微信公众平台 → 设置与开发 → 开发接口管理 → 基本配置",
                   "Needed only for paying from the cashier page inside WeChat: mp.weixin.qq.com → "
                   "Settings and development → Basic configuration"),
    ),
    Field(
        "merchant_private_key", Label("商户 API 私钥", "Merchant API private key"), FieldKind.PRIVATE_KEY,
        help=Label("申请商户 API 证书时得到的 apiclient_key.pem：商户平台 → 账户中心 → API 安全",
                   "apiclient_key.pem from the merchant API certificate: Account centre → API security"),
    ),
    Field(
        "merchant_cert", Label("商户 API 证书", "Merchant API certificate"), FieldKind.CERTIFICATE,
        help=Label("与上述私钥一起得到的 apiclient_cert.pem",
                   "apiclient_cert.pem, obtained together with that key"),
    ),
    Field(
        "api_v3_key", Label("APIv3 密钥", "APIv3 key"), FieldKind.SECRET, length=32,
        pattern=r"[!-~]{32}", pattern_hint=Label("32 个字母或数字", "32 letters or digits"),
        help=Label("商户平台 → 账户中心 → API 安全 → 设置 APIv3 密钥（不是旧版的 API 密钥）",
                   "Account centre → API security → set APIv3 key (not the older API key)"),
    ),
    Field(
        "verify_mode", Label("验签方式", "How WeChat Pay signs"), FieldKind.CHOICE, default=PUBLIC_KEY,
        choices=(
            (PUBLIC_KEY, Label("微信支付公钥", "WeChat Pay public key")),
            (PLATFORM_CERTIFICATE, Label("平台证书", "Platform certificate")),
        ),
        help=Label("商户平台 → 账户中心 → API 安全：显示“微信支付公钥”的选公钥，否则选平台证书",
                   "Account centre → API security: choose the public key if the page shows one"),
    ),
    Field(
        "wechatpay_public_key_id", Label("微信支付公钥 ID", "WeChat Pay public key id"), required=False,
        pattern=r"PUB_KEY_ID_[0-9A-Za-z]{1,64}",
        pattern_hint=Label("以 PUB_KEY_ID_ 开头", "starts with PUB_KEY_ID_"),
        help=Label("商户平台 → 账户中心 → API 安全 → 微信支付公钥；公钥方式必填，由平台证书切换期间也请填写",
                   "Account centre → API security → WeChat Pay public key; required with the public key, "
                   "and wanted while switching over from platform certificates"),
    ),
    Field(
        "wechatpay_public_key", Label("微信支付公钥", "WeChat Pay public key"), FieldKind.PUBLIC_KEY,
        required=False,
        help=Label("同一页面下载的 pub_key.pem", "pub_key.pem, downloaded from the same page"),
    ),
    Field(
        "platform_certificates", Label("微信支付平台证书", "WeChat Pay platform certificates"),
        FieldKind.CERTIFICATE_CHAIN, required=False,
        help=Label("由系统自动获取并更新，无需填写", "Filled in automatically; leave it empty"),
    ),
    Field(
        "api_v2_key", Label("APIv2 密钥", "API v2 key"), FieldKind.SECRET, required=False, length=32,
        pattern=r"[!-~]{32}", pattern_hint=Label("32 个字母或数字", "32 letters or digits"),
        help=Label("仅免密代扣需要：商户平台 → 账户中心 → API 安全 → APIv2 密钥",
                   "Needed only for deduction without password: Account centre → API security → API v2 key"),
    ),
    Field(
        "papay_plan_id", Label("委托代扣模板 ID", "Deduction plan id (plan_id)"), required=False,
        pattern=r"[0-9]{1,28}", pattern_hint=Label("数字", "digits"),
        help=Label("仅免密代扣需要：商户平台 → 交易中心 → 高级业务 → 委托代扣模板管理",
                   "Needed only for deduction without password: Trade centre → Advanced services → "
                   "Deduction plans"),
    ),
    Field(
        "base_url", Label("接口地址", "API address"), FieldKind.URL, default="https://api.mch.weixin.qq.com",
        help=Label("一般不需要修改", "Normally left as it is"),
    ),
    Field(
        "oauth_authorize_url", Label("网页授权地址", "Web authorisation address"), FieldKind.URL,
        default="https://open.weixin.qq.com/connect/oauth2/authorize",
        help=Label("一般不需要修改", "Normally left as it is"),
    ),
    Field(
        "oauth_token_url", Label("网页授权凭证地址", "Web authorisation token address"), FieldKind.URL,
        default="https://api.weixin.qq.com/sns/oauth2/access_token",
        help=Label("一般不需要修改", "Normally left as it is"),
    ),
    Field(
        "connect_timeout", Label("连接时限（秒）", "Time limit to connect (seconds)"), FieldKind.INTEGER,
        default=3, minimum=1, maximum=30,
    ),
    Field(
        "read_timeout", Label("应答时限（秒）", "Time limit for the answer (seconds)"), FieldKind.INTEGER,
        default=8, minimum=1, maximum=60,
    ),
)  # fmt: skip


def time_limits(config: Mapping[str, Any]) -> TimeLimits:
    """Here the second limit does not include the connection."""
    return TimeLimits(connect=config["connect_timeout"], total=config["connect_timeout"] + config["read_timeout"])
