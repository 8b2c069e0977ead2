"""RSA keys, signatures and certificates of both sides of a contract.

Generating takes a tenth of a second and belongs in `issue`, never in the serving loop; parsed keys
are kept for the life of the process.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def new_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_pem(key: PrivateKey) -> str:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip


def certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@lru_cache(maxsize=512)
def private_key(pem: str) -> rsa.RSAPrivateKey:
    """Parsed without the slow consistency check: only keys made by this program come here."""
    key = serialization.load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("not an RSA private key")
    return key


@lru_cache(maxsize=512)
def public_key(pem: str) -> rsa.RSAPublicKey:
    """From a public key or a certificate."""
    key = (
        certificate(pem).public_key()
        if "BEGIN CERTIFICATE" in pem
        else serialization.load_pem_public_key(pem.encode())
    )
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError("not an RSA public key")
    return key


@lru_cache(maxsize=512)
def certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def serial_hex(pem: str) -> str:
    """The certificate's serial number, 40 upper-case hexadecimal digits as WeChat Pay writes it."""
    return f"{certificate(pem).serial_number:040X}"


def sign(pem: str, text: bytes) -> str:
    """RSASSA-PKCS1-v1_5 with SHA-256, base64."""
    signature = private_key(pem).sign(text, padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(signature).decode()


def verify(pem: str, signature: str, text: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        public_key(pem).verify(raw, text, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def alipay_sn(certificates: list[x509.Certificate]) -> str:
    """Alipay's certificate number: MD5 of issuer name and decimal serial; a chain is joined by `_`.

    The issuer is printed most specific part first (`CN=…,OU=…,O=…,C=CN`); certificates that are
    not signed with RSA are skipped, as Alipay's root file also holds SM2 and ECC ones.
    """
    numbers = []
    for item in certificates:
        if not item.signature_algorithm_oid.dotted_string.startswith("1.2.840.113549.1.1."):
            continue
        parts = [f"{_short(a)}={a.value!s}" for a in reversed(list(item.issuer))]
        text = ",".join(parts) + str(item.serial_number)
        numbers.append(hashlib.md5(text.encode()).hexdigest())
    return "_".join(numbers)


def _short(attribute: x509.NameAttribute[str | bytes]) -> str:
    return str(attribute.rfc4514_attribute_name)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate with the key that signs others."""

    certificate: x509.Certificate
    key: PrivateKey


def x509_name(common: str, organization: str, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def authority(name: x509.Name, *, issuer: Authority | None = None, key: PrivateKey | None = None) -> Authority:
    own = key or new_rsa()
    made = _certificate(name, own, issuer.certificate.subject if issuer else name,
                        issuer.key if issuer else own, is_ca=True, years=20)  # fmt: skip
    return Authority(made, own)


def leaf(name: x509.Name, key: PrivateKey, issuer: Authority, *, years: int = 5) -> x509.Certificate:
    return _certificate(name, key, issuer.certificate.subject, issuer.key, is_ca=False, years=years)


def _certificate(
    subject: x509.Name, key: PrivateKey, issuer: x509.Name, signer: PrivateKey, *, is_ca: bool, years: int
) -> x509.Certificate:
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    # A full 160-bit serial, so that its hexadecimal form always has 40 digits.
    serial = x509.random_serial_number() | (1 << 158)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    return builder.sign(signer, hashes.SHA256())
