"""Signing a contract: the file is what a merchant fills into its form, and nothing else can read it."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from sandbox.__main__ import main

ALIPAY = {"deduct_sign_scene", "gateway_url", "oauth_url", "app_id", "seller_id", "key_mode", "app_private_key"}
WECHAT = {
    "api_v2_key", "api_v3_key", "app_id", "app_secret", "base_url", "mch_id", "merchant_cert", "merchant_private_key",
    "oauth_authorize_url", "oauth_token_url", "papay_plan_id", "verify_mode",
}  # fmt: skip


def issue(tmp_path: Path, channel: str, *more: str) -> dict[str, str]:
    out = tmp_path / "made" / "contract.json"
    assert main(["issue", "--state", str(tmp_path / "state"), "--channel", channel, "--name", "测试物业",
                 "--out", str(out), *more]) == 0  # fmt: skip
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert not list(out.parent.glob("*.part"))
    return dict(json.loads(out.read_text()))


def is_pair(private_pem: str, public: object) -> bool:
    key = serialization.load_pem_private_key(private_pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert isinstance(public, rsa.RSAPublicKey)
    return key.key_size >= 2048 and key.public_key().public_numbers() == public.public_numbers()


def test_alipay_key_mode(tmp_path: Path) -> None:
    config = issue(tmp_path, "alipay", "--base-url", "http://127.0.0.1:9001/")
    assert set(config) == ALIPAY | {"alipay_public_key"}
    assert config["gateway_url"] == "http://127.0.0.1:9001/gateway.do"
    assert config["oauth_url"] == "http://127.0.0.1:9001/oauth2/publicAppAuthorize.htm"
    assert re.fullmatch(r"\d{16}", config["app_id"])
    assert re.fullmatch(r"2088\d{12}", config["seller_id"])
    alipays = serialization.load_pem_public_key(config["alipay_public_key"].encode())
    assert not is_pair(config["app_private_key"], alipays)


def test_alipay_certificate_mode_has_a_chain_and_a_root_file_with_an_ecc_root(tmp_path: Path) -> None:
    config = issue(tmp_path, "alipay", "--mode", "certificate")
    assert set(config) == ALIPAY | {"app_cert", "alipay_cert", "alipay_root_cert"}
    app_cert = x509.load_pem_x509_certificate(config["app_cert"].encode())
    assert is_pair(config["app_private_key"], app_cert.public_key())
    leaf, issuing = x509.load_pem_x509_certificates(config["alipay_cert"].encode())
    roots = x509.load_pem_x509_certificates(config["alipay_root_cert"].encode())
    assert [isinstance(r.public_key(), ec.EllipticCurvePublicKey) for r in roots] == [True, False, False]
    for child, parent in ((leaf, issuing), (app_cert, issuing), (issuing, roots[1])):
        key = parent.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        assert child.issuer == parent.subject
        key.verify(child.signature, child.tbs_certificate_bytes, padding.PKCS1v15(), child.signature_hash_algorithm)


def test_wechat_in_both_modes(tmp_path: Path) -> None:
    certificate = issue(tmp_path, "wechat")
    assert set(certificate) == WECHAT
    public = issue(tmp_path, "wechat", "--mode", "public_key")
    assert set(public) == WECHAT | {"wechatpay_public_key_id", "wechatpay_public_key"}
    for config in (certificate, public):
        cert = x509.load_pem_x509_certificate(config["merchant_cert"].encode())
        assert is_pair(config["merchant_private_key"], cert.public_key())
        assert len(f"{cert.serial_number:X}") == 40
        assert re.fullmatch(r"\d{10}", config["mch_id"])
        assert re.fullmatch(r"wx[0-9a-f]{16}", config["app_id"])
        assert re.fullmatch(r"[0-9a-f]{32}", config["app_secret"])
        assert re.fullmatch(r"[0-9A-Za-z]{32}", config["api_v3_key"])
    assert (certificate["verify_mode"], public["verify_mode"]) == ("platform_certificate", "public_key")
    assert public["wechatpay_public_key_id"].startswith("PUB_KEY_ID_")


def test_the_state_is_private_and_holds_the_channels_own_keys_only_there(tmp_path: Path) -> None:
    issue(tmp_path, "alipay")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "sandbox.db").stat().st_mode) == 0o600


def test_a_mode_the_channel_does_not_have_is_refused_with_the_ones_it_has(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="platform_certificate, public_key"):
        issue(tmp_path, "wechat", "--mode", "key")


def test_an_unwritable_place_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "issue", "--state", str(tmp_path / "file" / "x"), "--channel", "alipay",
         "--name", "x", "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("sandbox: ")
    assert "Traceback" not in done.stderr
