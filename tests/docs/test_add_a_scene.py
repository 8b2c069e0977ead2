"""`docs/add-a-scene.md`, followed to the letter: its code goes into a copy of the channels and is used."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.layout import ROOT
from tests.docs.pages import blocks, page

# Runs beside the copy, as a developer's own process would.
_PROOF = """
import json, sys
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from cryptography.hazmat.primitives.asymmetric import rsa
import channels
from channels.base import PayOrder, keys
from channels.base.config import clean_config
from channels.base.discovery import method_for, provider_code_of, provider_for
from paycenter.egress import EgressPolicy
from paycenter.http import HttpClient
from paycenter.money import Money
from tests.channels.scene_contract import check_scene

code = sys.argv[1]
scene, owner = method_for(code), provider_for(provider_code_of(code))
check_scene(scene, owner)
ours, theirs = (rsa.generate_private_key(65537, 2048) for _ in range(2))
now = datetime.now(UTC)
config = clean_config(owner, {
    "app_id": "2021000000000001", "seller_id": "2088000000000001", "app_private_key": keys.private_key_pem(ours),
    "alipay_public_key": keys.public_key_pem(theirs.public_key()), "gateway_url": "https://alipay.example/gateway.do",
}, now)
result = owner(config, http=HttpClient(EgressPolicy())).pay(code, PayOrder(
    order_no="A0000000000000001", amount=Money(100, "CNY"), sent_at=now, expire_at=now + timedelta(minutes=30),
    subject="x", notify_url="https://center.example/n", return_url="https://center.example/r",
))
sent = {name: values[0] for name, values in parse_qs(urlsplit(result.instruction.url).query).items()}
print(json.dumps({"from": channels.__path__[0], "owner": owner.code, "type": scene.instruction, **sent}))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what a scene needs, with the page's file in the place the page names."""
    for folder in ("channels", "paycenter", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def _follow(copy: Path) -> str:
    (place,) = re.findall(r"^`(channels/[a-z_/]+\.py)`:$", page("docs/add-a-scene.md"), re.MULTILINE)
    (code,) = blocks("docs/add-a-scene.md", "python")
    assert not (copy / place).exists(), "the page adds a scene that is not there yet"
    (copy / place).write_text(code, encoding="utf-8")
    return Path(place).stem


def _run(copy: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)


def test_the_scene_is_found_checked_and_pays(copy):
    scene = _follow(copy)

    done = _run(copy, _PROOF, scene)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["from"] == str(copy / "channels")
    assert (found["owner"], found["type"]) == ("alipay", "redirect")
    assert found["method"] == "alipay.trade.page.pay"
    content = json.loads(found["biz_content"])
    assert (content["qr_pay_mode"], content["qrcode_width"], content["total_amount"]) == ("4", 200, "1.00")
    assert found["sign"]


def test_the_pages_look_shows_it(copy):
    scene = _follow(copy)
    (command,) = blocks("docs/add-a-scene.md", "sh")
    assert command.startswith(".venv/bin/python -c "), "what a reader types"

    done = _run(copy, command.split('"')[1])

    assert scene in done.stdout.split()


def test_without_the_file_there_is_no_such_scene(copy):
    done = _run(copy, _PROOF, "alipay_embedded_qr")

    assert done.returncode != 0
    assert "KeyError" in done.stderr


def test_the_page_is_right_about_the_limit():
    (code,) = blocks("docs/add-a-scene.md", "python")

    assert len(code.splitlines()) <= 30
