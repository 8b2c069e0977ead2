"""Bills that the channels really made, recorded by others."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from channels.alipay import bills as alipay
from channels.base import BillKind, BillRow, BillRowKind
from channels.base.bill_files import sha1_of_plain
from channels.wechat import bills as wechat
from paycenter.errors import BillRefused
from paycenter.money import Money

_FOLDER = os.environ.get("PAYCENTER_VECTORS")
pytestmark = pytest.mark.skipif(not _FOLDER, reason="PAYCENTER_VECTORS names no folder of recorded samples")
BILLS = Path(_FOLDER or "") / "bills"
PAYMENT, REFUND = BillRowKind.PAYMENT, BillRowKind.REFUND


def sums(rows: list[BillRow]) -> dict[BillRowKind, tuple[int, int]]:
    return {
        kind: (sum(r.kind is kind for r in rows), sum(r.amount.minor for r in rows if r.kind is kind))
        for kind in (PAYMENT, REFUND)
    }


def test_alipay_trade() -> None:
    path, day = BILLS / "alipay_trade_detail_20190916.gbk.csv", date(2019, 9, 16)
    rows = list(alipay.read(path, day=day, kind=BillKind.TRADE, seller_id="2088021109625633"))
    assert sums(rows) == {PAYMENT: (6, 6), REFUND: (4, 4)}
    assert rows[1] == BillRow(
        line=7, kind=REFUND, amount=Money(1), occurred_at=datetime(2019, 9, 16, 2, 56, 48, tzinfo=UTC),
        order_no="service_1568601259302", channel_trade_no="2019091622001458860515315453",
        refund_no="re_test_1568602607356", fee=Money(0), channel_state="退款",
    )  # fmt: skip
    with pytest.raises(BillRefused, match="account"):
        list(alipay.read(path, day=day, kind=BillKind.TRADE, seller_id="2088021109625634"))
    with pytest.raises(BillRefused, match="账务明细"):
        list(alipay.read(path, day=day, kind=BillKind.FUND, seller_id="2088021109625633"))


def test_alipay_fund_whose_totals_are_those_of_the_untrimmed_file() -> None:
    """All its rows can be read; the file is refused at its end all the same, because it states eighteen."""
    path, rows = BILLS / "alipay_signcustomer_detail_2012.gbk.csv", list[BillRow]()
    reading = alipay.read(path, day=date(2012, 12, 29), kind=BillKind.FUND, seller_id="2088801136540033")
    with pytest.raises(BillRefused, match="收入合计 is stated as 18, the rows make 3") as caught:
        rows.extend(reading)
    assert caught.value.line == 11
    assert [(r.order_no, r.amount) for r in rows] == [
        ("3226563", Money(227400)), ("3226533", Money(39300)), ("3226491", Money(111100)),
    ]  # fmt: skip
    assert {r.kind for r in rows} == {PAYMENT}


def test_wechat_trade_and_its_published_hash() -> None:
    path = BILLS / "wechat_trade_ALL_20210128.utf8bom.crlf.csv"
    assert sha1_of_plain(path) == "dcd7ceb3d382a1181798368bb15d8437de46c00f"
    assert hashlib.sha1(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest() != sha1_of_plain(path)
    rows = list(wechat.read(path, day=date(2021, 1, 28), kind=BillKind.TRADE, mch_id="1601959334"))
    assert sums(rows) == {PAYMENT: (3, 3), REFUND: (0, 0)}
    assert (rows[0].order_no, rows[0].fee) == ("S20210128170702357723", Money(0))
    assert rows[0].occurred_at == datetime(2021, 1, 28, 9, 7, 11, tzinfo=UTC)
    with pytest.raises(BillRefused, match="another merchant"):
        list(wechat.read(path, day=date(2021, 1, 28), kind=BillKind.TRADE, mch_id="1601959335"))


def test_wechat_trade_of_the_older_protocol() -> None:
    path = BILLS / "wechat_trade_ALL_v2style.csv"
    rows = list(wechat.read(path, day=date(2019, 2, 19), kind=BillKind.TRADE, mch_id="1921000401"))
    assert len(rows) == 45
    assert sums(rows)[PAYMENT][1] == 47
    assert sums(rows)[REFUND][1] == 14
    assert sum(r.fee.minor for r in rows if r.fee) == 8
    assert Counter(r.fee.minor for r in rows if r.fee) == {0: 37, 1: 8}
    assert rows[0].refund_no == "REF4200000263201902167700963919"


def test_wechat_fund_flow_whose_totals_are_those_of_the_untrimmed_file() -> None:
    rows = list[BillRow]()
    reading = wechat.read(
        BILLS / "wechat_fundflow_BASIC.csv.gz", day=date(2021, 2, 1), kind=BillKind.FUND, mch_id="1601959334"
    )
    with pytest.raises(BillRefused, match="资金流水总笔数 is stated as 3, the rows make 2"):
        rows.extend(reading)
    assert [(r.kind, r.amount, r.refund_no) for r in rows] == [
        (REFUND, Money(1), "S20210201135356381941"), (REFUND, Money(1), "S20210201140044552846"),
    ]  # fmt: skip
