"""The connection check and the platform certificates: what is asked outside any payment."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from cryptography import x509

from channels.base import CheckResult, Label, keys
from channels.wechat.certificates import (
    PlatformCertificate,
    certificate_keys,
    describe,
    encrypted_certificates,
)
from channels.wechat.fields import PUBLIC_KEY
from channels.wechat.gateway import Answer, Gateway, UnverifiedAnswer
from channels.wechat.ordering import NO_ORDER, unknown
from paycenter.errors import ChannelConfigInvalid, ChannelError, MalformedInbound, NotSent, UnknownOutcome

_OK = Label(
    "连接正常：商户号、商户证书、APIv3 密钥与微信支付签名均已验证；AppID 与商户号的关联在首次下单时验证",
    "It works: merchant number, certificate, APIv3 key and WeChat Pay's signature were proven. "
    "Whether the app id is linked to the merchant number shows with the first order",
)
_OK_UNPROVEN = Label(
    "连接正常：商户号与商户证书已验证。微信支付公钥、APIv3 密钥和 AppID 只能在首次收款时验证，"
    "请先做一笔小额支付",
    "It works: merchant number and certificate were accepted. The WeChat Pay public key, the APIv3 key "
    "and the app id can only be proven by a first payment; make a small one",
)
_NO_CERTIFICATES = Label(
    "该商户号没有平台证书，请把验签方式改为“微信支付公钥”",
    "this merchant number has no platform certificates; choose the WeChat Pay public key",
)
_NOT_SENT = Label(
    "连接不上微信支付，请检查接口地址和网络",
    "WeChat Pay cannot be reached; check the API address and the network",
)
_UNVERIFIED = Label(
    "微信支付的应答验签失败，请核对微信支付公钥及其 ID，以及服务器时间",
    "WeChat Pay's answer did not verify; compare the WeChat Pay public key and its id, and this clock",
)
_SIGN_ERROR = Label(
    "微信支付不接受我方签名：商户号、商户证书、私钥应属于同一商户，且服务器时间要准确",
    "WeChat Pay refuses our signature: merchant number, certificate and key must belong together, "
    "and this server's clock must be right",
)
_WRONG_V3_KEY = Label(
    "APIv3 密钥不正确：无法解密微信支付平台证书",
    "the APIv3 key is wrong: WeChat Pay's platform certificates do not decrypt with it",
)


def fetch_certificates(
    gateway: Gateway, config: Mapping[str, Any], now: datetime
) -> list[PlatformCertificate]:
    """What to store as the account's platform certificates: those WeChat Pay lists now.

    A merchant without any keeps those it had, as callbacks signed by them still arrive during the
    change to the public key. Raises NotSent, UnknownOutcome or ChannelConfigInvalid.
    """
    found = _download(gateway)
    if found is None:
        chain = config.get("platform_certificates")
        found = keys.parse_certificates(chain) if chain else []
    return [describe(c) for c in found if c.not_valid_after_utc > now]


def _download(gateway: Gateway) -> list[x509.Certificate] | None:
    """GET /v3/certificates, None when the merchant has none.

    https://pay.weixin.qq.com/doc/v3/merchant/4012551764 The answer is signed by a certificate inside
    it; what makes that credible is the AEAD under our own APIv3 key.
    """
    response = gateway.send("GET", "/v3/certificates", operation="certificates")
    if response.status != 200:
        answer = gateway.refusal(response)
        if answer.status == 404 and answer.code == "RESOURCE_NOT_EXISTS":
            return None
        raise _trouble(answer)
    try:
        sealed = encrypted_certificates(response.body)
        found = keys.parse_certificates(b"\n".join(gateway.decrypt(row) for row in sealed))
    except MalformedInbound as exc:
        raise ChannelConfigInvalid({"api_v3_key": [_WRONG_V3_KEY]}) from exc
    except ValueError as exc:
        raise UnknownOutcome("the certificates cannot be read") from exc
    gateway.verify_answer(response, certificate_keys(found))
    return found


def _trouble(answer: Answer) -> ChannelError:
    if answer.code == "SIGN_ERROR":
        return ChannelConfigInvalid({"merchant_cert": [_SIGN_ERROR]})
    return unknown(answer)


def check(gateway: Gateway, config: Mapping[str, Any]) -> CheckResult:
    """Certificates first, which prove everything at once; a merchant with a public key may have none
    and is then asked for an order that cannot exist."""
    try:
        if config["verify_mode"] == PUBLIC_KEY:
            message = _OK if _proves_public_key(gateway) else _ask_for_nothing(gateway, config)
        elif _download(gateway) is None:
            return CheckResult(ok=False, message=_NO_CERTIFICATES)
        else:
            message = _OK
    except ChannelConfigInvalid as exc:
        return CheckResult(ok=False, message=next(iter(exc.problems.values()))[0])
    except NotSent as exc:
        return CheckResult(ok=False, message=_NOT_SENT, detail={"error": str(exc)})
    except UnverifiedAnswer as exc:
        return CheckResult(ok=False, message=_UNVERIFIED, detail={"error": str(exc)})
    except UnknownOutcome as exc:
        text = Label(f"微信支付没有给出明确答复：{exc}", f"WeChat Pay gave no clear answer: {exc}")
        return CheckResult(ok=False, message=text)
    return CheckResult(ok=True, message=message)


def _proves_public_key(gateway: Gateway) -> bool:
    """Whether an answer was verified; merchants without certificates get 404, some pages say 500."""
    try:
        return _download(gateway) is not None
    except UnverifiedAnswer:
        raise
    except UnknownOutcome:
        return False


def _ask_for_nothing(gateway: Gateway, config: Mapping[str, Any]) -> Label:
    """Query an order nobody placed: "no such order" says that our identity and signature are good."""
    order_no, mch_id = f"CHECK{secrets.token_hex(8)}", quote(config["mch_id"], safe="")
    path = f"/v3/pay/transactions/out-trade-no/{order_no}?mchid={mch_id}"
    answer = gateway.call("GET", path, operation="check")
    if answer.status == 404 and answer.code in NO_ORDER:
        return _OK_UNPROVEN
    raise _trouble(answer)
