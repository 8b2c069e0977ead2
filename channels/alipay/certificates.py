"""Certificate mode: serial names of certificates and the chain up to Alipay's root.

https://opendocs.alipay.com/common/056zub
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from channels.base import keys
from channels.base.fields import Label
from channels.base.keys import KeyProblem

_RSA_SIGNATURES = "1.2.840.113549.1.1."
_MAX_DEPTH = 5
# OpenSSL's short name, which the names are hashed with, where RFC 4514 has none.
_SHORT_NAMES = {"1.2.840.113549.1.9.1": "emailAddress"}

NOT_RSA = Label("证书中的公钥不是 2048 位及以上的 RSA 公钥",
                "the certificate does not hold an RSA key of 2048 bits or more")  # fmt: skip
_NO_CHAIN = Label("该证书不是由所填的支付宝根证书签发，请重新下载这两个文件并上传完整文件",
                  "this certificate was not issued below the given Alipay root certificate; "
                  "download both files again and upload them whole")  # fmt: skip


def certificate_sn(certificate: x509.Certificate) -> str:
    """Alipay's name of a certificate: MD5 of issuer (most specific part first) and decimal serial number."""
    parts = [
        f"{_SHORT_NAMES.get(a.oid.dotted_string, a.rfc4514_attribute_name)}={a.value!s}"
        for a in reversed(list(certificate.issuer))
    ]
    text = ",".join(parts) + str(certificate.serial_number)
    return hashlib.md5(text.encode("utf-8"), usedforsecurity=False).hexdigest()


def root_sn(certificates: Sequence[x509.Certificate]) -> str:
    """`alipay_root_cert_sn`: the RSA-signed ones of the root file, joined by `_` (no SM2, no ECC)."""
    return "_".join(certificate_sn(c) for c in certificates if _is_rsa_signed(c))


def rsa_key(certificate: x509.Certificate) -> RSAPublicKey:
    """The certificate's public key. Raises KeyProblem unless it is RSA of a usable length."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise KeyProblem(NOT_RSA) from exc
    if not isinstance(key, RSAPublicKey) or key.key_size < keys.MIN_RSA_BITS:
        raise KeyProblem(NOT_RSA)
    return key


def check_chain(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime) -> None:
    """Whether `chain[0]` leads to one of `roots`, over the rest of `chain` and of the root file.

    Raises KeyProblem when it does not, or when a certificate on the way is expired.
    """
    current, intermediates = chain[0], [*chain[1:], *roots]
    for _step in range(_MAX_DEPTH):
        keys.check_validity(current, now)
        if any(current == root for root in roots):
            return
        issuer = next((c for c in intermediates if c != current and _issued(c, current)), None)
        if issuer is None:
            break
        current = issuer
    raise KeyProblem(_NO_CHAIN)


def _is_rsa_signed(certificate: x509.Certificate) -> bool:
    return certificate.signature_algorithm_oid.dotted_string.startswith(_RSA_SIGNATURES)


def _issued(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    if not _is_authority(issuer):
        return False
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
