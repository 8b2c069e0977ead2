"""What a dashboard's figure leads to is a list of exactly what the figure counts."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from django.contrib import admin
from django.http import HttpRequest, QueryDict
from django.utils import timezone

from dashboards.parts import Cell, Chart, Dashboard, Figure
from merchants.models import PaymentAccount, User
from paycenter.money import Money
from paycenter.staff.display import money
from paycenter.staff.keyset import KeysetPages
from paycenter.staff.tenancy import TenantAdmin
from paycenter.transitions import record_event
from refunds.models import Refund
from tests import factories
from tests.conftest import World
from tests.dashboards.test_pages import PAGES, keep, refund
from tests.fakes.staff import make_staff, signed_in
from tests.refunds.paying import confirm, paid_trade, paid_twice
from trades.models import Attempt, ChannelHealth, Trade
from trades.services import trade_pay

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
WORDY = "the list shows"


def at(day: date, text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.combine(day, time.fromisoformat(text), zone)


def moved(trade: Trade, opened: datetime, paid: datetime | None = None) -> Trade:
    """The trade as if it had been opened, and paid, at other times, its own numbers with it."""
    stamp = f"{opened.astimezone(UTC):%Y%m%d%H%M%S%f}"
    Trade.objects.filter(pk=trade.pk).update(trade_no=f"P{stamp}{trade.trade_no[-7:]}", created_at=opened)
    for attempt in Attempt.objects.filter(trade=trade):
        number = f"A{stamp}{attempt.attempt_no[-7:]}"
        Attempt.objects.filter(pk=attempt.pk).update(attempt_no=number, created_at=opened, sent_at=opened)
    if paid is not None:
        Trade.objects.filter(pk=trade.pk).update(paid_at=paid)
    return trade


def gone_back(trade: Trade, asked: datetime, ended: datetime) -> None:
    """A yuan of it, asked for and ended at these times."""
    row = refund(trade, 100, "processing")
    number = f"R-{trade.pk}"
    Refund.objects.filter(pk=row.pk).update(
        state="succeeded", requested_at=asked, finished_at=ended, refund_no=number, channel_request_no=number
    )
    record_event(row, "refund.succeeded", actor="test", from_state="processing", to_state="succeeded")


@pytest.fixture
def day() -> date:
    """The day that is looked at, neither today nor yesterday anywhere."""
    return timezone.localdate() - timedelta(days=9)


@pytest.fixture
def history(world: World, day: date) -> World:
    """Payments and refunds just before and after midnight, of merchants in two time zones, in two currencies."""
    before, after = day - timedelta(days=1), day + timedelta(days=1)
    elsewhere = factories.make_merchant(name="Elsewhere", timezone="America/New_York")
    world.app.appmerchant_set.create(merchant=elsewhere)
    there = World(world.book, elsewhere, world.app, factories.make_account(elsewhere, name="There"))
    moved(paid_trade(world, 101), at(before, "23:59:30"), at(day, "00:00:10"))
    moved(paid_trade(world, 1_000), at(before, "23:50:00"), at(before, "23:59:59.999999"))
    first = moved(paid_trade(world, 10_007), at(day, "00:00:00"), at(day, "00:00:00"))
    moved(paid_trade(world, 100_003), at(day, "23:59:59"), at(after, "00:00:00"))
    yen = trade_pay(app=world.app, order=there.order(amount=205, currency="JPY"), method="fake_page")
    confirm(yen, there)
    moved(Trade.objects.get(pk=yen.trade_id), at(day, "00:00:01", NEW_YORK), at(day, "23:59:59", NEW_YORK))
    second = moved(paid_trade(there, 2_050), at(day, "23:59:58", NEW_YORK), at(after, "00:00:01", NEW_YORK))
    long_ago = at(day - timedelta(days=60), "12:00:00")
    gone_back(first, long_ago, at(day, "00:00:02"))
    gone_back(second, at(day, "10:00:00"), at(after, "00:00:02", NEW_YORK))
    _by_the_older_attempt(world, day)
    _refused_unknown_and_overtaken(world, day)
    _waiting(world)
    keep()
    return world


def _by_the_older_attempt(world: World, day: date) -> None:
    """The method that paid is not the one that was tried last."""
    order = world.order(amount=500)
    paying = trade_pay(app=world.app, order=order, method="fake_page")
    trade_pay(app=world.app, order=order, method="fake_qr")
    confirm(paying, world)
    moved(Trade.objects.get(pk=paying.trade_id), at(day, "10:00:00"), at(day, "10:01:00"))


def _refused_unknown_and_overtaken(world: World, day: date) -> None:
    rows = []
    for word in ("failed", "failed", "unknown"):
        attempt = trade_pay(app=world.app, order=world.order(), method="fake_qr")
        Attempt.objects.filter(pk=attempt.pk).update(state=word, error_code="not_sent" if rows else "NO")
        record_event(attempt, f"attempt.{word}", actor="test", from_state="created", to_state=word)
        rows.append(moved(attempt.trade, at(day, "11:00:00")))


def _waiting(world: World) -> None:
    """What needs somebody now."""
    paid_twice(world, 700)
    PaymentAccount.objects.update(certificate_expires_at=timezone.now() + timedelta(days=3))
    factories.make_account(world.merchant, certificate_expires_at=timezone.now() + timedelta(days=300))
    ChannelHealth.objects.update_or_create(account=world.account, defaults={"opened_at": timezone.now()})
    ChannelHealth.objects.create(account=PaymentAccount.objects.get(name="There"))


def rows_at(user: User, link: str) -> list[Any]:
    """What the list shows there; it comes in pages by key if it grows."""
    address = urlsplit(link)
    app, model = address.path.removeprefix("/admin/").strip("/").split("/")
    page: Any = next(p for m, p in admin.site._registry.items() if m._meta.label_lower == f"{app}.{model}")
    request = HttpRequest()
    request.method, request.user, request.GET = "GET", user, QueryDict(address.query)
    changelist = page.get_changelist_instance(request)
    assert isinstance(changelist.paginator, KeysetPages) or not page.grows or "state=" in link, link
    return list(changelist.result_list)


def sum_of(rows: list[Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        minor = row.paid_amount if isinstance(row, Trade) else row.amount
        found[row.currency] = found.get(row.currency, 0) + minor
    return found


def wrong(user: User, title: str, shown: Figure | Cell) -> str:
    """How what is shown differs from the list that it leads to; "" where it does not."""
    if not shown.link or shown.link.startswith("#"):
        return ""
    rows = rows_at(user, shown.link)
    text = shown.value if isinstance(shown, Figure) else shown.text
    said = [text, *(re.findall(r"[\d,]+", shown.note) if isinstance(shown, Figure) else [])]
    if isinstance(shown, Figure) and WORDY in shown.note:
        right = [f"{len(rows):,}"] if "opened" in shown.note else said[:1]
        return "" if set(right) <= set(said) else f"{title}: {said} leads to {len(rows)}"
    if text.endswith("%"):
        whole = int(said[-1]) if len(said) > 1 else 0
        right = [f"{len(rows) * 100 / whole:.1f} %"] if whole else [text]
    elif text.isdecimal():
        right = [str(len(rows))]
    else:
        right = [money(minor, currency) for currency, minor in sum_of(rows).items()]
    return "" if right == [text] else f"{title}: {text} leads to {right} at {shown.link}"


def differences(user: User, dashboard: Dashboard) -> tuple[list[str], int]:
    """What leads to something else, and how many links there were."""
    found, links = [], 0
    for figure in (*dashboard.now, *dashboard.figures):
        found.append(wrong(user, figure.title, figure))
        links += bool(figure.link)
    for panel in dashboard.panels:
        for row in panel.rows:
            for head, cell in zip(panel.heads, row, strict=True):
                if cell.link and "/change/" not in cell.link and cell.numeric:
                    found.append(wrong(user, f"{panel.title}, {head}, {row[0].text}", cell))
                    links += 1
    return [each for each in found if each], links


def opened(user: User, page: str, query: str) -> Dashboard:
    response = signed_in(user).get(f"{PAGES[page]}?{query}")
    found: Dashboard = response.context["dashboard"]
    return found


@pytest.mark.parametrize(
    ("role", "page", "least"),
    [("operator", "operations", 20), ("finance", "finance", 15), ("merchant", "business", 15), ("app", "business", 15),
     ("service", "business", 15)],
)  # fmt: skip
def test_every_figure_leads_to_what_it_counts(
    history: World, day: date, role: str, page: str, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TenantAdmin, "list_per_page", 100)
    mine = {"merchant": {"merchant": history.merchant}, "app": {"app": history.app}}.get(role, {})
    user = make_staff(role, **mine)
    chosen = f"merchant={history.merchant.merchant_no}&"
    for query in (f"from={day}&to={day}", f"from={day - timedelta(days=1)}&to={day + timedelta(days=2)}"):
        found, links = differences(user, opened(user, page, f"{chosen}{query}"))
        assert not found, "\n".join(found)
        assert links >= least


def test_what_was_paid_on_a_day_is_of_the_merchants_own_day(history: World, day: date) -> None:
    user = make_staff("operator")
    dashboard = opened(user, "operations", f"from={day}&to={day}")
    paid = {figure.value for figure in dashboard.figures if figure.title == "Paid"}
    assert paid == {money(101 + 10_007 + 500, "CNY"), money(205, "JPY")}
    chart = next(panel for panel in dashboard.panels if isinstance(panel, Chart) and panel.id == "paid")
    assert str(chart.rows[0][1].plain) == Money(101 + 10_007 + 500, "CNY").major


def test_payments_of_a_day_come_in_pages_by_key(world: World, day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of their payments, two of which have the same time."""
    monkeypatch.setattr(TenantAdmin, "list_per_page", 2)
    times = ("09:00:00", "10:00:00", "10:00:00", "11:00:00")
    wanted = [moved(paid_trade(world, 100), at(day, "08:00:00"), at(day, time)).pk for time in times][::-1]
    client, shown, link = signed_in(make_staff("operator")), [], f"?paid_from={day}&paid_to={day}"
    while link:
        changelist = client.get(f"/admin/trades/trade/{link}").context["cl"]
        shown.append([row.pk for row in changelist.result_list])
        link = changelist.paginator.after
    assert shown == [wanted[:2], wanted[2:]]
