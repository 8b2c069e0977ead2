"""Signing a contract with UnionPay: a certificate tree of three levels like the real one.

Mode `production`: SHA-256 throughout and UnionPay's real name. Mode `test`: like UnionPay's test
environment, every certificate is SHA-1 signed and the signer's name is a test name.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox import keys
from sandbox.book import random_digits
from sandbox.channel import Contract

_AUTHORITY, _UNIT = "Sandbox Financial Certification Authority", "Sandbox CA"
_NAMES = {
    "production": "041@8310000000083040@中国银联股份有限公司@00016495",
    "test": "041@Z2017-11-1@00040000:SIGN@00000001",
}
_SHA256_RSA, _SHA1_RSA = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")


def sign_contract(*, name: str, mode: str, base_url: str) -> Contract:
    mer_id = "777290" + random_digits(9)
    root = keys.authority(keys.x509_name("Sandbox CS CA", _AUTHORITY, _UNIT))
    middle = keys.authority(keys.x509_name("Sandbox OCA1", _AUTHORITY, _UNIT), issuer=root)
    merchant_key, unionpay_key = keys.new_rsa(), keys.new_rsa()
    # Merchants' certificates come from the same authority as UnionPay's own.
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    merchant = keys.leaf(
        keys.x509_name(f"041@{mer_id}@{digest}@00000001", "Sandbox", "Enterprises"), merchant_key, middle
    )
    unionpay = keys.leaf(keys.x509_name(_NAMES[mode], "Sandbox", "Enterprises"), unionpay_key, middle)
    chain = [(root.certificate, root.key), (middle.certificate, root.key), (unionpay, middle.key)]
    if mode == "test":
        chain = [(_sha1_signed(certificate, key), key) for certificate, key in chain]
    root_pem, middle_pem, unionpay_pem = (keys.certificate_pem(certificate) for certificate, _key in chain)
    config = {
        "mer_id": mer_id, "base_url": f"{base_url}/gateway/api", "file_url": f"{base_url}/filedownload/",
        "sign_private_key": keys.private_pem(merchant_key), "sign_cert": keys.certificate_pem(merchant),
        "root_cert": root_pem, "middle_cert": middle_pem,
        "check_cn": "true" if mode == "production" else "false",
    }  # fmt: skip
    secrets = {
        "private_key": keys.private_pem(unionpay_key), "certificate": unionpay_pem,
        "merchant_cert": config["sign_cert"], "cert_id": str(merchant.serial_number),
    }  # fmt: skip
    return Contract(mer_id, config, secrets)


def _sha1_signed(certificate: x509.Certificate, key: keys.PrivateKey) -> x509.Certificate:
    """The same certificate signed with SHA-1, which the library itself no longer does."""
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("only RSA authorities sign here")
    body = certificate.tbs_certificate_bytes.replace(_SHA256_RSA, _SHA1_RSA, 1)
    signature = key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    algorithm = _der(0x30, _der(0x06, _SHA1_RSA) + _der(0x05, b""))
    whole = _der(0x30, body + algorithm + _der(0x03, b"\x00" + signature))
    return x509.load_der_x509_certificate(whole)


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
