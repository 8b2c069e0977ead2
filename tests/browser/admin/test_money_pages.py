"""Stray money and refund policies in a real browser: dialogs, forms, no width lost, no complaint, axe content."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from merchants.models import ChangeRequest
from refunds.models import Refund, RefundPolicy
from refunds.policies import policy_change_request, policy_for, policy_values
from tests.browser import chromium
from tests.browser.admin.conftest import Desk
from tests.conftest import World
from tests.factories import fresh
from tests.fakes.staff import make_staff
from tests.refunds.paying import paid_trade, paid_twice
from tests.refunds.test_abnormal import late_money
from trades.accepting import acceptance_ask

pytestmark = pytest.mark.browser
SitDown = Callable[..., Desk]


def test_stray_money_goes_back_in_one_dialog(committed_world: World, sit_down: SitDown) -> None:
    _trade, row = paid_twice(committed_world, 800)
    desk = sit_down("finance")
    page = desk.go(f"trades/abnormalpayment/{row.pk}/change/")
    page.get_by_role("button", name="Refund ¥8.00").click()
    dialog = page.locator("dialog[open]")
    assert dialog.locator("input[name=amount]").input_value() == "8.00"
    dialog.get_by_role("button", name="Ask for the refund").click()  # the browser itself refuses without a reason
    assert not Refund.objects.exists()
    dialog.locator("input[name=amount]").fill("9")
    dialog.locator("input[name=reason]").fill("paid twice")
    dialog.get_by_role("button", name="Ask for the refund").click()
    page.wait_for_selector("text=At most ¥8.00.")
    page.locator("input[name=amount]").fill("8")
    page.get_by_role("button", name="Ask for the refund").click()
    page.wait_for_url("**/refunds/refund/*/change/")
    assert Refund.objects.get().amount == 800
    assert desk.complaints == []


def test_keeping_is_confirmed_by_another_person(committed_world: World, sit_down: SitDown) -> None:
    row = late_money(committed_world)
    acceptance_ask(abnormal=row, user=make_staff("finance", username="asker"), reason="the payer wants the order")
    desk = sit_down("finance")
    page = desk.go(f"trades/abnormalpayment/{row.pk}/change/")
    page.get_by_role("button", name="Confirm keeping it").click()
    dialog = page.locator("dialog[open]")
    assert "revives the order" in dialog.inner_text()
    dialog.locator("textarea").fill("spoke to the payer")
    dialog.get_by_role("button", name="Confirm keeping it").click()
    page.wait_for_selector("text=Kept, the order is paid")
    assert fresh(row.trade).state == "paid"
    assert desk.complaints == []


def test_a_policy_is_asked_for_in_money(committed_world: World, sit_down: SitDown) -> None:
    world = committed_world
    desk = sit_down("finance")
    page = desk.go(f"refunds/refundpolicy/pair/{world.app.pk}/{world.merchant.pk}/")
    page.get_by_role("link", name="Ask for a policy").click()
    page.locator("input[name=automatic_up_to]").fill("1,234.5")
    page.locator("input[name=reason]").fill("fewer small ones")
    page.get_by_role("button", name="Ask for confirmation").click()
    page.wait_for_selector("text=A change waits to be confirmed")
    assert ChangeRequest.objects.get().after["automatic_up_to"] == 123_450
    assert not RefundPolicy.objects.exists()
    assert desk.complaints == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_the_pages_fit_the_screen_and_axe_finds_nothing(
    committed_world: World, sit_down: SitDown, width: int, scheme: str
) -> None:
    source = chromium.axe_source()
    desk = sit_down("finance", viewport={"width": width, "height": 844}, color_scheme=scheme)
    found = {}
    for place in places(committed_world):
        page = desk.go(place)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 1, f"{place} is {wide}px wider than the screen"
        if not page.locator(".pc").count():
            continue  # the frame's own list
        page.evaluate(source)
        found[place] = page.evaluate(
            "axe.run('.pc', {resultTypes: ['violations']})"
            ".then(r => r.violations.map(v => v.id + ' ' + v.nodes[0].html))"
        )
    assert not any(found.values()), found
    assert desk.complaints == []


def places(world: World) -> list[str]:
    """Each page with something on it: a policy with a change that waits, money to keep, to give back, given back."""
    asker = make_staff("finance", username="asker")
    RefundPolicy.objects.create(app=world.app, merchant=world.merchant, automatic_up_to=1000)
    values = {**policy_values(policy_for(world.app, world.merchant, "JPY")), "automatic_up_to": 5000}
    change = policy_change_request(
        app=world.app, merchant=world.merchant, currency="JPY", values=values, user=asker, reason="yen"
    )
    late, paid = late_money(world), paid_trade(world, 99_900)
    acceptance_ask(abnormal=late, user=asker, reason="the payer wants the order")
    _trade, twice = paid_twice(world, 128_800)
    pair = f"refunds/refundpolicy/pair/{world.app.pk}/{world.merchant.pk}/"
    return [
        "refunds/refundpolicy/", pair, f"{pair}ask/", f"merchants/changerequest/{change.pk}/change/",
        "trades/abnormalpayment/", f"trades/abnormalpayment/{late.pk}/change/",
        f"trades/abnormalpayment/{twice.pk}/change/", f"trades/abnormalpayment/{twice.pk}/refund/",
        f"trades/trade/{paid.pk}/refund/", f"trades/trade/{paid.pk}/change/",
    ]  # fmt: skip
