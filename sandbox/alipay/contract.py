"""Signing a contract with Alipay: key mode, or certificate mode with a certificate tree like Alipay's."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox import keys
from sandbox.book import random_digits
from sandbox.channel import Contract

_ALIPAY = "Ant Financial"
_UNIT = "Certification Authority"


def sign_contract(*, mode: str, base_url: str) -> Contract:
    app_id = "2021" + random_digits(12)
    app_key, alipay_key = keys.new_rsa(), keys.new_rsa()
    config = {
        "gateway_url": f"{base_url}/gateway.do",
        "oauth_url": f"{base_url}/oauth2/publicAppAuthorize.htm",
        "app_id": app_id,
        "seller_id": "2088" + random_digits(12),
        "key_mode": mode,
        "deduct_sign_scene": "INDUSTRY|PROPERTY",
        "app_private_key": keys.private_pem(app_key),
    }
    secrets = {"private_key": keys.private_pem(alipay_key), "app_public_key": keys.public_pem(app_key)}
    if mode == "key":
        config["alipay_public_key"] = keys.public_pem(alipay_key)
        return Contract(app_id, config, secrets)
    roots_pem, authority = _authorities()
    app_cert = keys.leaf(keys.x509_name(f"{config['seller_id']}-{app_id}", "Sandbox Merchant", "Alipay"),
                         app_key, authority)  # fmt: skip
    company = "支付宝(中国)网络技术有限公司"
    alipay_name = keys.x509_name(f"{company}-{config['seller_id']}", company, "Alipay")
    alipay_cert = keys.leaf(alipay_name, alipay_key, authority)
    # Alipay's downloads hold the leaf first, then the authority that issued it.
    chain = keys.certificate_pem(authority.certificate)
    config["app_cert"] = keys.certificate_pem(app_cert)
    config["alipay_cert"] = keys.certificate_pem(alipay_cert) + chain
    config["alipay_root_cert"] = roots_pem
    secrets |= {
        "app_cert_sn": keys.alipay_sn([app_cert]),
        "alipay_cert_sn": keys.alipay_sn([alipay_cert]),
        "root_cert_sn": keys.alipay_sn(x509.load_pem_x509_certificates(roots_pem.encode())),
        "alipay_cert": config["alipay_cert"],
    }
    return Contract(app_id, config, secrets)


def _authorities() -> tuple[str, keys.Authority]:
    """(the root file, the authority that issues). The file also holds an elliptic-curve root,
    as Alipay's does, which the certificate number must skip."""
    root = keys.authority(keys.x509_name(f"{_ALIPAY} Certification Authority R1", _ALIPAY, _UNIT))
    curve = keys.authority(
        keys.x509_name(f"{_ALIPAY} Certification Authority E1", _ALIPAY, _UNIT),
        key=ec.generate_private_key(ec.SECP256R1()),
    )
    second = keys.authority(keys.x509_name(f"{_ALIPAY} Certification Authority R2", _ALIPAY, _UNIT))
    issuing = keys.authority(
        keys.x509_name(f"{_ALIPAY} Certification Authority Class 2 R1", _ALIPAY, _UNIT), issuer=root
    )
    held = [curve, root, second]
    # One empty line between certificates, as in Alipay's file: SDKs split it there.
    return "\n".join(keys.certificate_pem(a.certificate) for a in held), issuing
