"""Fetching: what is believed, what is asked for again later, and when "no such file" means an empty day."""

from __future__ import annotations

import base64
import gzip
import hashlib
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.alipay import bills as alipay
from channels.alipay.gateway import Answer as AlipayAnswer
from channels.base import BillKind, FetchedBill
from channels.base.answers import Answer as UnionPayAnswer
from channels.unionpay import bills as unionpay
from channels.wechat import bills as wechat
from channels.wechat.gateway import Answer as WeChatAnswer
from paycenter.errors import BillNotReady, BillRefused, UnknownOutcome
from tests.channels.bills.files import DAY, FORMATS, MCH

# Nine in the morning after DAY, Beijing.
NINE = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
TRADE = BillKind.TRADE


class Gateway:
    """Gives one answer, and one file behind it."""

    def __init__(self, answer: Any, content: bytes = b"") -> None:
        self._answer, self._content = answer, content
        self.asked: list[Any] = []

    def call(self, *words: Any, **more: Any) -> Any:
        self.asked.append(words)
        return self._answer

    def statement(self, fields: Any) -> Any:
        self.asked.append(fields)
        return self._answer

    def download(self, url: str, into: Path) -> None:
        self.asked.append(url)
        into.write_bytes(self._content)


def wechat_offer(plain: bytes, **changes: str) -> WeChatAnswer:
    data = {"hash_type": "SHA1", "hash_value": hashlib.sha1(plain).hexdigest(), "download_url": " https://h/v3/f?token=1"}
    return WeChatAnswer(200, data | changes)


def from_wechat(gateway: Any, into: Path, now: datetime = NINE) -> FetchedBill:
    return wechat.fetch(gateway, MCH, day=DAY, kind=TRADE, into=into, now=now)


def test_wechat_hash_is_over_what_is_unpacked(tmp_path: Path) -> None:
    into, plain = tmp_path / "bill", FORMATS["wechat"].plain(FORMATS["wechat"].lines())
    for content in (gzip.compress(plain), plain):
        gateway = Gateway(wechat_offer(plain), content)
        assert from_wechat(gateway, into).empty is False
        assert into.read_bytes() == content
        assert gateway.asked[1] == "https://h/v3/f?token=1"
    for spoiled in (gzip.compress(plain.replace(b"\r\n", b"\n")), gzip.compress(plain[3:]), gzip.compress(plain)[:-9]):
        with pytest.raises(BillRefused):
            from_wechat(Gateway(wechat_offer(plain), spoiled), into)
        assert not into.exists()


@pytest.mark.parametrize("changes", [{"hash_type": "MD5"}, {"hash_value": ""}, {"download_url": ""}])
def test_wechat_without_a_hash_nothing_is_downloaded(tmp_path: Path, changes: dict[str, str]) -> None:
    gateway = Gateway(wechat_offer(b"x", **changes), b"x")
    with pytest.raises(UnknownOutcome):
        from_wechat(gateway, tmp_path / "bill")
    assert len(gateway.asked) == 1


def test_wechat_words(tmp_path: Path) -> None:
    def refusal(code: str, now: datetime = NINE) -> FetchedBill:
        return from_wechat(Gateway(WeChatAnswer(400, {"code": code})), tmp_path / "bill", now)

    assert refusal("NO_STATEMENT_EXIST").empty
    with pytest.raises(BillNotReady):
        refusal("STATEMENT_CREATING")
    with pytest.raises(UnknownOutcome):
        refusal("INVALID_REQUEST")
    with pytest.raises(BillNotReady):
        refusal("INVALID_REQUEST", NINE - timedelta(hours=10))
    assert list(tmp_path.iterdir()) == []


def alipay_answer(code: str, sub_code: str = "", *, signed: bool = True, **data: str) -> Gateway:
    return Gateway(AlipayAnswer(code, sub_code, "", data, signed), b"file")


@pytest.mark.parametrize("word", ["isp.BILL_NOT_EXIST", "isv.NO_BILL_DATA", "NO_BILL_DATA"])
def test_alipay_no_bill_is_an_empty_day_once_it_is_overdue(tmp_path: Path, word: str) -> None:
    def ask(now: datetime, *, signed: bool = True) -> FetchedBill:
        gateway: Any = alipay_answer("40004", word, signed=signed)
        return alipay.fetch(gateway, day=DAY, kind=TRADE, into=tmp_path / "bill", now=now)

    for now in (NINE, NINE + timedelta(hours=23, minutes=59)):
        with pytest.raises(BillNotReady):
            ask(now)
    assert ask(NINE + timedelta(days=1)).empty
    with pytest.raises(BillNotReady):
        ask(NINE + timedelta(days=1), signed=False)


def test_alipay_answers(tmp_path: Path) -> None:
    into = tmp_path / "bill"

    def ask(gateway: Any) -> FetchedBill:
        return alipay.fetch(gateway, day=DAY, kind=BillKind.FUND, into=into, now=NINE)

    url = "https://dwbillcenter.alipay.com/downloadBillFile.resource?bizType=X&downloadFileName=2088_20261120.csv.zip&sign=x"
    gateway = alipay_answer("10000", bill_download_url=url)
    assert ask(gateway) == FetchedBill(DAY, BillKind.FUND, "2088_20261120.csv.zip")
    assert gateway.asked[0][1] == {"bill_type": "signcustomer", "bill_date": "2026-11-20"}
    assert into.read_bytes() == b"file"
    assert ask(alipay_answer("10000", bill_file_code="EMPTY_DATA_WITH_BILL_FILE")).empty
    for other in (alipay_answer("10000"), alipay_answer("20000", "isp.UNKNOWN_ERROR"), alipay_answer("40004", "isv.X")):
        with pytest.raises(UnknownOutcome):
            ask(other)


def from_unionpay(code: str, into: Path, now: datetime = NINE, **data: str) -> FetchedBill:
    gateway: Any = Gateway(UnionPayAnswer(code, "", data))
    fetched = unionpay.fetch(gateway, day=DAY, into=into, now=now)
    assert gateway.asked[0]["settleDate"] == "1120"
    return fetched


def test_unionpay_no_file_is_an_empty_day_once_it_is_overdue(tmp_path: Path) -> None:
    with pytest.raises(BillNotReady):
        from_unionpay("98", tmp_path / "bill", NINE + timedelta(hours=23))
    assert from_unionpay("98", tmp_path / "bill", NINE + timedelta(hours=24)).empty
    for code in ("99", "11", "03", ""):
        with pytest.raises(UnknownOutcome):
            from_unionpay(code, tmp_path / "bill")


def test_unionpay_content_is_unpacked_to_the_zip(tmp_path: Path) -> None:
    into, form = tmp_path / "bill", FORMATS["unionpay"]
    packed = form.pack(form.plain(form.lines()))
    content = base64.b64encode(zlib.compress(packed)).decode()
    assert from_unionpay("00", into, fileContent=content, fileName="../x.zip").file_name == "x.zip"
    assert into.read_bytes() == packed
    into.unlink()
    half = base64.b64encode(zlib.compress(packed)[:-20]).decode()
    for spoiled in ("", "*", content[:-3], half, base64.b64encode(b"no").decode()):
        with pytest.raises(BillRefused):
            from_unionpay("00", into, fileContent=spoiled)
        assert not into.exists()
