"""A page that is filled in is the page that the template draws."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.template.loader import render_to_string
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from cashier import drawing
from cashier.drawing import facts_of, order_context, order_shape, order_texts, sheet_of
from cashier.models import CashierOrder
from cashier.selectors import status_of
from merchants.models import App, Merchant
from trades.models import Trade

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
CHOICES = [
    {"code": "fake_qr", "name": "Fake <QR>", "hint": "Shows", "icon": "/static/x.svg", "unavailable": ""},
    {"code": "fake_page", "name": "Fake & page", "hint": "Goes", "icon": "/static/y.svg", "unavailable": "busy"},
]
# Whatever an app may send, above all what a page must escape and what looks like a slot.
texts = st.text(st.characters(codec="utf-8"), max_size=24) | st.sampled_from(
    ['<script>alert("1")</script>', "{{ amount }}", "&lt;", "SLOTX", drawing._MARK, f"{drawing._MARK}minorX", "it's"]
)


@st.composite
def orders(draw: Any) -> CashierOrder:
    app = App(app_id="A", cashier_layout=draw(st.sampled_from([{}, {"title": "T<i>"}, {"rows": ["b"]}])))
    merchant = Merchant(name=draw(texts), short_name=draw(texts), timezone=draw(st.sampled_from(["UTC", "Asia/Tokyo"])))
    trade = Trade(
        trade_no="P1", app=app, merchant=merchant, app_order_no=draw(texts), subject=draw(texts), state="waiting",
        amount=draw(st.integers(1, 10**12)), currency=draw(st.sampled_from(["CNY", "JPY", "KWD", "CHF"])),
        created_at=NOW - timedelta(seconds=draw(st.integers(0, 9000))),
        expire_at=NOW + timedelta(seconds=draw(st.integers(1, 9000))),
    )  # fmt: skip
    rows = draw(st.lists(st.tuples(texts, texts), max_size=4))
    return CashierOrder(trade=trade, token="t0ken_-", display=[{"label": a, "value": b} for a, b in rows])


@settings(deadline=None)  # whoever draws first loads the templates
@given(page=orders(), language=st.sampled_from(["en", "zh-hans"]), in_app=st.booleans(), count=st.integers(0, 2))
def test_filling_in_is_drawing(page: CashierOrder, language: str, in_app: bool, count: int) -> None:
    extra = {"choices": CHOICES[:count], "preselected": "fake_qr" if count else "", "in_app": in_app}
    with translation.override(language):
        status, facts = status_of(page.trade, NOW), facts_of(page)
        shape = order_shape(facts, page.trade.app, status.phase, language)
        given_texts = order_texts(facts, shape.layout, status, NOW)
        drawn = render_to_string("cashier/choose.html", {**order_context(shape, given_texts), **extra})
        for _again in range(2):
            sheet = sheet_of("cashier/choose.html", shape, (count, in_app), lambda: extra)
            assert sheet.filled(given_texts).decode() == drawn


def test_as_many_shapes_as_there_is_room_for_are_kept(monkeypatch: Any) -> None:
    monkeypatch.setattr(drawing, "_SHAPES", 3)
    monkeypatch.setattr(drawing, "_sheets", {})
    page = CashierOrder(
        trade=Trade(
            app=App(), merchant=Merchant(name="M", timezone="UTC"), app_order_no="1", subject="s", state="waiting",
            amount=1, currency="CNY", created_at=NOW, expire_at=NOW + timedelta(hours=1),
        ),
        token="t", display=[],
    )  # fmt: skip
    status, facts = status_of(page.trade, NOW), facts_of(page)
    for number in range(10):
        shape = order_shape(facts, App(cashier_layout={"title": f"M{number}"}), status.phase, "en")
        filled = sheet_of("cashier/choose.html", shape, (), dict).filled(order_texts(facts, shape.layout, status, NOW))
        assert f"M{number}".encode() in filled
        assert len(drawing._sheets) <= 3
