"""Orders at the bank: numbers and days, repeating, expiring, closing, refunding, the statement."""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.sandbox.bank.client import BankMerchant, attempt_no, now, stamp
from tests.sandbox.running import Merchant


def code(answer: dict[str, str]) -> str:
    return answer["RspCode"]


class TestDays:
    def test_one_number_on_two_days_is_two_orders(self, bank: BankMerchant) -> None:
        today = bank.name()
        yesterday = today | {"Date": (now() - timedelta(days=1)).strftime("%Y%m%d")}
        bank.paid(yesterday)
        assert code(bank.query(today)) == "ORD0001"
        bank.open(bank.order(today, Amount="1.00"))
        assert (bank.query(today)["OrderStatus"], bank.query(yesterday)["OrderStatus"]) == ("UNPAID", "PAID")
        assert (bank.query(today)["Amount"], bank.query(yesterday)["Amount"]) == ("1.00", "12.34")

    def test_two_merchants_may_use_the_same_number(self, bank: BankMerchant, six: BankMerchant) -> None:
        mine, theirs = bank.name("0000990001"), six.name("990001")
        bank.open(bank.order(mine))
        six.paid(theirs)
        assert (bank.query(mine)["OrderStatus"], six.query(theirs)["OrderStatus"]) == ("UNPAID", "PAID")

    def test_the_controls_know_an_order_by_the_end_of_its_notice_address(self, bank: BankMerchant) -> None:
        name = bank.name()
        order = bank.order(name)
        bank.query(name)
        bank.open(order)
        seen = bank.sandbox.control("GET", f"/payments/{attempt_no(order)}").json
        assert (seen["channel_order_no"], seen["state"], seen["amount"]) == (name["BillNo"], "unpaid", 1234)
        assert seen["calls"] == {"query": 1, "pay": 1}

    def test_a_false_notice_about_an_order_nobody_has(self, bank: BankMerchant, merchant: Merchant) -> None:
        order = bank.order(bank.name(), Amount="77.77")
        bank.open(order)
        bank.sandbox.control("POST", "/notify", {"attempt_no": attempt_no(order), "notify": "other_order"})
        fields = bank.notice(merchant.wait(1)[0])
        assert (fields["BillNo"], fields["Date"]) != (order["BillNo"], order["Date"])
        assert len(fields["BillNo"]) == 10


class TestRepeating:
    def test_the_same_again_is_the_same_order(self, bank: BankMerchant) -> None:
        order = bank.order(bank.name())
        assert bank.open(order).headers["location"] == bank.open(order).headers["location"]

    @pytest.mark.parametrize("change", [{"Amount": "12.35"}, {"Subject": "水费"}, {"Scene": "WAP"}])
    def test_anything_else_is_refused(self, bank: BankMerchant, change: dict[str, str]) -> None:
        name = bank.name()
        bank.open(bank.order(name))
        assert "ORD0004" in bank.open(bank.order(name, **change)).text

    def test_a_paid_order_is_paid_once(self, bank: BankMerchant) -> None:
        order = bank.order(bank.name())
        bank.open(order)
        data = {"attempt_no": attempt_no(order)}
        assert bank.sandbox.control("POST", "/pay", data).status == 200
        assert bank.sandbox.control("POST", "/pay", data).status == 409
        assert bank.open(order).status == 303


class TestEnds:
    def test_closing(self, bank: BankMerchant) -> None:
        name = bank.name()
        assert code(bank.call("/close", "close", **name)) == "ORD0001"
        order = bank.order(name)
        bank.open(order)
        for _time in range(2):
            answer = bank.call("/close", "close", **name)
            assert (code(answer), answer["OrderStatus"]) == ("SUC0000", "CLOSED")
        assert bank.query(name)["OrderStatus"] == "CLOSED"
        assert bank.sandbox.control("POST", "/pay", {"attempt_no": attempt_no(order)}).status == 409

    def test_a_paid_order_is_not_closed(self, bank: BankMerchant) -> None:
        name = bank.name()
        bank.paid(name)
        assert code(bank.call("/close", "close", **name)) == "ORD0002"
        assert bank.query(name)["OrderStatus"] == "PAID"

    def test_expiry(self, bank: BankMerchant, moving: list[float]) -> None:
        name = bank.name()
        order = bank.order(name, ExpireTime=stamp(now() + timedelta(seconds=120)))
        bank.open(order)
        moving[0] = 115
        assert bank.query(name)["OrderStatus"] == "UNPAID"
        moving[0] = 121
        assert bank.query(name)["OrderStatus"] == "EXPIRED"
        assert code(bank.call("/close", "close", **name)) == "ORD0003"
        assert bank.sandbox.control("POST", "/pay", {"attempt_no": attempt_no(order)}).status == 409
        late = bank.order(bank.name(), ExpireTime=stamp(now() + timedelta(seconds=60)))
        assert "ORD0003" in bank.open(late).text

    def test_a_payer_comes_back_with_a_signature(self, bank: BankMerchant) -> None:
        order = bank.order(bank.name())
        bank.open(order)
        paid = bank.sandbox.control("POST", "/pay", {"attempt_no": attempt_no(order)}).json
        fields = dict(parse_qsl(urlsplit(paid["return_url"]).query))
        assert fields.pop("a") == "b"
        assert bank.verifies(fields)
        assert (fields["MsgType"], fields["BillNo"]) == ("return", order["BillNo"])
        assert "OrderStatus" not in fields


