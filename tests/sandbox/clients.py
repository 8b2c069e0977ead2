"""Merchants' side of the two protocols, written here from the vendors' pages and nothing of the sandbox's."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.sandbox.running import Answer, Running, Told

BEIJING = timezone(timedelta(hours=8))


def rsa_sign(pem: str, data: bytes) -> str:
    key: Any = serialization.load_pem_private_key(pem.encode(), None)
    return base64.b64encode(key.sign(data, padding.PKCS1v15(), hashes.SHA256())).decode()


def rsa_verifies(pem: str, signature: str, data: bytes) -> bool:
    key: Any = (
        x509.load_pem_x509_certificate(pem.encode()).public_key()
        if "CERTIFICATE" in pem
        else serialization.load_pem_public_key(pem.encode())
    )
    try:
        key.verify(base64.b64decode(signature), data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


class AlipayMerchant:
    def __init__(self, sandbox: Running, config: dict[str, str], notify_url: str = "") -> None:
        self.sandbox, self.config, self.notify_url = sandbox, config, notify_url

    @property
    def alipay_key(self) -> str:
        return self.config.get("alipay_public_key") or self.config["alipay_cert"]

    def params(self, method: str, biz: dict[str, Any] | None, **more: str) -> dict[str, str]:
        """Signed parameters; a value of None removes one, `sign` replaces the signature."""
        params = {
            "app_id": self.config["app_id"], "method": method, "format": "JSON", "charset": "utf-8",
            "sign_type": "RSA2", "version": "1.0",
            "timestamp": datetime.now(BEIJING).strftime("%Y-%m-%d %H:%M:%S"),
        }  # fmt: skip
        if biz is not None:
            params["biz_content"] = json.dumps(biz, ensure_ascii=False)
        if self.notify_url:
            params["notify_url"] = self.notify_url
        params |= more
        text = "&".join(f"{k}={v}" for k, v in sorted(params.items()) if k != "sign")
        params.setdefault("sign", rsa_sign(self.config["app_private_key"], text.encode()))
        return params

    def send(self, params: dict[str, str]) -> Answer:
        body = urlencode({"biz_content": params.get("biz_content", "")})
        query = urlencode({k: v for k, v in params.items() if k != "biz_content"})
        headers = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
        return self.sandbox.request("POST", f"/gateway.do?{query}", body, headers)

    def call(self, method: str, biz: dict[str, Any] | None, **more: str) -> dict[str, Any]:
        """A server call whose answer is verified over its exact source text."""
        answer = self.send(self.params(method, biz, **more))
        assert answer.status == 200
        if answer.text.startswith('{"error_response"'):
            return dict(answer.json["error_response"])
        text, signature = self.split(answer.text)
        assert rsa_verifies(self.alipay_key, signature, text.encode()), "the answer's signature is wrong"
        return dict(json.loads(text))

    @staticmethod
    def split(envelope: str) -> tuple[str, str]:
        """(exact inner text, signature)."""
        match = re.fullmatch(r'\{"\w+_response":(.*?)(?:,"alipay_cert_sn":"\w+")?,"sign":"([^"]+)"\}', envelope)
        assert match, envelope
        return match.group(1), match.group(2)

    def precreate(self, order_no: str, fen: int = 1234, **biz: Any) -> dict[str, Any]:
        content = {"out_trade_no": order_no, "total_amount": f"{fen / 100:.2f}", "subject": "物业费 {一月}"}
        return self.call("alipay.trade.precreate", content | biz)

    def notice(self, told: Told) -> tuple[dict[str, str], bool]:
        """(fields, whether the signature is right)."""
        fields = dict(parse_qsl(told.body.decode(), keep_blank_values=True, strict_parsing=True))
        return fields, self.verifies(fields)

    def verifies(self, fields: dict[str, str]) -> bool:
        text = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k not in ("sign", "sign_type"))
        return "sign" in fields and rsa_verifies(self.alipay_key, fields["sign"], text.encode())


class WeChatMerchant:
    def __init__(self, sandbox: Running, config: dict[str, str], notify_url: str = "http://127.0.0.1:9/notify") -> None:
        self.sandbox, self.config, self.notify_url = sandbox, config, notify_url
        self.keys: dict[str, str] = {}
        if "wechatpay_public_key" in config:
            self.keys[config["wechatpay_public_key_id"]] = config["wechatpay_public_key"]

    def headers(self, method: str, path: str, body: bytes, **changed: str) -> dict[str, str]:
        cert = x509.load_pem_x509_certificate(self.config["merchant_cert"].encode())
        values = {
            "mchid": self.config["mch_id"], "nonce_str": secrets.token_hex(16),
            "timestamp": str(int(time.time())), "serial_no": f"{cert.serial_number:X}",
        } | changed  # fmt: skip
        text = f"{method}\n{path}\n{values['timestamp']}\n{values['nonce_str']}\n".encode() + body + b"\n"
        values.setdefault("signature", rsa_sign(self.config["merchant_private_key"], text))
        pairs = ",".join(f'{k}="{v}"' for k, v in values.items())
        return {
            "Authorization": f"WECHATPAY2-SHA256-RSA2048 {pairs}", "Accept": "application/json",
            "Content-Type": "application/json", "User-Agent": "test",
        }  # fmt: skip

    def send(self, method: str, path: str, data: Any = None, **changed: str) -> Answer:
        body = b"" if data is None else json.dumps(data, ensure_ascii=False).encode()
        return self.sandbox.request(method, path, body, self.headers(method, path, body, **changed))

    def call(self, method: str, path: str, data: Any = None) -> Answer:
        """A call whose success is verified."""
        answer = self.send(method, path, data)
        if answer.status < 300:
            assert self.verifies(answer.headers, answer.body), "the answer's signature is wrong"
        return answer

    def verifies(self, headers: dict[str, str], body: bytes) -> bool:
        if "wechatpay-signature" not in headers:
            return False
        text = f"{headers['wechatpay-timestamp']}\n{headers['wechatpay-nonce']}\n".encode() + body + b"\n"
        return rsa_verifies(self.keys[headers["wechatpay-serial"]], headers["wechatpay-signature"], text)

    def fetch_certificates(self) -> None:
        answer = self.send("GET", "/v3/certificates")
        assert answer.status == 200, answer.body
        for item in answer.json["data"]:
            self.keys[item["serial_no"]] = self.open(item["encrypt_certificate"]).decode()
        assert self.verifies(answer.headers, answer.body)

    def open(self, sealed: dict[str, str]) -> bytes:
        assert sealed["algorithm"] == "AEAD_AES_256_GCM"
        return AESGCM(self.config["api_v3_key"].encode()).decrypt(
            sealed["nonce"].encode(), base64.b64decode(sealed["ciphertext"]), sealed["associated_data"].encode()
        )

    def order(self, order_no: str, fen: int = 1234, **more: Any) -> dict[str, Any]:
        return {
            "appid": self.config["app_id"], "mchid": self.config["mch_id"], "description": "物业费",
            "out_trade_no": order_no, "notify_url": self.notify_url, "amount": {"total": fen, "currency": "CNY"},
        } | more  # fmt: skip

    def native(self, order_no: str, fen: int = 1234, **more: Any) -> Answer:
        return self.call("POST", "/v3/pay/transactions/native", self.order(order_no, fen, **more))

    def query(self, order_no: str) -> Answer:
        return self.call("GET", f"/v3/pay/transactions/out-trade-no/{order_no}?mchid={self.config['mch_id']}")

    def close(self, order_no: str) -> Answer:
        return self.call("POST", f"/v3/pay/transactions/out-trade-no/{order_no}/close",
                         {"mchid": self.config["mch_id"]})  # fmt: skip

    def notice(self, told: Told) -> tuple[dict[str, Any], bool]:
        """(plain contents, whether the signature is right)."""
        contents = json.loads(self.open(json.loads(told.body)["resource"]))
        return contents, self.verifies(told.headers, told.body)
