"""What the bank's gateway takes, and in which words it refuses everything else."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

import pytest

from tests.sandbox.bank.client import BankMerchant, attempt_no, now, stamp


def test_an_order_from_page_to_notice(bank: BankMerchant, merchant: object) -> None:
    name = bank.name()
    assert bank.query(name)["RspCode"] == "ORD0001"
    order = bank.order(name)
    assert bank.open(order).headers["location"].startswith("/wallet/bank/")
    unpaid = bank.query(name)
    assert (unpaid["RspCode"], unpaid["OrderStatus"], unpaid["Amount"]) == ("SUC0000", "UNPAID", "12.34")
    assert (unpaid["BillNo"], unpaid["Date"]) == (name["BillNo"], name["Date"])
    assert "PaidTime" not in unpaid
    bank.sandbox.control("POST", "/pay", {"attempt_no": attempt_no(order)})
    paid = bank.query(name)
    assert paid["OrderStatus"] == "PAID"
    assert paid["CardType"] == "DEBIT"
    assert len(paid["BankSerialNo"]) == 28
    notice = bank.notice(merchant.wait(1)[0])  # type: ignore[attr-defined]
    same = ("BillNo", "Date", "Amount", "OrderStatus", "BankSerialNo", "PaidTime", "CardType", "PayerAccount")
    assert {k: notice[k] for k in same} == {k: paid[k] for k in same}
    assert (notice["MsgType"], notice["BranchID"]) == ("notice.payment", bank.config["branch_id"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"CoNo": "999999"}, "AUT0001"), ({"BranchID": None}, "AUT0001"), ({"Signature": "AAAA"}, "AUT0002"),
        ({"SignType": "RSA"}, "AUT0002"), ({"SignType": None}, "AUT0002"), ({"Version": "2.0"}, "PAR0001"),
        ({"MsgType": "close"}, "PAR0001"), ({"Timestamp": None}, "PAR0001"), ({"Timestamp": "20261121"}, "PAR0001"),
        ({"Timestamp": stamp(now() - timedelta(minutes=16))}, "AUT0003"),
        ({"Timestamp": stamp(now() + timedelta(hours=3))}, "AUT0003"),
        ({"BillNo": None}, "PAR0001"), ({"BillNo": "12345"}, "PAR0001"), ({"Date": None}, "PAR0001"),
        ({"Date": "20261331"}, "PAR0001"), ({"Date": "2026-11-21"}, "PAR0001"),
    ],
)  # fmt: skip
def test_server_calls_are_checked(bank: BankMerchant, change: dict[str, str | None], code: str) -> None:
    assert bank.call("/query", "query", **({"BillNo": "0000000001", "Date": "20261121"} | change))["RspCode"] == code


def test_an_unknown_merchant_gets_no_signature(bank: BankMerchant) -> None:
    answer = bank.post("/query", urlencode(bank.fields("query", **bank.name(), CoNo="999999")))
    fields = dict(parse_qsl(answer.text))
    assert fields["RspCode"] == "AUT0001"
    assert "Signature" not in fields


def test_digits_moved_between_branch_and_merchant_are_nobody(bank: BankMerchant) -> None:
    branch_id, co_no = bank.config["branch_id"], bank.config["co_no"]
    moved = bank.fields("query", **bank.name(), BranchID=branch_id[:3], CoNo=branch_id[3:] + co_no)
    assert dict(parse_qsl(bank.post("/query", urlencode(moved)).text))["RspCode"] == "AUT0001"


@pytest.mark.parametrize("body", ["a", "{}", "BillNo=%FF", "CoNo=", "a=1&a=2", "%00=1"])
def test_bodies_that_are_no_form(bank: BankMerchant, body: str) -> None:
    fields = dict(parse_qsl(bank.post("/query", body).text))
    assert fields["RspCode"] == "PAR0001"


@pytest.mark.parametrize(
    "change",
    [
        {"Amount": "0.00"}, {"Amount": "12.3"}, {"Amount": "012.34"}, {"Amount": "1,234.00"}, {"Amount": "-1.00"},
        {"Amount": None}, {"Subject": None}, {"Subject": "物" * 65}, {"Scene": "pc"}, {"Scene": None},
        {"NoticeUrl": None}, {"NoticeUrl": "ftp://x/y"}, {"ReturnUrl": "javascript:alert(1)"}, {"ExpireTime": None},
        {"ExpireTime": "soon"}, {"ExpireTime": stamp(now() + timedelta(days=33))},
        {"Date": stamp(now() + timedelta(days=3))[:8]},
        {"Date": stamp(now() - timedelta(days=34))[:8]}, {"BillNo": "000001"}, {"BillNo": "00000000001"},
        {"BillNo": "000000000A"}, {"CardType": "HUABEI"}, {"Subject": "a&Amount=0.01"}, {"Subject": "a\nb"},
        {"MsgType": "query"},
    ],
    ids="-".join,  # the field's name: some of the values change with the clock
)  # fmt: skip
def test_a_wrong_order_is_an_error_page(bank: BankMerchant, change: dict[str, str | None]) -> None:
    name = bank.name()
    page = bank.open(bank.order(name | {k: v for k, v in change.items() if v}, **change))
    assert page.status == 200
    assert "PAR0001" in page.text
    assert bank.query(name)["RspCode"] == "ORD0001"


def test_an_order_signed_by_somebody_else(bank: BankMerchant, six: BankMerchant) -> None:
    order = bank.order(bank.name())
    forged = six.order(bank.name(order["BillNo"]), BranchID=bank.config["branch_id"], CoNo=bank.config["co_no"])
    assert "AUT0002" in bank.open(forged).text


@pytest.mark.parametrize("which", ["bank", "six"])
def test_each_contract_has_its_own_length(
    bank: BankMerchant, six: BankMerchant, which: str, request: pytest.FixtureRequest
) -> None:
    one: BankMerchant = request.getfixturevalue(which)
    other = six if one is bank else bank
    assert one.open(one.order(one.name())).status == 303
    assert "PAR0001" in one.open(one.order(other.name())).text


def test_a_page_names_nothing_that_was_put_into_it(bank: BankMerchant) -> None:
    page = bank.post("/pay", urlencode({"<script>alert(1)</script>": "1"}))
    assert page.status == 200
    assert "<script>" not in page.text
