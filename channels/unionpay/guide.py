"""The way through UnionPay's merchant portal: https://open.unionpay.com (development kit and certificates)."""

from __future__ import annotations

from channels.base.fields import Label
from channels.base.guides import GuideStep

_PORTAL = "https://merchant.unionpay.com"

GUIDE: tuple[GuideStep, ...] = (
    GuideStep(
        Label("开通在线支付", "Have online payment opened"),
        Label("向收单机构申请银联在线支付（网关支付、手机支付），得到 15 位商户号。",
              "Ask the acquirer for UnionPay online payment; you receive a merchant number of 15 characters."),
        fields=("mer_id",),
    ),
    GuideStep(
        Label("下载并启用商户签名证书", "Download and enable the signing certificate"),
        Label("凭入网邮件中的参考号和授权码，从 CFCA 下载 .pfx 证书文件，用 openssl 导出私钥和证书，上传到下面。"
              "再到商户服务平台“证书管理”上传证书（.cer）并启用。",
              "With the reference and authorisation codes of the welcome mail download the .pfx file from CFCA, export "
              "key and certificate with openssl and upload both below. Then upload the certificate (.cer) in the "
              "merchant portal's certificate management and enable it."),
        fields=("sign_private_key", "sign_cert"), link=_PORTAL,
    ),
    GuideStep(
        Label("填写银联证书", "Enter UnionPay's certificates"),
        Label("在银联开放平台下载开发包，其中 certs 目录的 acp_prod_middle.cer 和 acp_prod_root.cer "
              "用于验证银联的签名。",
              "Download the development kit from UnionPay's open platform; acp_prod_middle.cer and acp_prod_root.cer "
              "in its folder certs prove UnionPay's signatures."),
        fields=("middle_cert", "root_cert", "check_cn"), link="https://open.unionpay.com",
    ),
)  # fmt: skip
