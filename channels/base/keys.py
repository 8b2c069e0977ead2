"""RSA keys and certificates as merchants paste them: with or without PEM headers, PKCS#1 or PKCS#8.

Parsing is slow (tens of milliseconds for a private key): do it once per process, never per call.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from channels.base.fields import Label

MIN_RSA_BITS = 2048
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

# Both only name an algorithm; making them anew for each call costs a quarter of a verification.
_PKCS1V15, _SHA256 = padding.PKCS1v15(), hashes.SHA256()
_RSA_OID = bytes.fromhex("2a864886f70d0101")  # 1.2.840.113549.1.1, PKCS #1, in keys and in signatures


class KeyProblem(ValueError):
    """A key or certificate that cannot be used; `label` says why, without any of its content."""

    def __init__(self, label: Label) -> None:
        super().__init__(label.en)
        self.label = label


_NOT_A_KEY = Label("不是有效的 RSA 私钥（支持 PEM 或纯 base64，PKCS#1 或 PKCS#8）",
                   "not a usable RSA private key (PEM or bare base64, PKCS#1 or PKCS#8)")  # fmt: skip
_NOT_PUBLIC = Label("不是有效的 RSA 公钥（PEM 或纯 base64）",
                    "not a usable RSA public key (PEM or bare base64)")  # fmt: skip
_NOT_CERT = Label("不是有效的 X.509 证书", "not a usable X.509 certificate")
_ENCRYPTED = Label("私钥带有口令，请先去除口令", "the private key has a passphrase; remove it first")
_SHORT = Label("RSA 密钥长度不足 2048 位", "the RSA key is shorter than 2048 bits")
_SWAPPED_PRIVATE = Label("这是私钥，此处需要公钥", "this is a private key; a public key is wanted here")
_SWAPPED_PUBLIC = Label("这是公钥，此处需要私钥", "this is a public key; a private key is wanted here")
_CERT_NOT_KEY = Label("这是证书，此处需要密钥", "this is a certificate; a key is wanted here")


def _der_candidates(data: str | bytes, problem: Label) -> tuple[str, bytes]:
    """PEM label ('' if there were no headers) and the DER bytes."""
    if isinstance(data, bytes):
        if data[:1] == b"\x30":
            return "", data
        data = data.decode("ascii", errors="ignore")
    match = _PEM.search(data)
    label = match.group(1) if match else ""
    text = match.group(0) if match else data
    text = re.sub(r"-----(BEGIN|END) [A-Z0-9 ]+-----", "", text)
    if "Proc-Type" in text or label == "ENCRYPTED PRIVATE KEY":
        raise KeyProblem(_ENCRYPTED)
    try:
        der = base64.b64decode(re.sub(r"\s+", "", text), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise KeyProblem(problem) from exc
    if not der:
        raise KeyProblem(problem)
    return label, der


def parse_private_key(data: str | bytes) -> RSAPrivateKey:
    """Raises KeyProblem: unusable, encrypted, too short, or a public key or certificate instead."""
    label, der = _der_candidates(data, _NOT_A_KEY)
    if "PUBLIC" in label:
        raise KeyProblem(_SWAPPED_PUBLIC)
    if "CERTIFICATE" in label:
        raise KeyProblem(_CERT_NOT_KEY)
    try:
        key = serialization.load_der_private_key(der, password=None)
    except TypeError as exc:
        raise KeyProblem(_ENCRYPTED) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise KeyProblem(_SWAPPED_PUBLIC if _is_public(der) else _NOT_A_KEY) from exc
    if not isinstance(key, RSAPrivateKey):
        raise KeyProblem(_NOT_A_KEY)
    if key.key_size < MIN_RSA_BITS:
        raise KeyProblem(_SHORT)
    return key


def load_private_key(pem: str) -> RSAPrivateKey:
    """Load what `private_key_pem` wrote; skips the slow self-check that parsing already made."""
    key = serialization.load_pem_private_key(
        pem.encode("ascii"), password=None, unsafe_skip_rsa_key_validation=True
    )
    if not isinstance(key, RSAPrivateKey):
        raise KeyProblem(_NOT_A_KEY)
    return key


def parse_public_key(data: str | bytes) -> RSAPublicKey:
    """Raises KeyProblem as `parse_private_key` does, the other way round."""
    label, der = _der_candidates(data, _NOT_PUBLIC)
    if "PRIVATE" in label:
        raise KeyProblem(_SWAPPED_PRIVATE)
    if "CERTIFICATE" in label:
        raise KeyProblem(_CERT_NOT_KEY)
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise KeyProblem(_SWAPPED_PRIVATE if _is_private(der) else _NOT_PUBLIC) from exc
    if not isinstance(key, RSAPublicKey):
        raise KeyProblem(_NOT_PUBLIC)
    if key.key_size < MIN_RSA_BITS:
        raise KeyProblem(_SHORT)
    return key


def _is_public(der: bytes) -> bool:
    try:
        serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _is_private(der: bytes) -> bool:
    try:
        serialization.load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def parse_certificates(data: str | bytes) -> list[x509.Certificate]:
    """One or more certificates, PEM or a single DER. Raises KeyProblem.

    In a bundle, certificates without any RSA that cannot be read are left out: Alipay's root file holds
    an ECC one whose encoding is refused by strict parsers.
    """
    text = data.decode("ascii", errors="ignore") if isinstance(data, bytes) else data
    blocks = _CERTIFICATE.findall(text)
    ders = [_der_candidates(block, _NOT_CERT)[1] for block in blocks or [data]]
    found = [c for c in (_certificate(der, optional=len(ders) > 1) for der in ders) if c is not None]
    if not found:
        raise KeyProblem(_NOT_CERT)
    return found


def _certificate(der: bytes, *, optional: bool) -> x509.Certificate | None:
    try:
        certificate = x509.load_der_x509_certificate(der)
        _read_all(certificate)
        return certificate
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as exc:
        if optional and _RSA_OID not in der:
            return None
        raise KeyProblem(_NOT_CERT) from exc


def _read_all(certificate: x509.Certificate) -> None:
    """The parts that are otherwise parsed when somebody asks for them, who expects no trouble any more."""
    for name in ("subject", "issuer", "not_valid_before_utc", "not_valid_after_utc", "signature_algorithm_oid"):
        getattr(certificate, name)


def rsa_key_in(certificate: x509.Certificate) -> RSAPublicKey | None:
    """The certificate's key; None where it is no RSA key, or none that can be read."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None


