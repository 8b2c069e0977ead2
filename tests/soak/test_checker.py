"""The soak's checker finds what it is for: a book that agrees, and every way to doctor it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from deploy.soak.books import Books, concerning
from deploy.soak.checker import differences

T, A1, A2, R1, R2 = "T1", "A1", "A2", "R1", "R2"


def body(webhook_id: str, type_: str, **data: str) -> str:
    return json.dumps({"id": webhook_id, "type": type_, "created_at": "x", "data": data})


def message(number: str, type_: str, at: float, refund_no: str = "") -> dict:
    data = {"trade_no": T, **({"refund_no": refund_no} if refund_no else {})}
    return {
        "webhook_id": number, "app_id": "APP", "type": type_, "trade_no": T, "refund_no": refund_no,
        "state": "delivered", "body": body(number, type_, **data), "created_at": at, "next_delivery_at": None,
    }  # fmt: skip


def receipt(of: dict, at: float) -> dict:
    return {"at": at, "webhook_id": of["webhook_id"], "type": of["type"], "body": of["body"], "genuine": True,
            "acknowledged": True}  # fmt: skip


def event(seq: int, type_: str, at: float, **numbers: str) -> dict:
    blank = {"trade_no": T, "attempt_no": "", "refund_no": ""}
    return {"id": seq, "seq": seq, "type": type_, "object_type": "x", "to_state": "", "actor": "x", "created_at": at,
            "app_id": "APP", "public": True, **blank, **numbers}  # fmt: skip


def refund(number: str, amount: int, at: float, **values: object) -> dict:
    return {
        "refund_no": number, "channel_request_no": number, "app_refund_no": f"app-{number}", "trade_no": T,
        "attempt_no": A1, "abnormal_id": None, "amount": amount, "requested_amount": amount, "state": "succeeded",
        "route": "original", "source": "api", "counted_as_external": False, "sends": 1, "requested_at": at,
        "next_send_at": None, "next_query_at": None, **values,
    }  # fmt: skip


def attempt(number: str) -> dict:
    return {
        "attempt_no": number, "trade_no": T, "state": "succeeded", "amount": 1000, "paid_amount": 1000,
        "paid_currency": "CNY", "channel_trade_no": f"CH{number}", "channel": "alipay", "created_at": 1.0,
        "submitted_at": 2.0, "next_query_at": None, "next_close_at": None,
    }  # fmt: skip


def at_channel(number: str) -> dict:
    return {"id": 1, "channel": "alipay", "order_no": number, "attempt_no": number, "trade_no": f"CH{number}",
            "state": "paid", "paid_amount": 1000, "currency": "CNY", "paid_at": 9.0}  # fmt: skip


def case(state: str) -> dict:
    return {"id": 1, "account_channel": "alipay", "subject": "payment", "kind": "missing_here", "state": state,
            "trade_no": "", "attempt_no": A1, "refund_no": "", "our_amount": None, "channel_amount": 5}  # fmt: skip


@pytest.fixture
def books() -> Books:
    """One trade paid twice; 300 of it given back, 200 refused by people."""
    messages = [message("m1", "trade.paid", 10.0), message("m2", "trade.duplicate_paid", 11.0),
                message("m3", "refund.succeeded", 20.0, R1), message("m4", "refund.rejected", 21.0, R2)]  # fmt: skip
    return Books(
        trades=[{
            "id": 1, "trade_no": T, "app_id": "APP", "app_order_no": "O1", "amount": 1000, "currency": "CNY",
            "state": "paid", "paid_amount": 1000, "refunded_amount": 300, "refunding_amount": 0,
            "external_refunded": 0, "settled_attempt_no": A1, "created_at": 1.0, "next_close_at": None,
        }],
        attempts=[attempt(A1), attempt(A2)],
        abnormal=[{"id": 7, "trade_no": T, "attempt_no": A2, "kind": "duplicate", "state": "open", "amount": 1000,
                   "refunded_amount": 0, "refunding_amount": 0, "external_refunded": 0}],
        refunds=[refund(R1, 300, 12.0), refund(R2, 200, 13.0, state="rejected")],
        approvals=[{"refund_no": R2, "approver_username": "finance", "decision": "reject", "decided_at": 14.0}],
        notifications=messages,
        events=[event(1, "attempt.succeeded", 10.0, attempt_no=A1), event(2, "trade.paid", 10.0),
                event(3, "attempt.succeeded", 11.0, attempt_no=A2), event(4, "refund.succeeded", 20.0, refund_no=R1),
                event(5, "refund.rejected", 21.0, refund_no=R2)],
        channel_payments=[at_channel(A1), at_channel(A2)],
        channel_refunds=[{"id": 1, "refund_no": R1, "attempt_no": A1, "amount": 300, "state": "success", "console": 0}],
        channel_notices=[{"id": 1, "attempt_no": A1, "channel": "alipay", "acknowledged_at": 10.2}],
        answers=[
            {"at": 2.5, "path": "/v1/gopay", "errno": 0, "content": {}, "data": {"trade_no": T, "attempt_no": A1,
                                                                                  "state": "paying"}},
            {"at": 12.5, "path": "/v1/refund", "errno": 0, "content": {}, "data": {"refund_no": R1, "trade_no": T,
                                                                                    "state": "approved"}},
            {"at": 30.0, "path": "/v1/query/trade", "errno": 0, "content": {},
             "data": {"trade_no": T, "state": "paid"}},
        ],
        events_read=[{"app_id": "APP", "id": seq, "seq": seq} for seq in range(1, 6)],
        bills=[{"channel": "alipay", "account": "Z1", "day": "2026-11-26", "state": "imported"}],
        cases=[case("settled"), case("carried")],
        receipts=[receipt(m, m["created_at"] + 1) for m in messages],
        decisions=[{"at": 14.1, "refund_no": R2, "user": "finance", "decision": "reject"}],
    )  # fmt: skip


def test_books_that_agree_show_no_difference(books: Books) -> None:
    assert differences(books) == []


def _set(table: str, index: int, **values: object) -> Callable[[Books], None]:
    def doctor(books: Books) -> None:
        getattr(books, table)[index].update(values)

    return doctor


def _drop(table: str, index: int) -> Callable[[Books], None]:
    def doctor(books: Books) -> None:
        del getattr(books, table)[index]

    return doctor


def _add(table: str, **values: object) -> Callable[[Books], None]:
    def doctor(books: Books) -> None:
        rows = getattr(books, table)
        rows.append({**rows[-1], **values})

    return doctor


DOCTORED = {
    "money at the channel nobody booked": (_set("attempts", 1, state="closed"), "money that arrived"),
    "booked in another amount": (_set("attempts", 0, paid_amount=999), "money that arrived"),
    "booked without money": (_set("channel_payments", 1, state="unpaid"), "money that arrived"),
    "a second payment dropped": (_set("abnormal", 0, state="void"), "money is placed"),
    "booked twice": (_add("abnormal", attempt_no=A1, id=8), "money is placed"),
    "a trade counting too much": (_set("trades", 0, paid_amount=2000), "money is placed"),
    "a sum not reserved": (_add("refunds", refund_no="R3", channel_request_no="R3", state="processing"), "sums"),
    "a sum never freed": (_set("trades", 0, refunding_amount=200), "sums of refunds"),
    "more on its way than was paid": (_set("refunds", 1, state="approved", amount=800), "sums of refunds"),
    "given back under a number nobody knows": (_add("channel_refunds", refund_no="R9", id=2), "money given back"),
    "given back twice under one number": (_add("channel_refunds", id=2), "money given back"),
    "given back, and failed here": (_set("refunds", 0, state="failed"), "money given back"),
    "given back here only": (_drop("channel_refunds", 0), "money given back"),
    "given back in another amount": (_set("channel_refunds", 0, amount=301), "money given back"),
    "more given back than paid": (_add("channel_refunds", console=1, amount=800, refund_no="C", id=3), "given back"),
    "a refund of others that nobody made": (
        _add("refunds", refund_no="X", channel_request_no="X", source="external", state="succeeded",
             counted_as_external=True), "money given back"),
    "something left due": (lambda books: books.due.update({"open trades": 1}), "nothing is left due"),
    "a message never written": (_drop("notifications", 0), "apps were told"),
    "a message written twice": (_add("notifications", webhook_id="m9", type="trade.paid", refund_no=""), "apps"),
    "a message given up": (_set("notifications", 2, state="given_up"), "apps were told"),
    "a message the app never got": (_drop("receipts", 2), "apps were told"),
    "a message the app refused": (_set("receipts", 2, acknowledged=False), "apps were told"),
    "another wording": (_set("receipts", 0, body=body("m1", "trade.paid", trade_no="T2")), "apps were told"),
    "a message before its commit": (_set("receipts", 0, at=9.0), "apps were told"),
    "a message nobody wrote": (_set("receipts", 0, webhook_id="m0"), "apps were told"),
    "a message with a wrong signature": (_set("receipts", 0, genuine=False), "apps were told"),
    "stray money that was not told": (_set("notifications", 1, type="trade.other"), "apps were told"),
    "a broken chain": (lambda books: setattr(books, "chain", "event seq 3 was altered"), "events"),
    "a gap in the chain": (_set("events", 4, seq=7), "events"),
    "paid without its event": (_set("events", 1, type="x"), "events"),
    "paid twice by its events": (_set("events", 4, type="trade.paid", refund_no=""), "events"),
    "an answer about a trade that is gone": (_set("answers", 0, data={"trade_no": "T0"}), "acknowledged after commit"),
    "a gopay answered before its commit": (_set("answers", 0, at=1.5), "acknowledged after commit"),
    "a refund answered before its commit": (_set("answers", 1, at=11.0), "acknowledged after commit"),
    "paid answered before its commit": (_set("answers", 2, at=9.0), "acknowledged after commit"),
    "a decision that is gone": (_drop("approvals", 0), "acknowledged after commit"),
    "a notification acknowledged before its commit": (
        _set("channel_notices", 0, acknowledged_at=9.5), "acknowledged after commit"),
    "an event an app skipped": (_drop("events_read", 2), "apps read every event"),
    "an event an app read twice": (_add("events_read", id=5), "apps read every event"),
    "events read in another order": (_set("events_read", 0, id=9), "apps read every event"),
    "an event of another app": (_set("events", 3, app_id="OTHER"), "apps read every event"),
    "a bill that was refused": (_set("bills", 0, state="refused line 3"), "bills agree"),
    "a payment of a bill nobody has here": (_set("cases", 0, state="open"), "bills agree"),
    "a notification acknowledged for nothing": (_set("channel_notices", 0, attempt_no="A7"), "acknowledged"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCTORED)
def test_a_doctored_book_is_found_out(books: Books, name: str) -> None:
    doctor, rule = DOCTORED[name]
    doctor(books)
    found = differences(books)
    assert any(rule in one.rule for one in found), [str(one) for one in found]


def test_late_money_that_was_accepted_stands_in_both_places(books: Books) -> None:
    """It pays its trade after all, and its abnormal payment says how it came to that."""
    books.abnormal.append({**books.abnormal[0], "id": 8, "attempt_no": A1, "kind": "late", "state": "accepted"})
    late = message("m5", "trade.duplicate_paid", 10.0)
    books.notifications.append(late)
    books.receipts.append(receipt(late, 10.5))
    assert differences(books) == []


def test_the_rows_of_a_difference_are_all_rows_of_its_trade(books: Books) -> None:
    rows = concerning(books, [R1])
    assert [r["trade_no"] for r in rows["trades"]] == [T]
    assert {r["attempt_no"] for r in rows["channel_payments"]} == {A1, A2}
    assert len(rows["receipts"]) == 4
    assert not any(concerning(books, ["unknown"]).values())
