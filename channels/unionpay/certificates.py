"""Whose signature a message bears: the chain below UnionPay's root, validity, and the signer's name.

UnionPay sends its certificate inside every message; only the chain makes it UnionPay's. The merchants'
own certificates come from the same authority, so that the name is what tells UnionPay from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from channels.base import keys
from channels.base.fields import Label
from channels.base.keys import KeyProblem

UNIONPAY_NAME = "中国银联股份有限公司"
# What stands in its place in UnionPay's test environment.
_TEST_NAME = "00040000:SIGN"
_CERTIFICATE_CHARS = 8192
# The authority's own certificates are SHA-1 signed to this day, which `verify_directly_issued_by` refuses.
# Messages are another matter: they are verified with SHA-256 only.
_CHAIN_HASHES = frozenset({"sha1", "sha256", "sha384", "sha512"})

NOT_RSA = Label("证书中的公钥不是 2048 位及以上的 RSA 公钥",
                "the certificate does not hold an RSA key of 2048 bits or more")  # fmt: skip


class Untrusted(ValueError):
    """The signature or the certificate is not UnionPay's; the text says why, without any of its content."""


class Chain:
    """The authorities that an account trusts. Shared by threads.

    With `check_name` False the name of the test environment's certificates is good too; a name of a
    merchant's never is.
    """

    def __init__(
        self, roots: Sequence[x509.Certificate], middles: Sequence[x509.Certificate], *, check_name: bool
    ) -> None:
        self._roots, self._middles = roots, middles
        self._names = {UNIONPAY_NAME} if check_name else {UNIONPAY_NAME, _TEST_NAME}
        # Text to (certificate, its authority): only what proved genuine, hence never many.
        self._known: dict[str, tuple[x509.Certificate, x509.Certificate]] = {}

    def signer(self, pem: str, now: datetime) -> RSAPublicKey:
        """The key of the certificate that a message brought along. Raises Untrusted."""
        certificate, middle = self._known.get(pem) or self._admit(pem)
        if not _is_valid(certificate, now):
            raise Untrusted("the signer's certificate is expired or not valid yet")
        if not _is_valid(middle, now):
            raise Untrusted("the authority's certificate is expired or not valid yet")
        return rsa_key(certificate)

    def _admit(self, pem: str) -> tuple[x509.Certificate, x509.Certificate]:
        if len(pem) > _CERTIFICATE_CHARS:
            raise Untrusted("the signer's certificate is too long")
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode("utf-8"))
            rsa_key(certificate)
        except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as exc:
            raise Untrusted("the signer's certificate cannot be read") from exc
        middle = next((m for m in self._middles if is_issued(certificate, m)), None)
        if middle is None or not any(is_issued(middle, root) for root in self._roots):
            raise Untrusted("the signer's certificate was not issued below the configured root")
        if owner_of(certificate) not in self._names:
            raise Untrusted("the signer's certificate is not UnionPay's own")
        self._known[pem] = (certificate, middle)
        return certificate, middle


def is_issued(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` is an authority and signed `subject`, whatever their validity."""
    try:
        if subject.issuer != issuer.subject or not is_authority(issuer):
            return False
        algorithm = subject.signature_hash_algorithm
        if algorithm is None or algorithm.name not in _CHAIN_HASHES:
            return False
        rsa_key(issuer).verify(
            subject.signature, subject.tbs_certificate_bytes, padding.PKCS1v15(), algorithm
        )
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether the certificate may sign others (basicConstraints)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False


def owner_of(certificate: x509.Certificate) -> str:
    """The third part of a name like `041@8310000000083040@中国银联股份有限公司@00016495`; empty without one."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    parts = str(names[0].value).split("@") if len(names) == 1 else []
    return parts[2] if len(parts) > 2 else ""


def rsa_key(certificate: x509.Certificate) -> RSAPublicKey:
    """The certificate's public key. Raises KeyProblem unless it is RSA of a usable length."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise KeyProblem(NOT_RSA) from exc
    if not isinstance(key, RSAPublicKey) or key.key_size < keys.MIN_RSA_BITS:
        raise KeyProblem(NOT_RSA)
    return key


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