def check_validity(certificate: x509.Certificate, now: datetime) -> None:
    """Raises KeyProblem naming the day when the certificate is expired or not valid yet."""
    if now >= certificate.not_valid_after_utc:
        day = certificate.not_valid_after_utc.date().isoformat()
        raise KeyProblem(Label(f"证书已于 {day} 过期", f"the certificate expired on {day}"))
    if now < certificate.not_valid_before_utc:
        day = certificate.not_valid_before_utc.date().isoformat()
        raise KeyProblem(Label(f"证书自 {day} 起才生效", f"the certificate is valid only from {day}"))


def private_key_pem(key: RSAPrivateKey) -> str:
    """PKCS#8 PEM without a passphrase, the one stored form."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def public_key_pem(key: RSAPublicKey) -> str:
    """SubjectPublicKeyInfo PEM, the one stored form."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode("ascii")


def certificates_pem(certificates: list[x509.Certificate]) -> str:
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode("ascii") for c in certificates)


def is_pair(private: RSAPrivateKey, public: RSAPublicKey) -> bool:
    """Whether the two belong together."""
    return private.public_key().public_numbers() == public.public_numbers()


def sign_sha256(key: RSAPrivateKey, data: bytes) -> str:
    """RSASSA-PKCS1-v1_5 with SHA-256, base64."""
    return base64.b64encode(key.sign(data, _PKCS1V15, _SHA256)).decode("ascii")


def verify_sha256(key: rsa.RSAPublicKey, signature: str, data: bytes) -> bool:
    """Whether the base64 `signature` over `data` is this key's; malformed base64 is simply False."""
    try:
        return signed_sha256(key, base64.b64decode(signature, validate=True), data)
    except ValueError:
        return False


def signed_sha256(key: rsa.RSAPublicKey, signature: bytes, data: bytes) -> bool:
    """Whether the raw `signature` over `data` is this key's (RSASSA-PKCS1-v1_5, SHA-256)."""
    try:
        key.verify(signature, data, _PKCS1V15, _SHA256)
    except (InvalidSignature, ValueError):
        return False
    return True
