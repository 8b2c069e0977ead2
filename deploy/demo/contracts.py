"""Contracts with the sandbox's stand-ins: what a merchant would get from a provider by post."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from deploy.demo import private
from deploy.demo.client import answers
from deploy.demo.layout import HOST, ROOT, Layout, Trouble
from paycenter.numbers import new_short_number

# How the first and the second merchant sign: differently, so that both ways are seen at work.
MODES: Mapping[str, tuple[str, str]] = {
    "alipay": ("key", "certificate"),
    "wechat": ("public_key", "platform_certificate"),
}
SANDBOX_PATIENCE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Contract:
    """`payment_no` is agreed beforehand, so that both sides file bills under it."""

    payment_no: str
    config: Mapping[str, Any] = field(repr=False)


def sign(layout: Layout, merchant_no: str, channel: str, *, second: bool) -> Contract | None:
    """A new contract, or None where the sandbox has no such channel. Raises Trouble."""
    if not _stands_in(channel):
        return None
    payment_no = new_short_number("Z")
    folder = layout.var / "contracts"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{payment_no}.json"
    command = [
        sys.executable, "-m", "sandbox", "issue", "--state", str(layout.sandbox_state), "--channel", channel,
        "--name", merchant_no, "--payment-no", payment_no, "--base-url", layout.sandbox_url, "--out", str(path),
    ]  # fmt: skip
    if channel in MODES:
        command += ["--mode", MODES[channel][second]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    config = private.read_json(path)
    if done.returncode != 0 or not isinstance(config, dict):
        raise Trouble(f"The sandbox did not sign a contract for {channel}: {done.stderr.strip()[-400:]}")
    # The account keeps the keys, encrypted; a readable copy beside it would only be a leak.
    path.unlink()
    return Contract(payment_no, config)


def wait_for_sandbox(layout: Layout) -> None:
    """It starts at the same time as we do. Raises Trouble."""
    limit = time.monotonic() + SANDBOX_PATIENCE
    while not answers(f"{layout.sandbox_url}/healthz"):
        if time.monotonic() > limit:
            raise Trouble(f"The sandbox does not answer on {layout.sandbox_url}; its log is {layout.logs}/sandbox.log")
        time.sleep(0.1)


def _stands_in(channel: str) -> bool:
    return (ROOT / "sandbox" / channel / "channel.py").is_file()


def moved(config: Mapping[str, Any], sandbox_url: str) -> dict[str, Any]:
    """The whole configuration with its loopback addresses at the sandbox's present port; empty if they are."""
    changed = {
        name: f"{sandbox_url}{value[len(_origin(value)):]}" for name, value in config.items()
        if isinstance(value, str) and urlsplit(value).hostname == HOST and _origin(value) != sandbox_url
    }  # fmt: skip
    return {**config, **changed} if changed else {}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
