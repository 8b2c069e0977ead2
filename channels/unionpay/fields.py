"""What a merchant gets from UnionPay and its certificate authority, and the checks across those fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from channels.base import keys
from channels.base.fields import Field, FieldKind, Label
from channels.base.keys import KeyProblem
from channels.base.limits import time_limit_fields
from channels.unionpay.certificates import is_authority, is_issued, rsa_key

FILE_URL = "https://filedownload.95516.com/"

FIELDS: tuple[Field, ...] = (
    Field(
        "mer_id", Label("商户号", "Merchant number"), length=15, pattern=r"[0-9A-Za-z]{15}",
        pattern_hint=Label("15 位数字或字母", "15 digits or letters"), identity=True,
        help=Label("收单机构开通银联在线支付后下发的 15 位商户号（merId）。",
                   "The 15 characters (merId) that the acquirer assigned for UnionPay online payment."),
    ),
    Field(
        "sign_private_key", Label("商户签名私钥", "Signing private key"), FieldKind.PRIVATE_KEY,
        help=Label("从商户签名证书（.pfx 文件）中导出的私钥，不带口令："
                   "openssl pkcs12 -in 证书.pfx -nocerts -nodes。5.1.0 版签名，RSA 2048 位。",
                   "The private key in the merchant's signing certificate file (.pfx), without a passphrase: "
                   "openssl pkcs12 -in file.pfx -nocerts -nodes. For version 5.1.0, RSA of 2048 bits."),
    ),
    Field(
        "sign_cert", Label("商户签名证书", "Signing certificate"), FieldKind.CERTIFICATE,
        help=Label("同一个 .pfx 文件中的证书：openssl pkcs12 -in 证书.pfx -clcerts -nokeys。"
                   "其序列号随每次请求发给银联，请先在银联商户服务平台上传并启用。",
                   "The certificate of the same .pfx file: openssl pkcs12 -in file.pfx -clcerts -nokeys. "
                   "Every request names its serial number; upload and enable it in UnionPay's merchant "
                   "portal first."),
    ),
    # Chains, not one certificate: old and new authorities live side by side while UnionPay changes them.
    Field(
        "middle_cert", Label("银联中级证书", "UnionPay intermediate certificate"), FieldKind.CERTIFICATE_CHAIN,
        help=Label("银联开发包中的 acp_prod_middle.cer，用于验证银联的签名证书。更换期间可将新旧两张一起填入。",
                   "acp_prod_middle.cer of UnionPay's development kit: UnionPay's own certificates are "
                   "checked against it. Put old and new one after the other while they change."),
    ),
    Field(
        "root_cert", Label("银联根证书", "UnionPay root certificate"), FieldKind.CERTIFICATE_CHAIN,
        help=Label("银联开发包中的 acp_prod_root.cer。", "acp_prod_root.cer of UnionPay's development kit."),
    ),
    Field(
        "check_cn", Label("核对银联证书的名称", "Check the name in UnionPay's certificate"), FieldKind.BOOLEAN,
        required=False, default=True,
        help=Label("正式环境必须开启：只接受“中国银联股份有限公司”的证书。仅在银联测试环境关闭，此时也接受测试证书的名称。",
                   "Must be on in production: only certificates of China UnionPay itself are accepted. "
                   "Off for UnionPay's test environment only, whose certificates bear another name."),
    ),
    Field(
        "base_url", Label("网关地址", "Gateway address"), FieldKind.URL,
        default="https://gateway.95516.com/gateway/api",
        help=Label("正式环境请保持默认值；测试环境为 https://gateway.test.95516.com/gateway/api。",
                   "Leave the default for production; the test environment is "
                   "https://gateway.test.95516.com/gateway/api."),
    ),
    Field(
        "file_url", Label("对账文件下载地址", "Address of statement files"), FieldKind.URL, required=False,
        default=FILE_URL,
        help=Label("正式环境请保持默认值；测试环境为 https://filedownload.test.95516.com/。",
                   "Leave the default for production; the test environment is https://filedownload.test.95516.com/."),
    ),
    *time_limit_fields(Label("银联", "UnionPay")),
)  # fmt: skip

_NOT_A_PAIR = Label("商户签名证书与商户签名私钥不是一对",
                    "the signing certificate does not belong to the signing private key")  # fmt: skip
_NOT_A_ROOT = Label("这不是根证书，请使用银联开发包中的 acp_prod_root.cer",
                    "this is no root certificate; use acp_prod_root.cer of UnionPay's kit")  # fmt: skip
_NOT_BELOW = Label("该证书不是由所填的银联根证书签发，请确认两者来自同一环境（测试或正式）",
                   "this certificate was not issued by the given root; take both from the same environment "
                   "(test or production)")  # fmt: skip


def check_fields(config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
    """Problems by field name that only show when fields are seen together; empty means fine."""
    problems: dict[str, list[Label]] = {}
    checks = (("sign_cert", _check_pair), ("root_cert", _check_roots), ("middle_cert", _check_middles))
    for name, check in checks:
        try:
            check(config, now)
        except KeyProblem as exc:
            problems[name] = [exc.label]
    return problems


def _check_pair(config: Mapping[str, Any], _now: datetime) -> None:
    certificate = keys.parse_certificates(config["sign_cert"])[0]
    if not keys.is_pair(keys.load_private_key(config["sign_private_key"]), rsa_key(certificate)):
        raise KeyProblem(_NOT_A_PAIR)


def _check_roots(config: Mapping[str, Any], now: datetime) -> None:
    for root in keys.parse_certificates(config["root_cert"]):
        if not is_authority(root) or not is_issued(root, root):
            raise KeyProblem(_NOT_A_ROOT)
        keys.check_validity(root, now)


def _check_middles(config: Mapping[str, Any], now: datetime) -> None:
    roots = keys.parse_certificates(config["root_cert"])
    middles = keys.parse_certificates(config["middle_cert"])
    for middle in middles:
        if not is_authority(middle) or not any(is_issued(middle, root) for root in roots):
            raise KeyProblem(_NOT_BELOW)
    if not any(m.not_valid_before_utc <= now < m.not_valid_after_utc for m in middles):
        keys.check_validity(middles[0], now)
