"""The soak's checker finds what it is for: a book that agrees, and every way to doctor it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy.soak.books import Books, concerning
from deploy.soak.checker import differences
from deploy.soak.consent import people_needed, policies_of
from tests.soak.sample import A1, A2, R1, T, body, decided, message, receipt, refund


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
    "a message before its commit": (_set("receipts", 0, at=9.9999), "acknowledged after commit"),
    "a message that was never committed": (_set("notifications", 0, committed_at=None), "acknowledged after commit"),
    "a message nobody wrote": (_set("receipts", 0, webhook_id="m0"), "apps were told"),
    "a message with a wrong signature": (_set("receipts", 0, genuine=False), "apps were told"),
    "stray money that was not told": (_set("notifications", 1, type="trade.other"), "apps were told"),
    "a broken chain": (lambda books: setattr(books, "chain", "event seq 3 was altered"), "events"),
    "a gap in the chain": (_set("events", 4, seq=9), "events"),
    "paid without its event": (_set("events", 1, type="x"), "events"),
    "paid twice by its events": (_set("events", 4, type="trade.paid", refund_no=""), "events"),
    "an answer about a trade that is gone": (_set("answers", 0, data={"trade_no": "T0"}), "acknowledged after commit"),
    "a trade answered before its commit": (_set("trades", 0, committed_at=2.50001), "acknowledged after commit"),
    "a gopay answered before its commit": (_set("events", 5, committed_at=2.50001), "acknowledged after commit"),
    "a gopay of an attempt that was never sent": (_drop("events", 5), "acknowledged after commit"),
    "paying answered before its commit": (_set("events", 6, committed_at=2.50001), "acknowledged after commit"),
    "a refund answered before its commit": (_set("refunds", 0, committed_at=12.50001), "acknowledged after commit"),
    "a refund answered whose commit nobody saw": (_set("refunds", 0, committed_at=None), "acknowledged after commit"),
    "approved answered before its commit": (_set("events", 7, committed_at=12.50001), "acknowledged after commit"),
    "paid answered before its commit": (_set("answers", 2, at=9.0), "acknowledged after commit"),
    "a decision that is gone": (_drop("approvals", 0), "acknowledged after commit"),
    "the same decision a second time, which is gone": (_add("decisions", at=15.0), "acknowledged after commit"),
    "a decision that came through before its commit": (
        _set("approvals", 0, committed_at=14.10001), "acknowledged after commit"),
    "a notification acknowledged before its commit": (
        _set("channel_notices", 0, acknowledged_at=9.9999), "acknowledged after commit"),
    "sent without anybody": (lambda books: books.approvals.clear(), "approved by enough people"),
    "sent with one approval instead of two": (_drop("approvals", 2), "approved by enough people"),
    "approved twice by one": (_set("approvals", 2, approver_username="finance"), "approved by enough people"),
    "approved in two rounds": (_set("approvals", 2, round=2), "approved by enough people"),
    "approved over another amount": (_set("approvals", 2, amount=299), "approved by enough people"),
    "approved by who had asked": (_add("approvals", approver_username="clerk"), "approved by enough people"),
    "approved by who chose the amount": (
        _set("refunds", 0, changed_by_username="finance2"), "approved by enough people"),
    "sent by itself without a policy": (
        lambda books: (books.policies.clear(), books.approvals.clear()), "approved by enough people"),
    "an event an app skipped": (_drop("events_read", 2), "apps read every event"),
    "an event an app read twice": (_add("events_read", id=8), "apps read every event"),
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


@pytest.mark.parametrize(
    ("values", "people"),
    [
        ({"amount": 100}, 0), ({"amount": 101}, 1), ({"amount": 250}, 1), ({"amount": 251}, 2),
        ({"amount": 50, "source": "admin"}, 1), ({"amount": 50, "requested_amount": 60}, 1),
        ({"amount": 80, "source": "policy"}, 1), ({"amount": 50, "app_id": "OTHER"}, 1),
    ],
)  # fmt: skip
def test_people_needed_follow_from_the_policy(books: Books, values: dict[str, object], people: int) -> None:
    books.policies[0]["abnormal_automatic_up_to"] = 70
    wanted = {**refund(R1, 100, 12.0), "requested_amount": values["amount"], **values}
    assert people_needed(policies_of(books), wanted) == people


def test_what_was_held_after_it_was_sent_needs_nobody_again(books: Books) -> None:
    books.approvals.append(decided(R1, "finance", 15.0, round=3, decision="hold"))
    assert differences(books) == []


def test_the_rows_of_a_difference_are_all_rows_of_its_trade(books: Books) -> None:
    rows = concerning(books, [R1])
    assert [r["trade_no"] for r in rows["trades"]] == [T]
    assert {r["attempt_no"] for r in rows["channel_payments"]} == {A1, A2}
    assert len(rows["receipts"]) == 4
    assert not any(concerning(books, ["unknown"]).values())
