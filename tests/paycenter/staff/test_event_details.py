"""What an event says besides before and after is a table of names and values, not JSON."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone, translation

import merchants.admin  # noqa: F401 - it registers names of channels, methods and states
import trades.admin  # noqa: F401 - so does it
from paycenter.models import Event
from paycenter.staff.event_details import data_of, details_of
from tests.fakes.staff import make_staff, signed_in

TOLD = {
    "trade_no": "T1", "amount": 12_850, "currency": "CNY", "paid_amount": 12_850, "refundable_amount": 0,
    "state": "paid", "paid_at": "2026-11-26T16:30:00+00:00", "channel": "alipay", "method": "alipay_qr",
    "attach": None, "detail": {"house": "3-1-502"}, "goods": [{"name": "parking"}, {"name": "water"}],
}  # fmt: skip


def test_the_record_as_the_app_sees_it_in_chinese() -> None:
    with translation.override("zh-hans"):
        rows = dict(data_of(Event(object_type="trade", data=TOLD)))
    assert rows["交易号"] == "T1"
    assert rows["金额"] == rows["已支付"] == "¥128.50"
    assert rows["可退金额"] == "¥0.00"
    assert rows["状态"] == "已支付"
    assert rows["支付时间"] == "2026-11-27 00:30:00"
    assert rows["渠道"] == "支付宝"
    assert rows["支付方式"] != "alipay_qr"
    assert not {"附加数据", "attach", "None"} & {*rows, *rows.values()}
    assert [value for name, value in rows.items() if "house" in name] == ["3-1-502"]
    assert {value for name, value in rows.items() if "goods" in name} == {"parking", "water"}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (Event(object_type="app", detail={"changed": ["notify_url", "allowed_ips"]}), "Default notification"),
        (Event(object_type="refund", detail={"route": "manual"}), "paid out by hand"),
        (Event(object_type="attempt", detail={"word": "unknown"}), "unknown"),
        (Event(object_type="user", detail={"role": "finance", "is_active": False}), "no"),
        (Event(object_type="x", detail={"of_the_app": "stays itself"}), "of_the_app"),
        (Event(object_type="x", detail=["no", "mapping"]), "no, mapping"),
    ],
)
def test_names_and_codes_in_words(event: Event, said: str) -> None:
    with translation.override("en"):
        shown = [text for row in details_of(event) for text in row]
    assert any(said.lower() in text.lower() for text in shown), shown


def test_before_and_after_and_the_trail_are_said_elsewhere() -> None:
    detail: dict[str, Any] = {"before": {"name": "a"}, "after": {"name": "b"}, "trail": {"address": "203.0.113.7"}}
    assert details_of(Event(object_type="app", detail=detail)) == []


@pytest.mark.django_db
def test_the_page_shows_names_first_and_json_behind_an_opening() -> None:
    event = Event.objects.create(
        type="trade.paid", object_type="trade", object_id=1, actor="system", data=TOLD, created_at=timezone.now()
    )
    page = signed_in(make_staff("auditor")).get(f"/admin/paycenter/event/{event.pk}/change/").content.decode()
    card = page.partition("What the app sees")[2]
    names, _opening, raw = card.partition('<details class="pc-raw">')
    assert "<dt>Trade number</dt><dd>T1</dd>" in names
    assert "{" not in names
    assert "&quot;trade_no&quot;: &quot;T1&quot;" in raw.partition("</details>")[0]
