"""Certificate mode: names as Alipay computes them, the chain, and a whole payment over it."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import NameOID

from channels.alipay.certificates import certificate_sn, check_chain, root_sn, rsa_key
from channels.base import OrderRef, PaymentState, keys
from channels.base.keys import KeyProblem
from paycenter.errors import ChannelConfigInvalid, UnknownOutcome
from tests.channels.alipay.conftest import NOW, make_provider
from tests.channels.alipay.wire import APP_ID, SELLER_ID, GatewayServer, answer, request_is_signed_by

ALIPAY_DN = {"C": "CN", "O": "Ant Financial", "OU": "Certification Authority"}


def name(**parts: str) -> x509.Name:
    oids = {"C": NameOID.COUNTRY_NAME, "O": NameOID.ORGANIZATION_NAME,
            "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "CN": NameOID.COMMON_NAME}  # fmt: skip
    return x509.Name([x509.NameAttribute(oids[k], v) for k, v in parts.items()])


def issue(
    subject: x509.Name, key: Any, issuer: x509.Name, issuer_key: Any, *,
    ca: bool = False, serial: int | None = None, days: tuple[int, int] = (-100, 1000),
) -> x509.Certificate:  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


class Authority:
    """A root, an authority below it, and whatever is issued by that."""

    def __init__(self) -> None:
        self.root_key = rsa.generate_private_key(65537, 2048)
        self.middle_key = rsa.generate_private_key(65537, 2048)
        self.root_name, self.middle_name = name(**ALIPAY_DN, CN="Root R1"), name(**ALIPAY_DN, CN="Class 2 R1")
        self.root = issue(self.root_name, self.root_key, self.root_name, self.root_key, ca=True)
        self.middle = issue(self.middle_name, self.middle_key, self.root_name, self.root_key, ca=True)
        ecc_key = ec.generate_private_key(ec.SECP384R1())
        ecc_name = name(**ALIPAY_DN, CN="Root E1")
        self.ecc_root = issue(ecc_name, ecc_key, ecc_name, ecc_key, ca=True)

    def leaf(self, key: Any, **more: Any) -> x509.Certificate:
        return issue(name(C="CN", O="物业", CN="leaf"), key, self.middle_name, self.middle_key, **more)

    @property
    def roots(self) -> list[x509.Certificate]:
        return [self.ecc_root, self.root]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def raw_certificates(
    authority: Authority, app_key: RSAPrivateKey, alipay_key: RSAPrivateKey, gateway: GatewayServer
) -> dict[str, Any]:
    return {
        "app_id": APP_ID, "seller_id": SELLER_ID, "key_mode": "certificate", "gateway_url": gateway.url,
        "app_private_key": keys.private_key_pem(app_key),
        "app_cert": keys.certificates_pem([authority.leaf(app_key)]),
        "alipay_cert": keys.certificates_pem([authority.leaf(alipay_key), authority.middle]),
        "alipay_root_cert": keys.certificates_pem(authority.roots),
    }  # fmt: skip


class TestNames:
    # Issuers and serial numbers of the two RSA roots in Alipay's alipayRootCert.crt, and its published name.
    def test_known_root_names(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        ant = name(**ALIPAY_DN, CN="Ant Financial Certification Authority R1")
        itrus = name(C="CN", O="iTrusChina", OU="China Trust Network", CN="iTrusChina Class 2 Root CA - G3")
        ecc = ec.generate_private_key(ec.SECP384R1())
        found = [
            issue(ant, key, ant, key, serial=2292228364100439313),
            issue(ant, ecc, ant, ecc, serial=4),
            issue(itrus, key, itrus, key, serial=95790491425698859646659490580052089075020051350),
        ]
        assert root_sn(found) == "687b59193f3f462dd5336e5abf83c5d8_02941eef3187dddf3d3b83462e1dfcf6"

    def test_issuer_text_is_not_escaped(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        odd = name(C="CN", O="A, B + C", CN='x"y')
        found = certificate_sn(issue(odd, key, odd, key, serial=7))
        # MD5 of `CN=x"y,O=A, B + C,C=CN7`
        assert found == "ad519b0743b50694c1b27dec13a7763c"

    def test_no_rsa_root_gives_no_name(self, authority: Authority) -> None:
        assert root_sn([authority.ecc_root]) == ""

    def test_only_rsa_certificates_hold_a_usable_key(self, authority: Authority) -> None:
        with pytest.raises(KeyProblem):
            rsa_key(authority.ecc_root)
        with pytest.raises(KeyProblem):
            rsa_key(authority.leaf(rsa.generate_private_key(65537, 1024)))


class TestChain:
    def test_over_the_authority_in_the_file(self, authority: Authority, alipay_key: RSAPrivateKey) -> None:
        check_chain([authority.leaf(alipay_key), authority.middle], authority.roots, NOW)

    def test_over_an_authority_in_the_root_file(self, authority: Authority, alipay_key: RSAPrivateKey) -> None:
        check_chain([authority.leaf(alipay_key)], [*authority.roots, authority.middle], NOW)

    def test_missing_authority(self, authority: Authority, alipay_key: RSAPrivateKey) -> None:
        with pytest.raises(KeyProblem, match="not issued below"):
            check_chain([authority.leaf(alipay_key)], authority.roots, NOW)

    def test_another_root_of_the_same_name(self, authority: Authority, alipay_key: RSAPrivateKey) -> None:
        with pytest.raises(KeyProblem, match="not issued below"):
            check_chain([authority.leaf(alipay_key), authority.middle], [Authority().root], NOW)

    def test_a_leaf_cannot_issue(self, authority: Authority, alipay_key: RSAPrivateKey) -> None:
        merchant_key = rsa.generate_private_key(65537, 2048)
        merchant = authority.leaf(merchant_key)
        forged = issue(name(CN="forged"), alipay_key, merchant.subject, merchant_key)
        with pytest.raises(KeyProblem, match="not issued below"):
            check_chain([forged, merchant, authority.middle], authority.roots, NOW)

    def test_expired_on_the_way(self, authority: Authority, alipay_key: RSAPrivateKey) -> None:
        old = issue(
            authority.middle_name, authority.middle_key, authority.root_name, authority.root_key,
            ca=True, days=(-100, -1),
        )  # fmt: skip
        with pytest.raises(KeyProblem, match="expired"):
            check_chain([authority.leaf(alipay_key), old], authority.roots, NOW)

    def test_circles_end(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        a, b = name(CN="a"), name(CN="b")
        ab, ba = issue(a, key, b, key, ca=True), issue(b, key, a, key, ca=True)
        with pytest.raises(KeyProblem):
            check_chain([ab, ba], [Authority().root], NOW)


class TestAccount:
    def test_requests_name_both_certificates(
        self, raw_certificates: dict[str, Any], authority: Authority, app_key: RSAPrivateKey
    ) -> None:
        sent = make_provider(raw_certificates).gateway.signed("m", {"a": 1})
        app = keys.parse_certificates(raw_certificates["app_cert"])[0]
        assert sent["app_cert_sn"] == certificate_sn(app)
        assert sent["alipay_root_cert_sn"] == certificate_sn(authority.root)
        assert request_is_signed_by(app_key.public_key(), sent)

    def test_answers_are_checked_with_the_certificates_key(
        self, raw_certificates: dict[str, Any], gateway: GatewayServer, order: OrderRef,
        alipay_key: RSAPrivateKey, other_key: RSAPrivateKey,
    ) -> None:  # fmt: skip
        provider = make_provider(raw_certificates)
        inner = json.dumps({"code": "10000", "out_trade_no": order.order_no, "trade_status": "WAIT_BUYER_PAY"})
        sn = certificate_sn(keys.parse_certificates(raw_certificates["alipay_cert"])[0])
        gateway.reply = lambda p: answer(p["method"], inner, alipay_key, alipay_cert_sn=sn)
        assert provider.query(order).state is PaymentState.UNPAID
        gateway.reply = lambda p: answer(p["method"], inner, other_key, alipay_cert_sn=sn)
        with pytest.raises(UnknownOutcome, match="signature"):
            provider.query(order)

    def test_another_certificate_is_named(
        self, raw_certificates: dict[str, Any], gateway: GatewayServer, order: OrderRef, alipay_key: RSAPrivateKey
    ) -> None:
        gateway.reply = lambda p: answer(p["method"], '{"code":"10000"}', alipay_key, alipay_cert_sn="0" * 32)
        with pytest.raises(UnknownOutcome, match="another certificate"):
            make_provider(raw_certificates).query(order)
        assert len(gateway.received) == 1

    def test_stored_form_drops_what_key_mode_needs(self, raw_certificates: dict[str, Any]) -> None:
        provider = make_provider({**raw_certificates, "alipay_public_key": "left over"})
        assert "alipay_public_key" not in provider.config
        assert provider.config["alipay_cert"].count("BEGIN CERTIFICATE") == 2

    @pytest.mark.parametrize("field", ["app_cert", "alipay_cert", "alipay_root_cert"])
    def test_each_file_is_required(self, raw_certificates: dict[str, Any], field: str) -> None:
        with pytest.raises(ChannelConfigInvalid) as caught:
            make_provider({**raw_certificates, field: ""})
        assert list(caught.value.problems) == [field]

    def test_app_certificate_of_another_key(
        self, raw_certificates: dict[str, Any], authority: Authority, other_key: RSAPrivateKey
    ) -> None:
        raw = {**raw_certificates, "app_cert": keys.certificates_pem([authority.leaf(other_key)])}
        with pytest.raises(ChannelConfigInvalid) as caught:
            make_provider(raw)
        assert "一对" in caught.value.problems["app_cert"][0].zh
        assert list(caught.value.problems) == ["app_cert"]

    def test_own_certificate_in_alipays_place(self, raw_certificates: dict[str, Any]) -> None:
        with pytest.raises(ChannelConfigInvalid) as caught:
            make_provider({**raw_certificates, "alipay_cert": raw_certificates["app_cert"]})
        assert "应用公钥证书" in caught.value.problems["alipay_cert"][0].zh

    @pytest.mark.parametrize("field", ["app_cert", "alipay_cert"])
    def test_expired(
        self, raw_certificates: dict[str, Any], authority: Authority, field: str,
        app_key: RSAPrivateKey, alipay_key: RSAPrivateKey,
    ) -> None:  # fmt: skip
        key = app_key if field == "app_cert" else alipay_key
        old = keys.certificates_pem([authority.leaf(key, days=(-100, -1)), authority.middle])
        with pytest.raises(ChannelConfigInvalid) as caught:
            make_provider({**raw_certificates, field: old})
        assert "2026-11-19" in caught.value.problems[field][0].zh
        assert list(caught.value.problems) == [field]

    def test_chain_to_another_root(self, raw_certificates: dict[str, Any]) -> None:
        raw = {**raw_certificates, "alipay_root_cert": keys.certificates_pem([Authority().root])}
        with pytest.raises(ChannelConfigInvalid) as caught:
            make_provider(raw)
        assert "根证书" in caught.value.problems["alipay_cert"][0].zh

    def test_root_file_without_rsa(self, raw_certificates: dict[str, Any], authority: Authority) -> None:
        raw = {**raw_certificates, "alipay_root_cert": keys.certificates_pem([authority.ecc_root])}
        with pytest.raises(ChannelConfigInvalid) as caught:
            make_provider(raw)
        assert "alipay_root_cert" in caught.value.problems


def test_root_file_as_downloaded_keeps_its_readable_certificates(authority: Authority) -> None:
    """The ECC root in Alipay's file spells `ecdsa-with-SHA384` with a NULL parameter, which parsers refuse."""
    der = authority.ecc_root.public_bytes(serialization.Encoding.DER)
    broken = der.replace(bytes.fromhex("06082a8648ce3d0403"), bytes.fromhex("06082a8648ce3d04ff"))
    assert broken != der
    text = keys.certificates_pem([authority.root])
    unreadable = "-----BEGIN CERTIFICATE-----\n" + _b64(broken[:-3]) + "\n-----END CERTIFICATE-----\n"
    assert keys.parse_certificates(unreadable + "\n" + text) == [authority.root]
    with pytest.raises(KeyProblem):
        keys.parse_certificates(unreadable)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