class TestRefunds:
    def refund(self, bank: BankMerchant, name: dict[str, str], number: str, amount: str, **more: Any) -> dict[str, str]:
        return bank.call("/refund", "refund", **name, RefundNo=number, Amount=amount, **more)

    def ended(self, bank: BankMerchant, number: str) -> dict[str, str]:
        deadline = time.monotonic() + 5
        while True:
            answer = bank.call("/refund/query", "refund_query", RefundNo=number)
            if answer.get("RefundStatus") != "PROCESSING" or time.monotonic() > deadline:
                return answer
            time.sleep(0.05)

    def test_accepted_then_done_and_told(self, bank: BankMerchant, merchant: Merchant) -> None:
        name = bank.name()
        bank.paid(name)
        merchant.wait(1)
        address = f"{merchant.url}/refunds/R1"
        first = self.refund(bank, name, "R1", "2.34", NoticeUrl=address, Reason="多收")
        assert (code(first), first["RefundStatus"]) == ("SUC0000", "PROCESSING")
        again = self.refund(bank, name, "R1", "2.34", NoticeUrl=address)
        assert again["RefundSerialNo"] == first["RefundSerialNo"]
        done = self.ended(bank, "R1")
        assert (done["RefundStatus"], done["Amount"], done["BillNo"]) == ("SUCCESS", "2.34", name["BillNo"])
        assert bank.query(name)["RefundedAmount"] == "2.34"
        told = merchant.wait(2)[1]
        assert told.path == "/refunds/R1"
        fields = bank.notice(told)
        assert (fields["MsgType"], fields["RefundNo"], fields["RefundAmount"], fields["RefundStatus"]) == (
            "notice.refund", "R1", "2.34", "SUCCESS",
        )  # fmt: skip

    def test_refusals(self, bank: BankMerchant, moving: list[float]) -> None:
        unpaid, paid = bank.name(), bank.name()
        bank.open(bank.order(unpaid))
        bank.paid(paid)
        assert code(self.refund(bank, bank.name(), "X1", "1.00")) == "ORD0001"
        assert code(self.refund(bank, unpaid, "X1", "1.00")) == "REF0004"
        assert code(self.refund(bank, paid, "X1", "12.35")) == "REF0001"
        assert code(self.refund(bank, paid, "X-1", "1.00")) == "PAR0001"
        assert code(self.refund(bank, paid, "X1", "1")) == "PAR0001"
        assert code(self.refund(bank, paid, "X1", "12.00")) == "SUC0000"
        assert code(self.refund(bank, paid, "X1", "11.00")) == "REF0002"
        assert code(self.refund(bank, bank.name(), "X1", "12.00")) == "REF0002", "the number before the order"
        assert code(self.refund(bank, paid, "X2", "0.35")) == "REF0001"
        assert code(bank.call("/refund/query", "refund_query", RefundNo="X9")) == "REF0003"
        moving[0] = 181 * 86400
        late = stamp(now() + timedelta(days=181))
        assert code(self.refund(bank, paid, "X3", "0.34", Timestamp=late)) == "REF0004"

    def test_a_refund_that_the_controls_let_fail(self, bank: BankMerchant) -> None:
        name = bank.name()
        bank.paid(name)
        bank.sandbox.control("POST", "/refunds/F1", {"outcome": "fail"})
        assert self.refund(bank, name, "F1", "12.34")["RefundStatus"] == "PROCESSING"
        assert self.ended(bank, "F1")["RefundStatus"] == "FAILED"
        assert "RefundedAmount" not in bank.query(name)
        assert code(self.refund(bank, name, "F2", "12.34")) == "SUC0000"


class TestStatement:
    def lines(self, content: bytes) -> list[list[str]]:
        assert content.endswith(b"\r\n")
        return [line.split("|") for line in content.decode().split("\r\n")[:-1]]

    def test_a_day_with_money(self, six: BankMerchant, moving: list[float]) -> None:
        name = six.name()
        number = six.paid(name, Amount="100.00")
        six.sandbox.control("POST", "/refunds", {"attempt_no": number, "amount": 3000})
        day = now().strftime("%Y-%m-%d")
        made = six.sandbox.control("GET", f"/bill/P-six/{day}")
        rows = self.lines(made.body)
        assert rows[0] == ["H", name["Date"], six.config["branch_id"], six.config["co_no"]]
        mine = [row for row in rows if row[0] in "PR" and row[2] == name["BillNo"]]
        assert [(row[0], row[1], row[5], row[6]) for row in mine] == [
            ("P", name["Date"], "100.00", "0.60"), ("R", name["Date"], "30.00", "0.18"),
        ]  # fmt: skip
        assert all(len(row) == 8 for row in rows[1:-1])
        paid, back = ([r for r in rows if r[0] == kind] for kind in "PR")
        assert rows[-1][:2] + rows[-1][3:4] == ["T", str(len(paid)), str(len(back))]

        date = {"StatementDate": name["Date"]}
        assert code(six.call("/statement", "statement", **date)) == "STM0001"
        moving[0] = 34 * 3600
        later = stamp(now() + timedelta(hours=34))
        answer = six.call("/statement", "statement", **date, Timestamp=later)
        assert base64.b64decode(answer["Content"]) == made.body
        assert answer["FileName"] == f"{six.config['branch_id']}{six.config['co_no']}_{name['Date']}.txt"

    def test_edits_and_a_day_without_money(self, bank: BankMerchant) -> None:
        edits = [{"op": "add", "attempt_no": "A-NOBODY", "kind": "payment", "amount": 500}]
        assert bank.sandbox.control("POST", "/bill/P-ten/2026-01-02/edits", edits).status == 200
        rows = self.lines(bank.sandbox.control("GET", "/bill/P-ten/2026-01-02").body)
        assert rows[1][:3] == ["P", "20260102", "A-NOBODY"]
        assert rows[2] == ["T", "1", "5.00", "0", "0.00", "0.03"]
        empty = self.lines(bank.sandbox.control("GET", "/bill/P-ten/2026-01-03").body)
        assert [row[0] for row in empty] == ["H", "T"]
