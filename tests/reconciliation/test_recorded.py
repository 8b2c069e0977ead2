"""Bills that the channels really made, taken in by the importer: whole with their sums, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from channels.alipay.provider import AlipayProvider
from channels.base import Provider
from channels.base.bills import BillKind
from channels.wechat.provider import WeChatPay
from merchants import channels
from merchants.models import PaymentAccount
from reconciliation import files
from reconciliation.bills import bill_import, bill_upload
from reconciliation.models import Bill, BillRow, Case, ReconciliationDay
from reconciliation.reconciling import day_match
from tests import factories
from tests.conftest import World

_FOLDER = os.environ.get("PAYCENTER_VECTORS")
pytestmark = pytest.mark.skipif(not _FOLDER, reason="PAYCENTER_VECTORS names no folder of recorded samples")
BILLS = Path(_FOLDER or "") / "bills"


@pytest.fixture(autouse=True)
def _kept_here(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path


def reader_of(provider: type[Provider], config: Mapping[str, Any]) -> Provider:
    """The channel's provider as far as it reads bills, for which it needs no keys."""
    reader = provider.__new__(provider)
    reader.config = config
    return reader


def account_at(world: World, channel: str, reader: Provider) -> PaymentAccount:
    account = factories.make_account(world.merchant, channel=channel, methods=())
    channels._cache[account.pk] = (account.config_version, reader)
    return account


def taken_in(account: PaymentAccount, name: str, day: date, kind: BillKind = BillKind.TRADE) -> Bill:
    with files.scratch_file() as path:
        shutil.copyfile(BILLS / name, path)
        bill = bill_upload(account=account, day=day, kind=kind, path=path, name=name, actor="staff:ann")
    return bill_import(bill_id=bill.pk, actor="test")


def sums(bill: Bill, currency: str = "CNY") -> tuple[int, int, int, int, int]:
    found = bill.totals[currency]
    return found["count"], found["paid"], found["refunds"], found["refunded"], found["fee"]


@pytest.fixture
def alipay(world: World) -> PaymentAccount:
    return account_at(world, "alipay", reader_of(AlipayProvider, {"seller_id": "2088021109625633"}))


@pytest.fixture
def wechat(world: World) -> PaymentAccount:
    return account_at(world, "wechat", reader_of(WeChatPay, {"mch_id": "1601959334"}))


def test_alipays_bill_is_imported_and_compared(alipay: PaymentAccount) -> None:
    name, day = "alipay_trade_detail_20190916.gbk.csv", date(2019, 9, 16)
    bill = taken_in(alipay, name, day)
    assert (bill.state, bill.rows_read, bill.refusal) == ("imported", 10, "")
    assert sums(bill) == (6, 6, 4, 4, 0)
    assert bill.sha256 == hashlib.sha256((BILLS / name).read_bytes()).hexdigest()
    assert files.bill_path(bill.file_path).read_bytes() == (BILLS / name).read_bytes()
    row = BillRow.objects.get(bill=bill, line=7)
    assert (row.kind, row.amount, row.order_no, row.refund_no, row.channel_trade_no) == (
        "refund", 1, "service_1568601259302", "re_test_1568602607356", "2019091622001458860515315453",
    )  # fmt: skip
    # Nothing of it was ever paid here.
    assert day_match(day_id=ReconciliationDay.objects.get(account=alipay, day=day).pk) == 10
    assert set(Case.objects.values_list("kind", flat=True)) == {"missing_here"}


def test_wechats_bill_is_imported_once(wechat: PaymentAccount) -> None:
    name, day = "wechat_trade_ALL_20210128.utf8bom.crlf.csv", date(2021, 1, 28)
    bill = taken_in(wechat, name, day)
    assert (bill.state, bill.rows_read, sums(bill)) == ("imported", 3, (3, 3, 0, 0, 0))
    assert taken_in(wechat, name, day).run == bill.run
    assert BillRow.objects.filter(bill=bill).count() == 3


def test_the_older_protocols_bill_is_imported_with_its_fees(world: World) -> None:
    account = account_at(world, "wechat", reader_of(WeChatPay, {"mch_id": "1921000401"}))
    bill = taken_in(account, "wechat_trade_ALL_v2style.csv", date(2019, 2, 19))
    assert (bill.state, bill.rows_read) == ("imported", 45)
    count, paid, refunds, refunded, fee = sums(bill)
    assert (count + refunds, paid, refunded, fee) == (45, 47, 14, 8)


@pytest.mark.parametrize(
    ("day", "mch_id"), [(date(2021, 1, 29), "1601959334"), (date(2021, 1, 28), "1601959335")], ids=["day", "account"]
)
def test_of_another_day_or_account_nothing_is_imported(world: World, day: date, mch_id: str) -> None:
    account = account_at(world, "wechat", reader_of(WeChatPay, {"mch_id": mch_id}))
    bill = taken_in(account, "wechat_trade_ALL_20210128.utf8bom.crlf.csv", day)
    assert (bill.state, bill.rows_read, BillRow.objects.count()) == ("refused", 0, 0)
    assert bill.refusal


def test_trimmed_fund_flows_are_refused_with_line_and_reason(wechat: PaymentAccount, world: World) -> None:
    """Their recorders cut rows out and left the totals: half a file is not believed."""
    bill = taken_in(wechat, "wechat_fundflow_BASIC.csv.gz", date(2021, 2, 1), BillKind.FUND)
    assert bill.state == "refused"
    assert "is stated as 3, the rows make 2" in bill.refusal
    other = account_at(world, "alipay", reader_of(AlipayProvider, {"seller_id": "2088801136540033"}))
    bill = taken_in(other, "alipay_signcustomer_detail_2012.gbk.csv", date(2012, 12, 29), BillKind.FUND)
    assert (bill.state, bill.refusal_line) == ("refused", 11)
    assert BillRow.objects.count() == 0
