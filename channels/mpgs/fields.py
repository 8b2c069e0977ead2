"""What a merchant gets from the payment platform or the acquirer, and the check across those fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from channels.base.fields import Field, FieldKind, Label
from channels.base.limits import time_limit_fields

OAUTH, BASIC = "oauth", "basic"
CLIENT_BASIC, CLIENT_BODY = "basic", "body"
REFUND, VOID = "refund", "void"
_PROXY = {"auth_mode": (OAUTH,)}
_DIRECT = {"auth_mode": (BASIC,)}

FIELDS: tuple[Field, ...] = (
    Field(
        "auth_mode", Label("接入方式", "How to connect"), FieldKind.CHOICE, default=OAUTH,
        choices=((OAUTH, Label("支付平台代理（OAuth2 令牌）", "Through a payment platform (OAuth2 token)")),
                 (BASIC, Label("直连 MPGS（商户号和 API 密码）", "MPGS itself (merchant id and API password)"))),
        help=Label("由收单机构决定：给了客户端 ID 和密钥的选代理，给了 API 密码的选直连。",
                   "As the acquirer set it up: with a client id and secret choose the platform, with an API "
                   "password choose MPGS itself."),
    ),
    Field(
        "merchant_id", Label("商户号", "Merchant id"), max_length=40, pattern=r"[0-9A-Za-z_\-]{1,40}",
        pattern_hint=Label("1-40 位字母、数字、下划线或连字符", "1-40 letters, digits, _ or -"), identity=True,
        help=Label("收单机构分配的 MPGS 商户号（Merchant ID）。", "The MPGS merchant id given by the acquirer."),
    ),
    Field(
        "merchant_name", Label("付款页上显示的名称", "Name on the payment page"), max_length=40,
        help=Label("付款人在卡支付页面上看到的收款方名称，不超过 40 个字。",
                   "Whom payers see as the payee on the card page, at most 40 characters."),
    ),
    Field(
        "base_url", Label("接口地址", "API address"), FieldKind.URL,
        help=Label("代理：平台给的接口地址，不含末尾的 /payments。直连：MPGS 的地址，例如 "
                   "https://test-gateway.mastercard.com。",
                   "Platform: its API address, without /payments at the end. MPGS itself: for example "
                   "https://test-gateway.mastercard.com."),
    ),
    Field(
        "token_url", Label("令牌地址", "Token address"), FieldKind.URL, when=_PROXY,
        help=Label("平台签发访问令牌的地址，通常以 /oauth2/token 结尾。",
                   "Where the platform issues access tokens, usually ending in /oauth2/token."),
    ),
    Field(
        "client_id", Label("客户端 ID", "Client id"), when=_PROXY, pattern=r"[\x20-\x7e]+",
        pattern_hint=Label("可打印的英文字符", "printable ASCII"),
        help=Label("平台发放的 client_id。", "The client_id issued by the platform."),
    ),
    Field(
        "client_secret", Label("客户端密钥", "Client secret"), FieldKind.SECRET, when=_PROXY,
        pattern=r"[\x20-\x7e]+", pattern_hint=Label("可打印的英文字符", "printable ASCII"),
        help=Label("与客户端 ID 一同发放的 client_secret。", "The client_secret issued with the client id."),
    ),
    Field(
        "client_auth", Label("客户端认证方式", "How the client proves itself"), FieldKind.CHOICE, when=_PROXY,
        default=CLIENT_BASIC,
        choices=((CLIENT_BASIC, Label("HTTP Basic 头（标准）", "HTTP Basic header (the standard)")),
                 (CLIENT_BODY, Label("写在请求体中", "in the request's body"))),
        help=Label("申请令牌时如何出示密钥；平台没有特别说明时用标准方式。",
                   "How the secret is shown when a token is asked for; the standard unless the platform says else."),
    ),
    Field(
        "scope", Label("权限范围", "Scope"), required=False, when=_PROXY,
        help=Label("平台要求的 scope，多个用空格分开；没有要求则留空。",
                   "The scope the platform asks for, several separated by spaces; empty where it asks for none."),
    ),
    Field(
        "audience", Label("令牌受众", "Audience"), required=False, when=_PROXY,
        help=Label("平台要求的 audience；没有要求则留空。", "The audience the platform asks for; empty if none."),
    ),
    Field(
        "api_password", Label("API 密码", "API password"), FieldKind.SECRET, when=_DIRECT,
        pattern=r"[\x20-\x7e]+", pattern_hint=Label("可打印的英文字符", "printable ASCII"),
        help=Label("在 MPGS 商户后台“集成设置”中生成的密码。",
                   "Generated in MPGS Merchant Administration, under integration settings."),
    ),
    Field(
        "api_version", Label("接口版本", "API version"), FieldKind.INTEGER, when=_DIRECT, default=72,
        minimum=57, maximum=999,
        help=Label("MPGS 接口的版本号，由收单机构确认；最低 57。",
                   "The version of the MPGS interface, to be confirmed by the acquirer; 57 at least."),
    ),
    Field(
        "full_refund_before_settlement", Label("结算前的全额退款", "Full refund before settlement"), FieldKind.CHOICE,
        default=REFUND,
        choices=((REFUND, Label("退款（REFUND）", "As a refund (REFUND)")),
                 (VOID, Label("撤销（VOID）", "As a void (VOID)"))),
        help=Label("在收单机构的同一个结算日内全额退款时怎么做。只有收单机构要求时才选撤销。",
                   "What a full refund is while the payment's day at the acquirer lasts; void only where the acquirer "
                   "asks for it."),
    ),
    Field(
        "acquirer_time_zone", Label("收单机构的时区", "Time zone of the acquirer"), default="+0800",
        pattern=r"[+\-](0[0-9]|1[0-4])[0-5][0-9]", pattern_hint=Label("如 +0800", "such as +0800"),
        when={"full_refund_before_settlement": (VOID,)},
        help=Label("收单机构的结算日按哪个时区的零点划分，即交易应答中的 acquirer.timeZone。",
                   "At whose midnight the acquirer's day ends: acquirer.timeZone in a transaction's answer."),
    ),
    Field(
        "webhook_secret", Label("通知密钥", "Webhook secret"), FieldKind.SECRET, pattern=r"[\x21-\x7e]{8,256}",
        pattern_hint=Label("8-256 位英文字符，不含空格", "8-256 ASCII characters without spaces"),
        help=Label("在商户后台启用通知（Webhook）时生成的 Notification Secret，通常 32 位。",
                   "The notification secret made when webhooks were switched on, usually of 32 characters."),
    ),
    *time_limit_fields(Label("支付网关", "the gateway")),
)  # fmt: skip

_NO_QUERY = Label("不能带有 ? 参数", "must not have a query (?)")


def check_fields(config: Mapping[str, Any]) -> dict[str, list[Label]]:
    """Problems by field name; empty means fine. Paths are appended to the address, so it has no query."""
    names = ("base_url", "token_url")
    return {name: [_NO_QUERY] for name in names if "?" in config.get(name, "")}


def origin(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
