"""Keys and certificates in every form a merchant may paste."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st

from channels.base import keys
from channels.base.keys import KeyProblem

NOW = datetime(2026, 11, 20, tzinfo=UTC)
KEY = rsa.generate_private_key(65537, 2048)
SHORT = rsa.generate_private_key(65537, 1024)
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8, PKCS1 = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
SPKI, PUBLIC_PKCS1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
PLAIN = serialization.NoEncryption()


def certificate(key: RSAPrivateKey = KEY, *, days: tuple[int, int] = (-1, 1)) -> x509.Certificate:
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "物业")])
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .sign(key, hashes.SHA256())
    )


def private(encoding: serialization.Encoding, form: serialization.PrivateFormat) -> bytes:
    return KEY.private_bytes(encoding, form, PLAIN)


def public(encoding: serialization.Encoding, form: serialization.PublicFormat) -> bytes:
    return KEY.public_key().public_bytes(encoding, form)


def forms(pem: bytes, der: bytes) -> list[str | bytes]:
    bare = base64.b64encode(der).decode()
    text = pem.decode()
    return [
        text, pem, der, bare, bare.encode(), text.replace("\n", "\r\n"), text.replace("\n", ""),
        f"\n\n  {text}  \n", f"some words before\n{text}and after", f"{bare[:64]}\n{bare[64:]}\n",
        b"\xef\xbb\xbf" + pem, " ".join(bare[i : i + 76] for i in range(0, len(bare), 76)),
    ]  # fmt: skip


PRIVATE_FORMS = [*forms(private(PEM, PKCS8), private(DER, PKCS8)), *forms(private(PEM, PKCS1), private(DER, PKCS1))]
PUBLIC_FORMS = [
    *forms(public(PEM, SPKI), public(DER, SPKI)),
    *forms(public(PEM, PUBLIC_PKCS1), public(DER, PUBLIC_PKCS1)),
]
CERTIFICATE = certificate()


class TestPrivateKey:
    @pytest.mark.parametrize("data", PRIVATE_FORMS, ids=range(len(PRIVATE_FORMS)))
    def test_every_form_gives_the_key(self, data: str | bytes) -> None:
        assert keys.is_pair(keys.parse_private_key(data), KEY.public_key())

    def test_stored_form_is_pkcs8_and_loads_again(self) -> None:
        stored = keys.private_key_pem(keys.parse_private_key(private(DER, PKCS1)))
        assert stored.startswith("-----BEGIN PRIVATE KEY-----\n")
        assert keys.is_pair(keys.load_private_key(stored), KEY.public_key())

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            ("", "not a usable"),
            ("hello", "not a usable"),
            ("私钥", "not a usable"),
            ("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", "not a usable"),
            (b"\x30", "not a usable"),
            (private(PEM, PKCS8)[:400], "not a usable"),
            (public(PEM, SPKI), "public key"),
            (public(DER, SPKI), "public key"),
            (base64.b64encode(public(DER, SPKI)), "public key"),
            (keys.certificates_pem([CERTIFICATE]), "certificate"),
            (KEY.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"x")), "passphrase"),
            (KEY.private_bytes(PEM, PKCS1, serialization.BestAvailableEncryption(b"x")), "passphrase"),
            (KEY.private_bytes(DER, PKCS8, serialization.BestAvailableEncryption(b"x")), "passphrase"),
            (SHORT.private_bytes(PEM, PKCS8, PLAIN), "shorter"),
            (ELLIPTIC.private_bytes(PEM, PKCS8, PLAIN), "not a usable"),
        ],
    )
    def test_what_is_wrong_is_named(self, data: str | bytes, words: str) -> None:
        with pytest.raises(KeyProblem, match=words) as caught:
            keys.parse_private_key(data)
        assert caught.value.label.zh


class TestPublicKey:
    @pytest.mark.parametrize("data", PUBLIC_FORMS, ids=range(len(PUBLIC_FORMS)))
    def test_every_form_gives_the_key(self, data: str | bytes) -> None:
        assert keys.is_pair(KEY, keys.parse_public_key(data))

    def test_stored_form(self) -> None:
        stored = keys.public_key_pem(keys.parse_public_key(public(DER, PUBLIC_PKCS1)))
        assert stored == public(PEM, SPKI).decode()

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            ("", "not a usable"),
            ("x", "not a usable"),
            (private(PEM, PKCS8), "private key"),
            (base64.b64encode(private(DER, PKCS1)), "private key"),
            (private(DER, PKCS8), "private key"),
            (keys.certificates_pem([CERTIFICATE]), "certificate"),
            (SHORT.public_key().public_bytes(PEM, SPKI), "shorter"),
            (ELLIPTIC.public_key().public_bytes(PEM, SPKI), "not a usable"),
        ],
    )
    def test_what_is_wrong_is_named(self, data: str | bytes, words: str) -> None:
        with pytest.raises(KeyProblem, match=words):
            keys.parse_public_key(data)


class TestCertificates:
    @pytest.mark.parametrize("data", forms(CERTIFICATE.public_bytes(PEM), CERTIFICATE.public_bytes(DER)), ids=range(12))
    def test_every_form(self, data: str | bytes) -> None:
        assert keys.parse_certificates(data) == [CERTIFICATE]

    def test_several_keep_their_order(self) -> None:
        found = [certificate(), certificate(), certificate()]
        assert keys.parse_certificates(keys.certificates_pem(found)) == found

    @pytest.mark.parametrize("data", ["", "x", private(PEM, PKCS8), public(DER, SPKI), b"\x30\x03\x02\x01\x01"])
    def test_anything_else(self, data: str | bytes) -> None:
        with pytest.raises(KeyProblem):
            keys.parse_certificates(data)

    def test_one_damaged_rsa_certificate_spoils_the_bundle(self) -> None:
        der = CERTIFICATE.public_bytes(DER)[:-20]
        block = base64.b64encode(der).decode()
        damaged = f"-----BEGIN CERTIFICATE-----\n{block}\n-----END CERTIFICATE-----\n"
        with pytest.raises(KeyProblem):
            keys.parse_certificates(damaged + keys.certificates_pem([CERTIFICATE]))

    def test_validity_has_sharp_ends(self) -> None:
        found = certificate(days=(0, 1))
        keys.check_validity(found, NOW)
        keys.check_validity(found, NOW + timedelta(days=1, seconds=-1))
        with pytest.raises(KeyProblem, match="expired on 2026-11-21"):
            keys.check_validity(found, NOW + timedelta(days=1))
        with pytest.raises(KeyProblem, match="only from 2026-11-20"):
            keys.check_validity(found, NOW - timedelta(seconds=1))


class TestSigning:
    def test_both_ways(self) -> None:
        signature = keys.sign_sha256(KEY, "物业".encode())
        assert keys.verify_sha256(KEY.public_key(), signature, "物业".encode())
        assert not keys.verify_sha256(KEY.public_key(), signature, b"x")
        assert not keys.verify_sha256(SHORT.public_key(), signature, "物业".encode())

    @pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.MD5(), hashes.SHA512()])
    def test_other_digests_do_not_count(self, algorithm: hashes.HashAlgorithm) -> None:
        signature = base64.b64encode(KEY.sign(b"x", padding.PKCS1v15(), algorithm)).decode()
        assert not keys.verify_sha256(KEY.public_key(), signature, b"x")

    @given(st.text(max_size=50))
    def test_any_text_for_a_signature_is_simply_false(self, text: str) -> None:
        assert not keys.verify_sha256(KEY.public_key(), text, b"x")


_damaged = st.sampled_from([private(DER, PKCS8), private(DER, PKCS1), public(DER, SPKI), CERTIFICATE.public_bytes(DER)])


@st.composite
def almost_der(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(_damaged))
    for _change in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))])


def _pem(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode()}\n-----END {label}-----"


_labels = st.sampled_from(
    ["PRIVATE KEY", "RSA PRIVATE KEY", "PUBLIC KEY", "CERTIFICATE", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "X"]
)
_anything = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200),
    almost_der(),
    almost_der().map(lambda d: base64.b64encode(d).decode()),
    st.builds(_pem, _labels, almost_der()),
    st.builds(lambda a, b: _pem("CERTIFICATE", a) + _pem("CERTIFICATE", b), almost_der(), almost_der()),
)


@given(_anything)
def test_nothing_but_a_key_problem_is_ever_raised(data: str | bytes) -> None:
    for parse in (keys.parse_private_key, keys.parse_public_key, keys.parse_certificates):
        with suppress(KeyProblem):
            assert parse(data)
