"""Samples recorded by others, so that our reading of AES-GCM is not only our own."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from channels.base.keys import parse_certificates
from channels.wechat.certificates import describe, encrypted_certificates
from channels.wechat.gateway import aead_decrypt
from tests.channels.wechat.standin import API_V3_KEY, seal

_FOLDER = os.environ.get("PAYCENTER_VECTORS")
recorded = pytest.mark.skipif(not _FOLDER, reason="PAYCENTER_VECTORS names no folder of recorded samples")


def sample(name: str) -> dict:
    return json.loads((Path(_FOLDER or "") / "wechat" / name).read_text(encoding="utf-8"))


@recorded
def test_the_official_go_cases_open():
    for case in sample("go_aead.json")["cases"]:
        assert aead_decrypt(case["key"].encode(), case).decode() == case["plaintext"]


@recorded
def test_the_official_go_cases_that_must_fail_do():
    cases = sample("go_aead.json")["must_fail"]
    assert len(cases) == 3
    for case in cases:
        with pytest.raises(ValueError):  # noqa: PT011
            aead_decrypt(case["key"].encode(), case)


@recorded
def test_the_official_java_answer_yields_its_certificate():
    recorded_answer = sample("java_certificates_response.json")
    (sealed,) = encrypted_certificates(json.dumps(recorded_answer["response"]).encode())
    opened = aead_decrypt(recorded_answer["apiv3_key"].encode(), sealed)
    found = describe(parse_certificates(opened)[0])
    assert found.serial == recorded_answer["expect_serial"]
    assert found.expires_at == datetime(2028, 9, 17, 15, 15, 58, tzinfo=UTC)
    assert found.pem.startswith("-----BEGIN CERTIFICATE-----")


def test_what_was_sealed_opens():
    assert aead_decrypt(API_V3_KEY.encode(), seal("费用".encode(), "transaction")).decode() == "费用"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"data": []}', b'{"data": 1}', b'{"data": [{}]}', b'{"data": [1]}', b"[" * 100_000,
     b'{"data": [{"encrypt_certificate": 1}]}'],
)  # fmt: skip
def test_an_answer_that_is_no_list_of_certificates_is_refused(body):
    with pytest.raises(ValueError):  # noqa: PT011
        encrypted_certificates(body)
