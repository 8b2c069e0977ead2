"""What a merchant copies from Alipay's console, and the checks across those fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from channels.alipay import certificates
from channels.base import keys
from channels.base.fields import Field, FieldKind, Label
from channels.base.keys import KeyProblem
from channels.base.limits import time_limit_fields

_KEY, _CERTIFICATE = "key", "certificate"
_BY_KEY = {"key_mode": (_KEY,)}
_BY_CERTIFICATE = {"key_mode": (_CERTIFICATE,)}

FIELDS: tuple[Field, ...] = (
    Field(
        "app_id", Label("应用 APPID", "App ID"), length=16, pattern=r"[0-9]{16}",
        pattern_hint=Label("16 位数字", "16 digits"), identity=True,
        help=Label("支付宝开放平台 → 控制台 → 我的应用：应用名称下方的 16 位数字。",
                   "Alipay Open Platform → Console → My apps: the 16 digits below the app's name."),
    ),
    Field(
        "seller_id", Label("收款账号 PID", "Seller PID"), length=16, pattern=r"2088[0-9]{12}",
        pattern_hint=Label("以 2088 开头的 16 位数字", "16 digits beginning with 2088"), identity=True,
        help=Label("支付宝商家平台 → 账号中心 → 商户信息：以 2088 开头的 16 位合作伙伴身份（PID）。",
                   "Alipay Merchant Portal → Account centre → Merchant information: the partner id (PID), "
                   "16 digits beginning with 2088."),
    ),
    Field(
        "key_mode", Label("接口加签方式", "Signing mode"), FieldKind.CHOICE, default=_KEY,
        choices=((_KEY, Label("密钥", "Key")), (_CERTIFICATE, Label("证书", "Certificate"))),
        help=Label("应用详情 → 开发设置 → 接口加签方式：与那里选择的方式一致。",
                   "App details → Development settings → Interface signing: the mode chosen there."),
    ),
    Field(
        "app_private_key", Label("应用私钥", "App private key"), FieldKind.PRIVATE_KEY,
        help=Label("由“支付宝开放平台密钥工具”生成、保存在您电脑上的应用私钥（RSA2，2048 位）。",
                   "The private key (RSA2, 2048 bits) that Alipay's key tool saved on your own computer; "
                   "Alipay's console does not have it."),
    ),
    Field(
        "alipay_public_key", Label("支付宝公钥", "Alipay public key"), FieldKind.PUBLIC_KEY, when=_BY_KEY,
        help=Label("应用详情 → 开发设置 → 接口加签方式 → 查看：复制“支付宝公钥”，不是“应用公钥”。",
                   "App details → Development settings → Interface signing → View: copy the Alipay public "
                   "key, not the app public key."),
    ),
    Field(
        "app_cert", Label("应用公钥证书", "App certificate"), FieldKind.CERTIFICATE, when=_BY_CERTIFICATE,
        help=Label("接口加签方式 → 查看 → 下载“应用公钥证书”，文件名为 appCertPublicKey_（APPID）.crt。",
                   "Interface signing → View → download the app certificate, appCertPublicKey_(app id).crt."),
    ),
    # A chain, not one certificate: the downloaded file also holds the authority in between.
    Field(
        "alipay_cert", Label("支付宝公钥证书", "Alipay certificate"), FieldKind.CERTIFICATE_CHAIN,
        when=_BY_CERTIFICATE,
        help=Label("接口加签方式 → 查看 → 下载“支付宝公钥证书” alipayCertPublicKey_RSA2.crt，整个上传。",
                   "Interface signing → View → download the Alipay certificate, "
                   "alipayCertPublicKey_RSA2.crt; upload the whole file."),
    ),
    Field(
        "alipay_root_cert", Label("支付宝根证书", "Alipay root certificate"), FieldKind.CERTIFICATE_CHAIN,
        when=_BY_CERTIFICATE,
        help=Label("接口加签方式 → 查看 → 下载“支付宝根证书”，文件名为 alipayRootCert.crt，请上传完整文件。",
                   "Interface signing → View → download the Alipay root certificate, alipayRootCert.crt; "
                   "upload the whole file."),
    ),
    Field(
        "deduct_sign_scene", Label("代扣签约场景", "Deduction sign scene"), required=False, max_length=64,
        pattern=r"[A-Z]+\|[A-Z0-9_]+", pattern_hint=Label("如 INDUSTRY|PROPERTY", "such as INDUSTRY|PROPERTY"),
        help=Label("仅免密代扣需要：商家扣款产品签约时支付宝给出的签约场景码（sign_scene）。",
                   "Only for deduction without password: the scene (sign_scene) that Alipay assigned when "
                   "the merchant-deduction product was contracted."),
    ),
    Field(
        "gateway_url", Label("网关地址", "Gateway address"), FieldKind.URL,
        default="https://openapi.alipay.com/gateway.do",
        help=Label("正式环境请保持默认值。", "Leave the default for production."),
    ),
    Field(
        "oauth_url", Label("用户授权地址", "User authorisation address"), FieldKind.URL,
        default="https://openauth.alipay.com/oauth2/publicAppAuthorize.htm",
        help=Label("在支付宝内付款时用于识别付款人，正式环境请保持默认值。",
                   "Tells who pays inside Alipay; leave the default for production."),
    ),
    *time_limit_fields(Label("支付宝", "Alipay")),
)  # fmt: skip

_OWN_PUBLIC_KEY = Label(
    "这是应用公钥（与上面的应用私钥是一对）。此处应填支付宝公钥：在“接口加签方式 → 查看”中复制“支付宝公钥”",
    "this is the app's own public key (it belongs to the private key above); the Alipay public key is "
    "wanted: copy it from Interface signing → View",
)
_NOT_A_PAIR = Label(
    "应用公钥证书与应用私钥不是一对", "the app certificate does not belong to the app private key"
)
_OWN_CERTIFICATE = Label(
    "这是应用公钥证书。此处应上传支付宝公钥证书 alipayCertPublicKey_RSA2.crt",
    "this is the app's own certificate; the Alipay certificate alipayCertPublicKey_RSA2.crt is wanted",
)
_NO_RSA_ROOT = Label(
    "文件中没有 RSA 签名的根证书，请上传完整的 alipayRootCert.crt",
    "there is no RSA-signed certificate in it; upload the whole alipayRootCert.crt",
)


def check_fields(config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
    """Problems by field name that only show when fields are seen together; empty means fine."""
    if config["key_mode"] == _KEY:
        own = keys.load_private_key(config["app_private_key"])
        theirs = keys.parse_public_key(config["alipay_public_key"])
        return {"alipay_public_key": [_OWN_PUBLIC_KEY]} if keys.is_pair(own, theirs) else {}
    problems: dict[str, list[Label]] = {}
    checks = (
        ("app_cert", _check_app_certificate),
        ("alipay_cert", _check_alipay_certificate),
        ("alipay_root_cert", _check_root_certificate),
    )
    for name, check in checks:
        try:
            check(config, now)
        except KeyProblem as exc:
            problems[name] = [exc.label]
    return problems


def _check_app_certificate(config: Mapping[str, Any], _now: datetime) -> None:
    if not _is_own(config, "app_cert"):
        raise KeyProblem(_NOT_A_PAIR)


def _check_alipay_certificate(config: Mapping[str, Any], now: datetime) -> None:
    if _is_own(config, "alipay_cert"):
        raise KeyProblem(_OWN_CERTIFICATE)
    chain = keys.parse_certificates(config["alipay_cert"])
    certificates.check_chain(chain, keys.parse_certificates(config["alipay_root_cert"]), now)


def _check_root_certificate(config: Mapping[str, Any], _now: datetime) -> None:
    if not certificates.root_sn(keys.parse_certificates(config["alipay_root_cert"])):
        raise KeyProblem(_NO_RSA_ROOT)


def _is_own(config: Mapping[str, Any], name: str) -> bool:
    certificate = keys.parse_certificates(config[name])[0]
    return keys.is_pair(keys.load_private_key(config["app_private_key"]), certificates.rsa_key(certificate))
