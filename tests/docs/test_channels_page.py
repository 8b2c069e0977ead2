"""`docs/channels/README.md`: its script, run as a reader would, without Django and against a real sandbox."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from channels.base.discovery import methods_of, providers
from deploy.demo.layout import ROOT
from sandbox.channel import channel_classes
from sandbox.context import Settings
from sandbox.store import Store
from tests.docs.pages import blocks, page
from tests.sandbox.running import Running, sign_contract

PAGE = "docs/channels/README.md"
# Scenes that need nothing of the payer; one of every channel.
SCENES = {
    "alipay": "alipay_qr", "wechat": "wechat_native", "unionpay": "unionpay_qr", "mpgs": "mpgs_checkout",
    "bank": "bank_pc",
}  # fmt: skip
_NO_DJANGO = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("django", "rest_framework", "celery"):
            raise ImportError(f"{name} was imported")

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("page-sandbox"), Settings())
    yield running
    running.stop()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (code,) = blocks(PAGE, "python")
    path = tmp_path / "pay.py"
    path.write_text(code, encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(_NO_DJANGO, encoding="utf-8")
    return path


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With the project on the path and no settings of Django's; importing Django fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "PYTHON", "PAYCENTER_"))}
    environment = {**kept, "PYTHONPATH": os.pathsep.join((str(script.parent), str(ROOT)))}
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, env=environment, cwd=script.parent, capture_output=True, text=True, timeout=60,
                          check=False)  # fmt: skip


@pytest.mark.parametrize("channel", sorted(providers()))
def test_the_script_pays_with_every_channel(script: Path, sandbox: Running, channel: str) -> None:
    assert channel in SCENES, "name one of its scenes above"
    mode = "public_key" if channel == "wechat" else channel_classes()[channel].modes[0]
    store = Store(sandbox._state)
    signed = sign_contract(store, channel, mode=mode, base_url=sandbox.url)
    store.close()
    parameters = script.parent / "parameters.json"
    parameters.write_text(json.dumps(dict(signed.config)), encoding="utf-8")

    done = run(script, channel, SCENES[channel], str(parameters))

    assert done.returncode == 0, done.stderr
    check, pay, query = done.stdout.splitlines()
    assert check.startswith("check: ")
    assert re.match(r"pay: Initiated\(instruction=(QrCode|Redirect|Form)\(", pay)
    assert query in ("query: unpaid", "query: not_found")


def test_importing_django_would_have_been_noticed(script: Path) -> None:
    script.write_text("import django", encoding="utf-8")
    assert "django was imported" in run(script).stderr


def test_the_table_names_every_channel() -> None:
    named = set(re.findall(r"^\| [^|]+ \| `channels/(\w+)` \|", page(PAGE), re.MULTILINE))
    assert named == set(providers())
    assert all(methods_of(channel) for channel in named)


def test_the_commands_parse() -> None:
    """Everything but the waiting: `--help` of the same commands knows the same options."""
    (commands,) = blocks(PAGE, "sh")
    for command in ("serve", "issue"):
        known = subprocess.run(
            [sys.executable, "-m", "sandbox", command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        (line,) = [line for line in commands.splitlines() if f"sandbox {command} " in line]
        assert all(option in known for option in re.findall(r"--[a-z-]+", line))
