"""Reading bills: exact rows from good ones; a reason, mostly with a line, from all others."""

from __future__ import annotations

import gzip
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from channels.base import BillKind, BillRowKind, BillRowState
from channels.unionpay.bills import year_found
from channels.wechat import bills as wechat
from paycenter.errors import BillRefused
from paycenter.money import Money
from tests.channels.bills import files
from tests.channels.bills.files import DAY, FORMATS, MCH, Format, wechat_payment, wechat_refund, zm_line

ROOT = Path(__file__).parents[3]
PAYMENT, REFUND = BillRowKind.PAYMENT, BillRowKind.REFUND


@pytest.fixture(params=sorted(FORMATS))
def form(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bill"


def refused(form: Format, path: Path, lines: list[str], *, packed: bool = True) -> BillRefused:
    with pytest.raises(BillRefused) as caught:
        form.rows(form.write(path, lines, packed=packed))
    return caught.value


def test_three_rows(form: Format, path: Path) -> None:
    rows = form.rows(form.write(path, form.lines()))
    currency = "JPY" if form.name == "mpgs" else "CNY"
    refund_amount, refund_fee = (4000, -60 if form.name == "unionpay" else -24)
    assert [(r.kind, r.amount.minor, r.fee.minor if r.fee else None) for r in rows] == [
        (PAYMENT, 10000, 60), (PAYMENT, 10000, 60), (REFUND, refund_amount, refund_fee),
    ]  # fmt: skip
    assert rows[2].amount.currency == currency
    assert rows[2].order_no == rows[1].order_no
    assert rows[2].channel_trade_no == rows[1].channel_trade_no
    assert [bool(r.refund_no) for r in rows] == [False, False, True]
    assert rows[0].occurred_at == datetime(2026, 11, 20, 2, 0, 5 if form.name == "alipay" else 0, tzinfo=UTC)
    assert all(r.state is BillRowState.SUCCEEDED for r in rows)


def test_lines_are_counted_as_an_editor_does(form: Format, path: Path) -> None:
    lines = form.lines()
    rows = form.rows(form.write(path, lines))
    wanted = [n for n, line in enumerate(lines, 1) if rows[0].order_no in line or rows[1].order_no in line]
    assert [row.line for row in rows] == wanted


def test_unpacked_is_as_good(form: Format, path: Path) -> None:
    packed = form.rows(form.write(path, form.lines()))
    assert form.rows(form.write(path, form.lines(), packed=False)) == packed
    path.write_bytes(gzip.compress(form.plain(form.lines())))
    assert form.rows(path) == packed


def test_columns_in_another_order_and_with_more_of_them(path: Path) -> None:
    for name, separator in (("wechat", ","), ("mpgs", ",")):
        form = FORMATS[name]
        before = form.rows(form.write(path, form.lines()))
        table = [line.removeprefix("\ufeff").split(separator) for line in form.lines()]
        width = len(table[0])
        turned = [separator.join(["`x" if v[0].startswith("`") else "x", *reversed(v)]) if len(v) == width
                  else separator.join(v) for v in table]  # fmt: skip
        after = form.rows(form.write(path, turned))
        assert after == before


@pytest.mark.parametrize("column", ["order_no", "amount", "kind"])
def test_a_missing_column_is_named(path: Path, column: str) -> None:
    names = {
        "wechat": {"order_no": "商户订单号", "amount": "订单金额", "kind": "交易状态"},
        "alipay": {"order_no": "商户订单号", "amount": "订单金额", "kind": "业务类型"},
        "mpgs": {"order_no": "order_id", "amount": "amount", "kind": "type"},
    }
    for name, found in names.items():
        form, lines = FORMATS[name], FORMATS[name].lines()
        at = 4 if name == "alipay" else 0
        renamed = lines[at].split(",")
        where = next(i for i, n in enumerate(renamed) if n.partition("（")[0] == found[column])
        renamed[where] = "改名"
        error = refused(form, path, [*lines[:at], ",".join(renamed), *lines[at + 1 :]])
        assert error.line == at + 1
        assert found[column] in error.reason


def test_a_row_with_a_value_too_many_or_too_few(form: Format, path: Path) -> None:
    separator = "|" if form.name == "bank" else ","
    for spoil in (lambda line: line + separator + "`", lambda line: line[:-30]):
        lines = form.lines()
        at = next(i for i, line in enumerate(lines) if "000001" in line or line.startswith("M1"))
        lines[at] = spoil(lines[at])
        assert refused(form, path, lines).line == at + 1


def test_the_same_row_twice(form: Format, path: Path) -> None:
    lines = form.lines()
    at = form.rows(form.write(path, lines))[0].line
    error = refused(form, path, [*lines[:at], lines[at - 1], *lines[at:]])
    assert error.reason == f"the same row as in line {at}" or "is stated as" in error.reason
    assert error.line is not None


def test_a_file_put_together_twice(form: Format, path: Path) -> None:
    assert refused(form, path, [*form.lines(), *form.lines()]).line


def test_a_dropped_row_contradicts_the_totals(form: Format, path: Path) -> None:
    if form.name in ("unionpay", "mpgs"):
        pytest.skip("its file has no totals")
    lines = form.lines()
    at = form.rows(form.write(path, lines))[0].line
    error = refused(form, path, [*lines[: at - 1], *lines[at:]])
    assert "is stated as" in error.reason


@pytest.mark.parametrize("text", ["", "abc", "1e5", "１００.００", "100.001", "1_00.00", " 100.00x", "--100.00", "NaN"])
def test_bad_amounts(form: Format, path: Path, text: str) -> None:
    if form.name == "unionpay":
        lines = [line.replace(f"{10000:012d}", text.encode("gbk")[:12].ljust(12).decode("gbk", "replace"), 1)
                 for line in form.lines()]  # fmt: skip
    else:
        lines = [line.replace("100.00", text) for line in form.lines()]
    assert refused(form, path, lines).line is not None


def test_another_day(form: Format, path: Path) -> None:
    form.write(path, form.lines())
    for days in (-400, -2, -1, 1, 2, 400):
        with pytest.raises(BillRefused, match="day"):
            form.rows(path, DAY + timedelta(days=days))


def test_another_account(form: Format, path: Path) -> None:
    if form.name == "mpgs":
        pytest.skip("its file does not say whose it is")
    own = {"alipay": files.SELLER, "wechat": MCH, "unionpay": files.MER, "bank": files.CO_NO}[form.name]
    other = own[:-1] + ("0" if own[-1] != "0" else "1")
    error = refused(form, path, [line.replace(own, other) for line in form.lines()])
    assert other in error.reason


def test_no_bill_at_all(form: Format, path: Path) -> None:
    for content in (b"", b"\n", b"<html>404</html>", b'{"code": 1}', b"PK\x03\x04", b"\x1f\x8b\x08", b"\xff\xfe" * 50,
                    files.zipped({"readme.txt": b"x"}), b"a,b,c\n1,2,3\n"):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(BillRefused):
            form.rows(path)
    for other in FORMATS.values():
        if other is not form:
            with pytest.raises(BillRefused):
                form.rows(other.write(path, other.lines(), packed=False))


def test_cut_anywhere_it_is_never_quietly_shorter(form: Format, path: Path) -> None:
    whole = form.plain(form.lines())
    rows = form.rows(form.write(path, form.lines(), packed=False))
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        try:
            found = form.rows(path)
        except BillRefused:
            continue
        if form.name in ("unionpay", "mpgs"):  # without totals, a cut between two lines cannot show
            assert found == rows[: len(found)]
            assert whole[size - 2 : size + 2].count(b"\r\n"[:1]) or size > len(whole) - 3
        else:
            assert found == rows


def test_packed_and_cut_anywhere(form: Format, path: Path) -> None:
    if form.pack is bytes:
        pytest.skip("it is not packed")
    whole = form.pack(form.plain(form.lines()))
    for size in range(2, len(whole) - 1, 11):
        path.write_bytes(whole[:size])
        with pytest.raises(BillRefused):
            form.rows(path)


def test_a_bomb_is_not_unpacked(form: Format, path: Path) -> None:
    if form.pack is bytes:
        pytest.skip("it is not packed")
    for blown in (b"#" * 64 + b"\n", b" " * 200_000):
        path.write_bytes(form.pack(form.plain(form.lines()[:-1]) + blown * (80 * 1024**2 // len(blown))))
        with pytest.raises(BillRefused):
            form.rows(path)


# -- the channels' own


def test_wechat_refund_states_and_words(path: Path) -> None:
    form = FORMATS["wechat"]
    states = {"SUCCESS": "succeeded", "PROCESSING": "processing", "CHANGE": "processing", "FAIL": "failed"}
    for word, state in states.items():
        lines = form.lines()
        lines[3] = wechat_refund(2, state=word)
        row = form.rows(form.write(path, lines))[2]
        assert (row.state, row.channel_state) == (state, word)
    assert refused(form, path, [line.replace("`SUCCESS", "`MAYBE", 1) for line in form.lines()]).line == 2


def test_wechat_fees_have_five_decimals(path: Path) -> None:
    form, lines = FORMATS["wechat"], FORMATS["wechat"].lines()
    lines[1] = lines[1].replace("`0.60000", "`0.60499")
    lines[5] = lines[5].replace("`0.96000", "`0.96499")
    assert form.rows(form.write(path, lines))[0].fee == Money(60)
    lines[5] = lines[5].replace("`0.96499", "`0.96498")
    assert "手续费总金额" in refused(form, path, lines).reason


def test_wechat_bills_of_payments_or_refunds_alone_are_half_a_bill(path: Path) -> None:
    form = FORMATS["wechat"]
    header = files.WECHAT_HEADER.split(",")
    success = [",".join(line.split(",")[:14] + line.split(",")[20:]) if len(line.split(",")) == len(header) else line
               for line in form.lines()]  # fmt: skip
    assert "ALL" in refused(form, path, success).reason
    refunds = [files.WECHAT_HEADER.replace("微信退款单号", "退款申请时间,退款成功时间,微信退款单号")]
    assert "ALL" in refused(form, path, refunds).reason


def test_wechat_old_format(path: Path) -> None:
    """Without 应结订单金额 and 代金券金额, as a few merchants still get it."""
    header = (
        "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
        "总金额,企业红包金额,微信退款单号,商户退款单号,退款金额,企业红包退款金额,退款类型,退款状态,商品名称,商户数据包,"
        "手续费,费率"
    )
    row = ["2026-11-20 10:00:00", "wx1", MCH, "0", "", "4200001", "W1", "o", "NATIVE", "SUCCESS", "OTHERS", "CNY",
           "1.00", "0.00", "0", "0", "0", "0", "", "", "s", "", "0.01000", "0.60%"]  # fmt: skip
    back = [*row[:9], "REFUND", *row[10:14], "5030001", "R1", "0.40", "0", "ORIGINAL", "SUCCESS", "s", "", "0", "1%"]
    back[12] = "0.00"
    totals = "总交易单数,总交易额,总退款金额,总企业红包退款金额,手续费总金额"
    lines = [header, files.ticked(row), files.ticked(back), totals, files.ticked(["2", "1.00", "0.40", "0", "0.01000"])]
    rows = FORMATS["wechat"].rows(FORMATS["wechat"].write(path, lines))
    assert [(r.kind, r.amount) for r in rows] == [(PAYMENT, Money(100)), (REFUND, Money(40))]


def test_wechat_fund_flow(path: Path) -> None:
    header = (
        "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,"
        "备注,业务凭证号"
    )
    moves = [
        ("4200001", "4200001", "交易", "收入", "100.00", "W1"),
        ("4200001", "4200001", "扣除交易手续费", "支出", "0.60", "W1"),
        ("5030001", "4200001", "退款", "支出", "40.00", "R1"), ("9", "9", "提现", "支出", "59.40", "D1"),
        ("5030001", "4200002", "退款", "收入", "0.01", "R1"),
    ]  # fmt: skip
    when = "2026-11-20 10:00:00"
    rows_text = [files.ticked([when, a, b, word, word, *rest[:2], "0.00", "system", "", rest[2]])
                 for a, b, word, *rest in moves]  # fmt: skip
    totals = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
    lines = [header, *rows_text, totals, files.ticked(["5", "2", "100.01", "3", "100.00"])]
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    rows = list(wechat.read(path, day=DAY, kind=BillKind.FUND, mch_id=MCH))
    assert [(r.kind, r.amount.minor) for r in rows] == [
        (PAYMENT, 10000), (BillRowKind.FEE, -60), (REFUND, 4000), (BillRowKind.OTHER, -5940), (BillRowKind.OTHER, 1),
    ]  # fmt: skip
    assert (rows[2].refund_no, rows[2].channel_refund_no, rows[2].channel_trade_no) == ("R1", "5030001", "4200001")
    path.write_bytes("\r\n".join([*lines[:-1], files.ticked(["5", "2", "100.02", "3", "100.00"])]).encode())
    with pytest.raises(BillRefused, match="收入金额"):
        list(wechat.read(path, day=DAY, kind=BillKind.FUND, mch_id=MCH))


def test_alipay_without_its_end_its_head_or_in_the_wrong_order(path: Path) -> None:
    form, lines = FORMATS["alipay"], FORMATS["alipay"].lines()
    assert "ends the list" in refused(form, path, [line for line in lines if "列表结束" not in line][:8]).reason
    for at in range(3):
        assert refused(form, path, [*lines[:at], *lines[at + 1 :]]).line
    assert "after the end" in refused(form, path, [*lines, lines[5].replace("A0000001", "A0000009")]).reason
    month = lines[2].replace("11月21日", "12月01日")
    assert "day" in refused(form, path, [*lines[:2], month, *lines[3:]]).reason


def test_unionpay_multibyte_names_keep_the_columns_in_place(path: Path) -> None:
    form = FORMATS["unionpay"]
    lines = [zm_line(1, name="某某物业服务有限公司"), zm_line(2, name="abc"), zm_line(3, name="物业，龘")]
    assert [r.order_no for r in form.rows(form.write(path, lines))] == ["U0000001", "U0000002", "U0000003"]
    older = [line + " " * 33 for line in lines]
    assert len(form.rows(form.write(path, older))) == 3
    assert refused(form, path, [lines[0] + " "]).line == 1


@pytest.mark.parametrize(
    ("day", "text", "year"),
    [
        (date(2027, 1, 1), "1231230000", 2026), (date(2027, 1, 1), "1231235959", 2026),
        (date(2027, 1, 1), "0101000000", 2027), (date(2027, 1, 1), "0101225959", 2027),
        (date(2026, 12, 31), "1231225959", 2026),
        (date(2026, 12, 31), "0101000001", 2027), (date(2028, 2, 29), "0229120000", 2028),
    ],
)  # fmt: skip
def test_unionpay_times_get_their_year_from_the_day(path: Path, day: date, text: str, year: int) -> None:
    form = FORMATS["unionpay"]
    form.write(path, [zm_line(1, when=text), zm_line(2, when=f"{day:%m%d}120000")], packed=False)
    assert form.rows(path, day)[0].occurred_at.year == year


def test_a_time_that_no_year_has() -> None:
    assert year_found("0230120000", datetime(2027, 1, 1, tzinfo=UTC)) is None


def test_unionpay_day_ends_at_eleven(path: Path) -> None:
    form = FORMATS["unionpay"]
    form.write(path, [zm_line(1, when="1119230000"), zm_line(2, when="1120225959")], packed=False)
    assert len(form.rows(path)) == 2
    form.write(path, [zm_line(1, when="1120230000")], packed=False)
    assert len(form.rows(path, DAY + timedelta(days=1))) == 1
    with pytest.raises(BillRefused, match="day"):
        form.rows(path)


def test_a_late_row_is_of_the_day_when_others_are(path: Path) -> None:
    form = FORMATS["mpgs"]
    lines = [*form.lines(), "M0,1,PAYMENT,1.00,CNY,0.00,1.00,SUCCESS,2026-11-21,2026-11-19T02:00:00Z"]
    assert len(form.rows(form.write(path, lines))) == 4
    lines[-1] = lines[-1].replace("2026-11-19T", "2026-11-17T")
    assert refused(form, path, lines).line == 5


_PEAK = """
import sys
from datetime import date
from pathlib import Path
from channels.base import BillKind
from channels.wechat import bills

rows = bills.read(Path(sys.argv[1]), day=date(2026, 11, 20), kind=BillKind.TRADE, mch_id=sys.argv[2])
count = sum(1 for _row in rows)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(count, peak)
"""


def peak_kilobytes(path: Path, count: int) -> int:
    """Of a process that reads a bill of so many rows."""
    total, fees = files.yuan(10000 * count), files.yuan(60 * count)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"\ufeff{files.WECHAT_HEADER}\r\n")
        file.writelines(f"{wechat_payment(number)}\r\n" for number in range(count))
        file.write(f"{files.WECHAT_TOTALS}\r\n")
        file.write(files.ticked([str(count), total, "0.00", "0.00", fees, total, "0.00"]) + "\r\n")
    done = subprocess.run([sys.executable, "-c", _PEAK, str(path), MCH], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, peak = done.stdout.split()
    assert int(found) == count
    return int(peak)


def test_two_hundred_thousand_rows_need_little_more_memory_than_two_thousand(path: Path) -> None:
    few, many = peak_kilobytes(path, 2000), peak_kilobytes(path, 200_000)
    # The marks for lines that come twice: 16 MiB however many rows, of which few rows touch few pages.
    assert many - few < 17 * 1024 + 2048
