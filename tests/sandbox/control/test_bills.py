"""`/control/bill`: the real formats, and edits that make them differ."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.clients import BEIJING, AlipayMerchant, WeChatMerchant
from tests.sandbox.running import Merchant, Running


def today() -> str:
    return datetime.now(BEIJING).strftime("%Y-%m-%d")


@pytest.fixture
def day(sandbox: Running, wechat: WeChatMerchant, alipay: AlipayMerchant, merchant: Merchant) -> str:
    """Two payments and one refund at each channel, today."""
    for number in ("1", "2"):
        wechat.native(f"W0000{number}", 10000)
        alipay.precreate(f"A0000{number}", 10000)
        for order in (f"W0000{number}", f"A0000{number}"):
            sandbox.control("POST", "/pay", {"attempt_no": order, "notify": "none"})
    wechat.native("W00003")  # unpaid: in no bill
    wechat.call("POST", "/v3/refund/domestic/refunds", {
        "out_trade_no": "W00002", "out_refund_no": "RW", "amount": {"refund": 4000, "total": 10000, "currency": "CNY"},
    })  # fmt: skip
    assert sandbox.control("POST", "/refunds/RW", {"outcome": "success"}).status == 200  # not by itself, a moment later
    alipay.call("alipay.trade.refund", {"out_trade_no": "A00002", "refund_amount": "40.00", "out_request_no": "RA"})
    return today()


def wechat_bill(sandbox: Running, day: str) -> tuple[list[dict[str, str]], dict[str, str]]:
    """(rows, totals) as a merchant reads them."""
    answer = sandbox.control("GET", f"/bill/P-wechat/{day}")
    assert answer.body.startswith(b"\xef\xbb\xbf")
    lines = answer.body.decode("utf-8-sig").split("\r\n")
    assert lines[-1] == ""
    assert all(value.startswith("`") for line in lines[1:-3] for value in line.split(","))
    rows = [dict(zip(lines[0].split(","), (v[1:] for v in line.split(",")), strict=True)) for line in lines[1:-3]]
    totals = dict(zip(lines[-3].split(","), (v[1:] for v in lines[-2].split(",")), strict=True))
    return rows, totals


def alipay_bill(sandbox: Running, day: str) -> tuple[list[dict[str, str]], str]:
    """(rows, the whole detail text)."""
    answer = sandbox.control("GET", f"/bill/P-alipay/{day}")
    archive = zipfile.ZipFile(io.BytesIO(answer.body))
    assert not any(info.flag_bits & 0x800 for info in archive.infolist()), "the UTF-8 flag is not set"
    names = {info.filename.encode("cp437").decode("gbk"): info.filename for info in archive.infolist()}
    detail = next(name for name in names if name.endswith("业务明细.csv"))
    assert any(name.endswith("业务明细(汇总).csv") for name in names)
    text = archive.read(names[detail]).decode("gbk")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    header = lines[0].split(",")
    return [dict(zip(header, (v.rstrip("\t") for v in line.split(",")), strict=True)) for line in lines[1:]], text


def edit(sandbox: Running, payment_no: str, day: str, *edits: dict[str, Any]) -> int:
    return sandbox.control("POST", f"/bill/{payment_no}/{day}/edits", list(edits)).status


def test_wechat_trade_bill(sandbox: Running, day: str) -> None:
    rows, totals = wechat_bill(sandbox, day)
    by_order = {(r["商户订单号"], r["交易状态"]): r for r in rows}
    assert set(by_order) == {("W00001", "SUCCESS"), ("W00002", "SUCCESS"), ("W00002", "REFUND")}
    payment, refund = by_order[("W00001", "SUCCESS")], by_order[("W00002", "REFUND")]
    assert (payment["订单金额"], payment["手续费"], payment["费率"]) == ("100.00", "0.60000", "0.60%")
    assert (refund["申请退款金额"], refund["应结订单金额"], refund["商户退款单号"]) == ("40.00", "0.00", "RW")
    assert refund["手续费"] == "-0.24000"
    assert totals["总交易单数"] == "3"
    assert (totals["订单总金额"], totals["申请退款总金额"], totals["手续费总金额"]) == ("200.00", "40.00", "0.96000")


def test_alipay_trade_bill(sandbox: Running, day: str) -> None:
    rows, text = alipay_bill(sandbox, day)
    kinds = [(r["商户订单号"], r["业务类型"], r["订单金额（元）"]) for r in rows]
    assert sorted(kinds) == [("A00001", "交易", "100.00"), ("A00002", "交易", "100.00"), ("A00002", "退款", "-40.00")]
    refund = next(r for r in rows if r["业务类型"] == "退款")
    assert (refund["退款批次号/请求号"], refund["服务费（元）"]) == ("RA", "0.24")
    assert "#交易合计：2笔，商家实收共200.00元" in text
    assert "#退款合计：1笔，商家实收退款共-40.00元" in text


def test_the_heads_equal_recorded_bills(sandbox: Running, day: str) -> None:
    vectors = os.environ.get("PAYCENTER_VECTORS")
    if not vectors:
        pytest.skip("PAYCENTER_VECTORS names no directory of recorded samples")
    bills = Path(vectors) / "bills"
    recorded = (bills / "wechat_trade_ALL_20210128.utf8bom.crlf.csv").read_bytes().split(b"\r\n")
    made = sandbox.control("GET", f"/bill/P-wechat/{day}").body.split(b"\r\n")
    assert (made[0], made[-3]) == (recorded[0], recorded[-3])
    recorded = (bills / "alipay_trade_detail_20190916.gbk.csv").read_bytes().decode("gbk").splitlines()
    made_text = alipay_bill(sandbox, day)[1].splitlines()
    assert made_text[4] == recorded[4]
    assert [line[:5] for line in made_text if line[0] == "#"] == [line[:5] for line in recorded if line[0] == "#"]


def test_fund_flow_bills(sandbox: Running, day: str) -> None:
    text = sandbox.control("GET", f"/bill/P-wechat/{day}?kind=fund").body.decode("utf-8-sig")
    assert "`收入,`100.00" in text
    assert text.split("\r\n")[-3] == "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
    archive = zipfile.ZipFile(io.BytesIO(sandbox.control("GET", f"/bill/P-alipay/{day}?kind=fund").body))
    names = [info.filename.encode("cp437").decode("gbk") for info in archive.infolist()]
    assert any(name.endswith("账务明细.csv") for name in names)


@pytest.mark.parametrize(("payment_no", "order"), [("P-wechat", "W00001"), ("P-alipay", "A00001")])
def test_edits_drop_alter_and_add(sandbox: Running, day: str, payment_no: str, order: str) -> None:
    def orders() -> dict[tuple[str, str], str]:
        if payment_no == "P-wechat":
            rows = wechat_bill(sandbox, day)[0]
            return {(r["商户订单号"], "refund" if r["交易状态"] == "REFUND" else "payment"):
                    r["申请退款金额"] if r["交易状态"] == "REFUND" else r["订单金额"] for r in rows}  # fmt: skip
        rows = alipay_bill(sandbox, day)[0]
        return {(r["商户订单号"], "refund" if r["业务类型"] == "退款" else "payment"):
                r["订单金额（元）"].lstrip("-") for r in rows}  # fmt: skip

    refunded = order[:-1] + "2"
    assert edit(
        sandbox, payment_no, day, {"op": "alter", "attempt_no": order, "kind": "payment", "amount": 9999, "fee": 1},
        {"op": "drop", "attempt_no": refunded, "kind": "refund"},
        {"op": "add", "attempt_no": "STRANGER1", "kind": "payment", "amount": 500},
        {"op": "add", "attempt_no": order, "kind": "refund", "amount": 300},
    ) == 200  # fmt: skip
    assert orders() == {
        (order, "payment"): "99.99", (refunded, "payment"): "100.00", ("STRANGER1", "payment"): "5.00",
        (order, "refund"): "3.00",
    }  # fmt: skip
    assert sandbox.control("GET", f"/payments/{order}").json["amount"] == 10000, "the book is untouched"


def test_an_edit_changes_status_and_fee(sandbox: Running, day: str) -> None:
    change = {"op": "alter", "attempt_no": "W00002", "kind": "refund", "status": "CHANGE", "fee": 7}
    edit(sandbox, "P-wechat", day, change)
    refund = next(r for r in wechat_bill(sandbox, day)[0] if r["交易状态"] == "REFUND")
    assert (refund["退款状态"], refund["手续费"]) == ("CHANGE", "-0.07000")


@pytest.mark.parametrize(
    "edits",
    [
        [], {}, [7], [{"op": "burn", "attempt_no": "W00001", "kind": "payment"}],
        [{"op": "drop", "attempt_no": "W00001", "kind": "tip"}], [{"op": "drop", "kind": "payment"}],
        [{"op": "alter", "attempt_no": "W00001", "kind": "payment"}],
        [{"op": "alter", "attempt_no": "W00001", "kind": "payment", "amount": -1}],
        [{"op": "drop", "attempt_no": "W00001", "kind": "payment"}, {"op": "x"}],
    ],
)  # fmt: skip
def test_bad_edits_change_nothing(sandbox: Running, day: str, edits: Any) -> None:
    before = wechat_bill(sandbox, day)
    answer = sandbox.control("POST", f"/bill/P-wechat/{day}/edits", edits)
    assert answer.status == 400
    assert answer.json["error"]
    assert wechat_bill(sandbox, day) == before


def test_an_empty_day_an_unknown_account_and_a_bad_date(sandbox: Running, day: str) -> None:
    assert wechat_bill(sandbox, "2026-01-01")[0] == []
    assert sandbox.control("GET", f"/bill/NOBODY/{day}").status == 404
    assert sandbox.control("GET", "/bill/P-wechat/yesterday").status == 400
    assert sandbox.control("GET", f"/bill/P-wechat/{day}?kind=odd").status == 400


def test_alipays_own_download_lives_thirty_seconds_and_only_for_days_past(
    sandbox: Running, alipay: AlipayMerchant, day: str
) -> None:
    def ask(date: str, kind: str = "trade") -> dict[str, Any]:
        biz = {"bill_type": kind, "bill_date": date}
        return alipay.call("alipay.data.dataservice.bill.downloadurl.query", biz)

    assert ask(day)["sub_code"] == "isp.BILL_NOT_EXIST"
    assert ask("2026-13-01")["code"] == "40004"
    assert ask("2026-01-01", "gossip")["sub_code"] == "isv.TYPE_NOT_SUPPORTED"
    answer = ask("2026-01-01")
    assert answer["bill_file_code"] == "EMPTY_DATA_WITH_BILL_FILE"
    fetched = sandbox.follow(answer["bill_download_url"])
    assert zipfile.ZipFile(io.BytesIO(fetched.body)).testzip() is None
    assert sandbox.request("GET", "/downloads/alipay/nonsense/x.zip").status == 403
