"""The dashboards in a real browser: charts drawn, both widths, both colours, nothing serious for axe."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from dashboards.models import ChannelDay, PaymentDay
from tests.browser import chromium
from tests.browser.admin.conftest import Desk
from tests.conftest import World

pytestmark = pytest.mark.browser
METHODS = ("alipay_qr", "wechat_native", "wechat_jsapi", "unionpay_qr")
PLACES = ("dashboards/operations/", "dashboards/finance/", "dashboards/business/?merchant={number}")
_SHOTS = os.environ.get("PAYCENTER_SHOTS", "")


def two_months(world: World) -> None:
    """Believable sums of sixty days."""
    today = timezone.localdate()
    for ago in range(60):
        for at, method in enumerate(METHODS):
            weekend = 0.6 if (today - timedelta(days=ago)).weekday() > 4 else 1
            asked = int((340 - 70 * at) * weekend * (1 + 0.15 * math.sin(ago / 3 + at)))
            paid, amount = int(asked * (0.9 - 0.03 * at)), 12_850
            sums = {
                "created_count": asked, "created_amount": asked * amount, "paid_count": paid,
                "paid_amount": paid * amount, "asked_count": asked, "succeeded_count": paid,
                "failed_count": asked // 40, "unknown_count": asked // 90, "refund_count": asked // 50,
                "refund_amount": asked // 50 * amount, "fee": paid * 77, "answer_count": asked,
                "answer_us": asked * (180 + 90 * at) * 1000, "under_200": asked * 6 // 10, "under_500": asked * 3 // 10,
                "under_1000": asked // 12,
            }  # fmt: skip
            day = today - timedelta(days=ago)
            channel = method.partition("_")[0]
            ChannelDay.objects.create(day=day, channel=channel, method=method, currency="CNY", **sums)
            PaymentDay.objects.create(
                day=day, merchant=world.merchant, app_id=world.app.pk, account_id=world.account.pk, method=method,
                currency="CNY", **sums,
            )  # fmt: skip


def shoot(page: object, name: str) -> None:
    """Keep a picture to look at, where PAYCENTER_SHOTS names a folder."""
    if _SHOTS:
        page.screenshot(path=str(Path(_SHOTS) / f"{name}.png"), full_page=True)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light")])
def test_charts_are_drawn_and_every_chart_has_its_table(
    sit_down: Callable[..., Desk], committed_world: World, width: int, scheme: str
) -> None:
    two_months(committed_world)
    desk = sit_down("operator", viewport={"width": width, "height": 900}, color_scheme=scheme)
    for place in PLACES:
        page = desk.go(place.format(number=committed_world.merchant.merchant_no))
        shoot(page, f"{place.split('/')[1]}-{width}-{scheme}")
        charts = page.locator("canvas[data-chart]")
        assert charts.count() >= 2
        drawn = page.evaluate("[...document.querySelectorAll('canvas[data-chart]')].every(c => Chart.getChart(c))")
        assert drawn
        assert charts.count() == page.locator(".pc-chart-table table").count()
        assert all(charts.nth(n).get_attribute("aria-label") for n in range(charts.count()))
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 1, f"{place} is {wide}px wider than the screen"
    assert desk.complaints == []


def test_axe_finds_nothing_serious(sit_down: Callable[..., Desk], committed_world: World) -> None:
    two_months(committed_world)
    desk, source = sit_down("operator"), chromium.axe_source()
    for place in PLACES:
        page = desk.go(place.format(number=committed_world.merchant.merchant_no))
        page.evaluate(source)
        for _scheme in ("light", "dark"):
            found = page.evaluate(
                "axe.run('.pc', {resultTypes: ['violations']}).then(r => r.violations"
                ".filter(v => ['serious', 'critical'].includes(v.impact)).map(v => v.id + ' ' + v.nodes[0].html))"
            )
            assert found == [], place
            page.evaluate("document.documentElement.classList.add('dark')")


def test_an_empty_dashboard(sit_down: Callable[..., Desk], committed_world: World) -> None:
    desk = sit_down("operator", locale="zh-CN")
    for place in PLACES:
        page = desk.go(place.format(number=committed_world.merchant.merchant_no))
        shoot(page, f"{place.split('/')[1]}-empty")
        assert page.locator("canvas[data-chart]").count() == 0
    assert desk.complaints == []
