"""Bills written by hand in each channel's format, to be spoiled by tests. They share nothing with the readers."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from channels.alipay import bills as alipay
from channels.bank import bills as bank
from channels.base import BillKind, BillRow
from channels.mpgs import bills as mpgs
from channels.unionpay import bills as unionpay
from channels.wechat import bills as wechat

DAY = date(2026, 11, 20)
SELLER, MCH, MER = "2088021109625633", "1601959334", "777290058110097"
BRANCH, CO_NO = "0755", "000123"

WECHAT_HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,"
    "代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,"
    "申请退款金额,费率备注"
)
WECHAT_TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
ALIPAY_HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
ZM_WIDTHS = (
    3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15, 1, 15, 32,
    13, 13, 8, 32, 13, 13, 12, 2, 1, 32, 98,
)  # fmt: skip


def yuan(fen: int) -> str:
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def ticked(values: Sequence[str]) -> str:
    return ",".join(f"`{value}" for value in values)


def wechat_payment(number: int, fen: int = 10000, when: str = "2026-11-20 10:00:00") -> str:
    return ticked([
        when, "wx81be3101902f7cb2", MCH, "0", "", f"42000{number:023d}", f"W{number:07d}", "openid", "NATIVE",
        "SUCCESS", "OTHERS", "CNY", yuan(fen), "0.00", "0", "0", "0.00", "0.00", "", "", 'a "quote" 物业费', "",
        f"{yuan(60)}000", "0.60%", yuan(fen), "0.00", "",
    ])  # fmt: skip


def wechat_refund(number: int, fen: int = 4000, state: str = "SUCCESS") -> str:
    return ticked([
        "2026-11-20 11:00:00", "wx81be3101902f7cb2", MCH, "0", "", f"42000{number:023d}", f"W{number:07d}", "openid",
        "NATIVE", "REFUND", "OTHERS", "CNY", "0.00", "0.00", f"50300{number:023d}", f"R{number:07d}", yuan(fen), "0.00",
        "ORIGINAL", state, "物业费", "", f"{yuan(-24)}000", "0.60%", "0.00", yuan(fen), "",
    ])  # fmt: skip


def wechat_lines() -> list[str]:
    totals = ticked(["3", "200.00", "40.00", "0.00", "0.96000", "200.00", "40.00"])
    rows = [wechat_payment(1), wechat_payment(2), wechat_refund(2)]
    return ["\ufeff" + WECHAT_HEADER, *rows, WECHAT_TOTALS, totals]


def alipay_row(number: int, fen: int = 10000, when: str = "2026-11-20 10:00:05", request: str = "") -> str:
    amount, fee = yuan(fen), yuan(24 if request else -60)
    return ",".join([
        f"202611202200{number:016d}\t", f"A{number:07d}\t", "退款\t" if request else "交易\t", "物业费",
        "2026-11-20 10:00:00", when, "\t", "\t", "\t", "\t", "*庚辰(182****01)\t", amount, amount, "0.00",
        "0.00", "0.00", "0.00", "0.00", "", "0.00\t", "0.00", f"{request}\t", fee, "0.00", "物业费",
    ])  # fmt: skip


def alipay_lines() -> list[str]:
    return [
        "#支付宝业务明细查询", f"#账号：[{SELLER}0156]",
        "#起始日期：[2026年11月20日 00:00:00]   终止日期：[2026年11月21日 00:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------", ALIPAY_HEADER,
        alipay_row(1), alipay_row(2), alipay_row(2, -4000, request="R0000002"),
        "#-----------------------------------------业务明细列表结束------------------------------------",
        "#交易合计：2笔，商家实收共200.00元，商家优惠共0.00元",
        "#退款合计：1笔，商家实收退款共-40.00元，商家优惠退款共0.00元",
        "#导出时间：[2026年11月21日 05:46:49]",
    ]  # fmt: skip


def zm_line(
    number: int, fen: int = 10000, when: str = "1120100000", *, refund: bool = False, name: str = "某某物业"
) -> str:
    sign, back = ("D", "C") if refund else ("C", "D")
    values = {
        1: "S30" if refund else "S22", 5: when, 6: "621626*********0000", 7: f"{fen:012d}",
        10: f"{'3' if refund else '2'}{number:020d}", 12: f"{'R' if refund else 'U'}{number:07d}",
        16: f"{back}{60:012d}", 17: f"{sign}{fen - 60:012d}", 20: "04" if refund else "01",
        27: f"2{number:020d}" * refund, 28: MER, 31: name, 41: f"U{number:07d}" * refund,
    }  # fmt: skip
    raw = b" ".join(values.get(i, "").encode("gbk").ljust(width) for i, width in enumerate(ZM_WIDTHS, 1))
    return raw.decode("gbk")


def bank_lines() -> list[str]:
    return [
        f"H|20261120|{BRANCH}|{CO_NO}", "P|20261120|0000000001|B01|20261120100000|100.00|0.60|",
        "P|20261119|0000000001|B02|20261120100001|100.00|0.60|",
        "R|20261119|0000000001|B02|20261120110000|40.00|0.24|R1",
        "T|2|200.00|1|40.00|0.96",
    ]  # fmt: skip


MPGS_HEADER = "order_id,transaction_id,type,amount,currency,fee,net,status,settlement_date,created_at"


def mpgs_lines() -> list[str]:
    return [
        MPGS_HEADER, "M1,1,PAYMENT,100.00,CNY,0.60,99.40,SUCCESS,2026-11-21,2026-11-20T02:00:00Z",
        "M2,1,PAYMENT,10000,JPY,60,9940,SUCCESS,2026-11-21,2026-11-20T02:00:01Z",
        "M2,R2,REFUND,4000,JPY,-24,-3976,SUCCESS,2026-11-21,2026-11-20T03:00:00Z",
    ]  # fmt: skip


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


@dataclass(frozen=True)
class Format:
    """One channel's bill of three rows: its lines, how they become a file, and how it is read."""

    name: str
    lines: Callable[[], list[str]]
    encoding: str
    pack: Callable[[bytes], bytes]
    read: Callable[[Path, date], Iterator[BillRow]]

    def plain(self, lines: Sequence[str]) -> bytes:
        return "".join(f"{line}\r\n" for line in lines).encode(self.encoding)

    def write(self, path: Path, lines: Sequence[str], *, packed: bool = True) -> Path:
        path.write_bytes(self.pack(self.plain(lines)) if packed else self.plain(lines))
        return path

    def rows(self, path: Path, day: date = DAY) -> list[BillRow]:
        return list(self.read(path, day))


