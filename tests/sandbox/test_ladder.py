"""Notifications owed: the provider's own schedule, an unchanged id, fresh times, kept over a restart."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

from sandbox.context import Settings
from tests.sandbox.clients import AlipayMerchant, WeChatMerchant
from tests.sandbox.conftest import SPEED
from tests.sandbox.running import Merchant, Running

# 4 min, 10 min, 10 min at the tests' speed.
ALIPAY_GAPS = [240 / SPEED, 600 / SPEED, 600 / SPEED]


def test_alipay_is_sent_again_on_its_own_schedule_until_success(
    sandbox: Running, alipay: AlipayMerchant, merchant: Merchant
) -> None:
    merchant.answer = (200, b"success\n")  # not exactly the seven bytes
    alipay.precreate("A1")
    sandbox.control("POST", "/pay", {"attempt_no": "A1"})
    merchant.wait(3)
    merchant.answer = (200, b"success")
    told = merchant.wait(4)
    time.sleep(1.0)
    assert len(told) == 4, "it went on after the acknowledgement"
    gaps = [b.at - a.at for a, b in itertools.pairwise(told)]
    for gap, expected in zip(gaps, ALIPAY_GAPS, strict=True):
        assert expected <= gap + 0.02 < expected + 0.4
    fields = [alipay.notice(t)[0] for t in told]
    assert all(alipay.notice(t)[1] for t in told)
    assert len({f["notify_id"] for f in fields}) == 1
    assert fields[-1]["notify_time"] >= fields[0]["notify_time"]
    sends = sandbox.control("GET", "/payments/A1").json["notifications"]
    assert [s["body"] for s in sends] == ["success\n"] * 3 + ["success"]


def test_wechat_accepts_200_and_204_only_and_seals_every_try_anew(
    sandbox: Running, wechat: WeChatMerchant, merchant: Merchant
) -> None:
    merchant.answer = (500, b'{"code":"FAIL","message":"x"}')
    wechat.native("W00001")
    sandbox.control("POST", "/pay", {"attempt_no": "W00001"})
    merchant.wait(2)
    merchant.answer = (204, b"")
    told = merchant.wait(3)
    time.sleep(0.3)
    assert len(told) == 3
    bodies = [json.loads(t.body) for t in told]
    assert len({b["id"] for b in bodies}) == 1
    assert len({b["resource"]["nonce"] for b in bodies}) == 3
    assert len({t.headers["wechatpay-nonce"] for t in told}) == 3
    assert all(wechat.notice(t)[1] for t in told)


def test_a_redirect_is_no_acknowledgement_and_not_followed(
    sandbox: Running, wechat: WeChatMerchant, merchant: Merchant
) -> None:
    merchant.answer = (302, b"")
    wechat.native("W00002")
    sandbox.control("POST", "/pay", {"attempt_no": "W00002"})
    merchant.wait(2)
    assert {t.path for t in merchant.told} == {"/notify/wechat"}


def test_what_is_owed_is_sent_after_a_restart(
    state: Path, contracts: dict[str, dict[str, str]], merchant: Merchant
) -> None:
    slow = Settings(ladder_speed=20.0)  # the first retry after 12 seconds
    first = Running(state, slow)
    merchant.answer = (500, b"")
    AlipayMerchant(first, contracts["alipay"], f"{merchant.url}/n").precreate("A2")
    first.control("POST", "/pay", {"attempt_no": "A2"})
    merchant.wait(1)
    deadline = time.monotonic() + 5
    while not first.control("GET", "/payments/A2").json["notifications"] and time.monotonic() < deadline:
        time.sleep(0.01)
    first.stop()
    time.sleep(0.3)
    assert len(merchant.told) == 1
    merchant.answer = (200, b"success")
    later = Running(state, slow, clock=lambda: time.time() + 13)
    try:
        told = merchant.wait(2, seconds=3)
        again = AlipayMerchant(later, contracts["alipay"])
        assert again.notice(told[1])[1]
        assert again.notice(told[1])[0]["notify_id"] == again.notice(told[0])[0]["notify_id"]
        assert later.control("GET", "/payments/A2").json["state"] == "paid"
    finally:
        later.stop()


def test_gives_up_at_the_end_of_the_ladder(
    state: Path, contracts: dict[str, dict[str, str]], merchant: Merchant
) -> None:
    fast = Running(state, Settings(ladder_speed=1e6))
    try:
        merchant.answer = (500, b"")
        AlipayMerchant(fast, contracts["alipay"], f"{merchant.url}/n").precreate("A3")
        fast.control("POST", "/pay", {"attempt_no": "A3"})
        merchant.wait(8)
        time.sleep(0.5)
        assert len(merchant.told) == 8
    finally:
        fast.stop()
