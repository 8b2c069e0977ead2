"""The refund pages in a real browser: keys, dialogs, bulk results; no width lost, no complaint, axe content."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from channels.base import RefundResult, RefundState
from refunds import approvals, payouts, retrying
from refunds.models import Refund, RefundPolicy
from refunds.services import RefundRequest, refund_request_by_app
from refunds.vouchers import VOUCHERS
from tests.browser import chromium
from tests.browser.admin.conftest import Desk
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff
from tests.refunds.paying import paid_trade, sweep

pytestmark = pytest.mark.browser
SitDown = Callable[..., Desk]
# Where somebody wants to look at the pages: every picture is also taken in Chinese, dark, and on a phone.
PICTURES = os.environ.get("PAYCENTER_PICTURES", "")
LIST = "refunds/refund/"


@pytest.fixture
def scene(committed_world: World, settings: Any, tmp_path: Path) -> dict[str, Refund]:
    """Refunds in the states a clerk meets, by name."""
    settings.VAR_DIR = tmp_path
    world = committed_world
    RefundPolicy.objects.create(
        app=world.app, merchant=world.merchant, automatic_up_to=1000, one_approval_up_to=500_000
    )
    ann, bob = (make_staff("finance", username=name) for name in ("ann", "bob"))
    found = {
        name: _ask(world, paid_trade(world, paid, subject=subject, payer={"phone": "13800004321"}), amount, reason)
        for name, paid, amount, subject, reason in (
            ("plain", 128_000, 64_000, "Property fee 2026, house 7-1-302", "tenant moved out in October"),
            ("large", 990_000, 900_000, "Parking space B2-117, yearly", "contract cancelled"),
            ("held", 30_000, 5_000, "Water, September", "read the wrong meter"),
            ("failed", 45_000, 20_000, "Electricity, September", "paid to the wrong house"),
            ("by_hand", 60_000, 60_000, "Decoration deposit", "deposit returned"),
        )
    }
    parts = paid_trade(world, 3_000, subject="Visitor parking", payer={"phone": "13911118888"})
    found["parts"] = [_ask(world, parts, amount, "double charged") for amount in (900, 900, 1100)][-1]
    approvals.refund_approve(refund=found["large"], user=ann, comment="contract seen")
    approvals.refund_hold(refund=found["held"], user=ann, comment="waiting for the owner's signature")
    approvals.refund_approve(refund=found["failed"], user=ann, comment="right")
    no_balance = RefundResult(state=RefundState.FAILED, refund_no="", code="NOT_ENOUGH", resendable=True,
                              message="the merchant's balance is too low")  # fmt: skip
    world.book.fault("refund", no_balance, no_balance, no_balance)
    sweep()
    retrying.refund_convert(refund=found["by_hand"], user=ann, route="manual", reason="card closed")
    approvals.refund_approve(refund=found["by_hand"], user=bob, comment="account checked")
    voucher = VOUCHERS.store(name="回单 2026.png", chunks=[b"\x89PNG\r\n\x1a\n" + b"0" * 64])
    payouts.payout_enter(
        refund=found["by_hand"], user=bob, reference="TT20261126-0007", paid_on=timezone.localdate(),
        payee={"name": "王小明", "account": "6222020200112233", "bank": "ICBC"}, voucher=voucher,
    )  # fmt: skip
    Refund.objects.filter(pk=found["plain"].pk).update(requested_at=timezone.now() - timedelta(days=2))
    return {name: fresh(refund) for name, refund in found.items()}


def _ask(world: World, trade: Any, amount: int, reason: str) -> Refund:
    request = RefundRequest(
        merchant_no=world.merchant.merchant_no, trade_no=trade.trade_no, amount=amount, reason=reason,
        app_refund_no=f"RF-{trade.trade_no[-7:]}-{amount}-{Refund.objects.count()}",
    )  # fmt: skip
    return refund_request_by_app(app=world.app, request=request)


def test_a_clerk_works_without_the_mouse(sit_down: SitDown, scene: dict[str, Refund]) -> None:
    desk = sit_down("finance")
    page = desk.go(LIST)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("x")
    assert page.locator("[data-pick]:checked").count() == 2
    page.keyboard.press("h")
    dialog = page.locator("dialog[open]")
    assert dialog.get_by_role("heading").inner_text() == "Put on hold"
    page.keyboard.type("asked the house manager, j x a r")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=What became of each")
    assert Refund.objects.filter(held_because="asked the house manager, j x a r").count() == 2
    assert desk.complaints == []


def test_the_keys_open_the_dialogs_of_the_page(sit_down: SitDown, scene: dict[str, Refund]) -> None:
    desk = sit_down("finance")
    page = desk.go(f"{LIST}{scene['plain'].pk}/change/")
    page.keyboard.press("a")
    page.keyboard.type("seen")
    page.locator("dialog[open]").get_by_role("button", name="Approve").click()
    page.wait_for_selector("text=Done.")
    assert fresh(scene["plain"]).state == "approved"
    assert desk.complaints == []


def test_a_double_click_decides_once(sit_down: SitDown, scene: dict[str, Refund]) -> None:
    desk = sit_down("finance")
    page = desk.go(f"{LIST}{scene['large'].pk}/change/")
    page.get_by_role("button", name="Approve").click()
    page.locator("dialog[open] textarea").fill("second look")
    page.locator("dialog[open]").get_by_role("button", name="Approve").dblclick()
    page.wait_for_selector("text=Done.")
    assert fresh(scene["large"]).state == "approved"
    assert scene["large"].approvals.count() == 2


def _pages(scene: dict[str, Refund]) -> dict[str, str]:
    trade = f"trades/trade/{scene['parts'].trade_id}/change/"
    return {
        "home": "", "list": LIST, "trade": trade, "payout": f"{LIST}{scene['plain'].pk}/amount/",
        **{name: f"{LIST}{refund.pk}/change/" for name, refund in scene.items()},
    }  # fmt: skip


@pytest.mark.parametrize("size", [(390, 844), (1440, 900)])
def test_pages_fit_and_axe_finds_nothing(sit_down: SitDown, scene: dict[str, Refund], size: tuple[int, int]) -> None:
    desk = sit_down("finance", viewport={"width": size[0], "height": size[1]})
    source = chromium.axe_source()
    for name, place in _pages(scene).items():
        _look(desk.go(place), name, source, size)
        if name == "plain":
            desk.page.get_by_role("button", name="Approve").click()
            _look(desk.page, "dialog", source, size)
    page = desk.go(LIST)
    page.locator("[data-pick-all]").click()
    _look(page, "list-picked", source, size)
    page.locator("[data-bulk-open='bulk-approve']").click()
    page.locator("dialog[open] textarea").fill("checked one by one")
    _look(page, "bulk-dialog", source, size)
    page.locator("dialog[open] button[type=submit]").click()
    page.wait_for_selector("text=What became of each")
    _look(page, "result", source, size)
    assert desk.complaints == []


def _look(page: Any, name: str, axe: str, size: tuple[int, int]) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 1, f"{name} is {wide}px wider than the screen"
    page.evaluate(axe)
    found = page.evaluate(
        "axe.run('.pc, #result_list', {resultTypes: ['violations']}).then(r => r.violations"
        ".map(v => v.id + ' ' + v.nodes[0].html))"
    )
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}-{size[0]}.png", full_page=True)
    assert found == [], name