FORMATS = {
    f.name: f
    for f in (
        Format(
            "alipay", alipay_lines, "gbk",
            lambda raw: zipped({f"{SELLER}0156_20261120_业务明细(汇总).csv": b"#\r\n",
                                f"{SELLER}0156_20261120_业务明细.csv": raw}),
            lambda path, day: alipay.read(path, day=day, kind=BillKind.TRADE, seller_id=SELLER),
        ),
        Format(
            "wechat", wechat_lines, "utf-8", gzip.compress,
            lambda path, day: wechat.read(path, day=day, kind=BillKind.TRADE, mch_id=MCH),
        ),
        Format(
            "unionpay", lambda: [zm_line(1), zm_line(2), zm_line(2, 4000, refund=True)], "gbk",
            lambda raw: zipped({f"INN26112088ZME_{MER}": b"", f"INN26112088ZM_{MER}": raw}),
            lambda path, day: unionpay.read(path, day=day, mer_id=MER),
        ),
        Format(
            "bank", bank_lines, "utf-8", bytes,
            lambda path, day: bank.read(path, day=day, branch_id=BRANCH, co_no=CO_NO),
        ),
        Format("mpgs", mpgs_lines, "utf-8", bytes, lambda path, day: mpgs.read(path, day=day)),
    )
}  # fmt: skip
