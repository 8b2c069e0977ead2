"""Genuine notifications of WeChat Pay, made with keys of the measurement's own, and what checking one costs bare."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.wire import request
from sandbox import keys

_MERCHANT, _APP, _KEY_ID = "1900000001", "wxbench00000000001", "PUB_KEY_ID_BENCH"
_V3_KEY = "0123456789abcdef0123456789abcdef"


def account_config(signer: str) -> dict[str, Any]:
    """Of a payment account that believes this signer (a private key, PEM)."""
    merchant = keys.new_rsa()
    certificate = keys.authority(keys.x509_name("bench", "bench", "bench"), key=merchant).certificate
    return {
        "base_url": "http://127.0.0.1:9", "mch_id": _MERCHANT, "app_id": _APP, "api_v3_key": _V3_KEY,
        "app_secret": "0" * 32, "merchant_private_key": keys.private_pem(merchant),
        "merchant_cert": keys.certificate_pem(certificate), "verify_mode": "public_key",
        "wechatpay_public_key_id": _KEY_ID, "wechatpay_public_key": keys.public_pem(keys.private_key(signer)),
        "oauth_authorize_url": "http://127.0.0.1:9/a", "oauth_token_url": "http://127.0.0.1:9/t",
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """`text` is what is signed, `sealed` the content under the merchant's key."""

    wire: bytes
    text: bytes
    signature: str
    nonce: bytes
    sealed: bytes


def notices(signer: str, attempts: Mapping[str, int]) -> list[Notice]:
    """One for each attempt number and amount, signed now: it is believed for five minutes."""
    return [_notice(signer, attempt_no, amount) for attempt_no, amount in attempts.items()]


def _notice(signer: str, attempt_no: str, amount: int) -> Notice:
    nonce = secrets.token_hex(6).encode()
    plain = json.dumps(_plain(attempt_no, amount), ensure_ascii=False).encode()
    sealed = AESGCM(_V3_KEY.encode()).encrypt(nonce, plain, b"transaction")
    body = json.dumps({
        "id": secrets.token_hex(16), "create_time": _now(), "resource_type": "encrypt-resource",
        "event_type": "TRANSACTION.SUCCESS", "summary": "支付成功",
        "resource": {"original_type": "transaction", "algorithm": "AEAD_AES_256_GCM", "nonce": nonce.decode(),
                     "associated_data": "transaction", "ciphertext": base64.b64encode(sealed).decode()},
    }, ensure_ascii=False).encode()  # fmt: skip
    stamp, once = str(int(time.time())), secrets.token_hex(16)
    text = f"{stamp}\n{once}\n".encode() + body + b"\n"
    signature = keys.sign(signer, text)
    headers = {
        "Content-Type": "application/json", "Accept": "*/*", "User-Agent": "Mozilla/4.0",
        "Wechatpay-Timestamp": stamp, "Wechatpay-Nonce": once, "Wechatpay-Serial": _KEY_ID,
        "Wechatpay-Signature": signature, "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }  # fmt: skip
    return Notice(request("POST", f"/notify/wechat_native/{attempt_no}", headers, body), text, signature, nonce, sealed)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(attempt_no: str, amount: int) -> dict[str, Any]:
    return {
        "mchid": _MERCHANT, "appid": _APP, "out_trade_no": attempt_no, "transaction_id": f"4200{attempt_no}",
        "trade_type": "NATIVE", "trade_state": "SUCCESS", "trade_state_desc": "支付成功", "bank_type": "OTHERS",
        "attach": "", "success_time": _now(), "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "amount": {"total": amount, "payer_total": amount, "currency": "CNY", "payer_currency": "CNY"},
    }  # fmt: skip


def bare_milliseconds(signer: str, given: Sequence[Notice]) -> float:
    """Processor time of verifying and decrypting one of them, and of nothing else."""
    public, cipher = keys.private_key(signer).public_key(), AESGCM(_V3_KEY.encode())
    signatures = [base64.b64decode(one.signature) for one in given]
    began = time.process_time()
    for one, signature in zip(given, signatures, strict=True):
        public.verify(signature, one.text, padding.PKCS1v15(), hashes.SHA256())
        cipher.decrypt(one.nonce, one.sealed, b"transaction")
    return (time.process_time() - began) * 1000 / len(given)
