"""Whether all books agree to the cent: pure functions from `Books` to differences, in words for a person."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from deploy.soak.books import Books, Row
from deploy.soak.consent import sent_as_decided
from deploy.soak.difference import Check, Difference
from deploy.soak.promises import (
    answers_were_committed,
    decisions_were_committed,
    messages_were_committed,
    notices_were_committed,
)

RESERVING = ("pending_approval", "on_hold", "approved", "processing")
# Their beginning is told to the app, once each.
TOLD_OF_TRADE = {"paid": "trade.paid", "closed": "trade.closed", "failed": "trade.failed"}
TOLD_OF_REFUND = ("succeeded", "failed", "rejected", "cancelled")


def differences(books: Books) -> list[Difference]:
    """All of them; empty when everything agrees."""
    return [found for check in CHECKS for found in check(books)]


def money_that_arrived(books: Books) -> Iterator[Difference]:
    """Every payment in the channel's book is booked once, with its amount and number; nothing else is."""
    rule = "money that arrived"
    ours = {row["attempt_no"]: row for row in books.attempts}
    paid = {row["attempt_no"]: row for row in books.channel_payments if row["state"] == "paid"}
    for number, theirs in paid.items():
        attempt = ours.get(number)
        if attempt is None or attempt["state"] != "succeeded":
            state = attempt["state"] if attempt else "unknown"
            words = f"the channel has {theirs['paid_amount']} for attempt {number}, which is {state} here"
            yield Difference(rule, words, (number,))
            continue
        said = (theirs["paid_amount"], theirs["currency"])
        if (attempt["paid_amount"], attempt["paid_currency"]) != said:
            yield Difference(rule, f"attempt {number}: the channel took {said}, booked are {attempt['paid_amount']}"
                             f" {attempt['paid_currency']}", (number,))  # fmt: skip
    for number, attempt in ours.items():
        if attempt["state"] == "succeeded" and number not in paid:
            yield Difference(rule, f"attempt {number} succeeded here, the channel has no money for it", (number,))


def money_is_placed(books: Books) -> Iterator[Difference]:
    """A success pays its trade or is one abnormal payment, never both and never neither."""
    rule = "money is placed"
    settling = {row["settled_attempt_no"]: row for row in books.trades if row["settled_attempt_no"]}
    strays = defaultdict(list)
    for row in books.abnormal:
        if row["state"] != "void":
            strays[row["attempt_no"]].append(row)
    for attempt in books.attempts:
        number, stray = attempt["attempt_no"], strays.get(attempt["attempt_no"], [])
        trade = settling.get(number)
        if attempt["state"] != "succeeded":
            if trade is not None:
                yield Difference(rule, f"attempt {number} pays trade {trade['trade_no']} and is {attempt['state']}",
                                 (number,))  # fmt: skip
            continue
        if (trade is not None) == bool(stray) and not (trade and stray[0]["state"] == "accepted"):
            places = f"{'pays its trade' if trade else 'pays nothing'}, {len(stray)} abnormal"
            yield Difference(rule, f"attempt {number} succeeded: {places}", (number,))
        if trade is not None and trade["paid_amount"] != attempt["paid_amount"]:
            yield Difference(rule, f"trade {trade['trade_no']} counts {trade['paid_amount']}, its attempt brought"
                             f" {attempt['paid_amount']}", (number, trade["trade_no"]))  # fmt: skip
        if any(row["amount"] != attempt["paid_amount"] for row in stray):
            yield Difference(rule, f"abnormal payment of {number} counts another amount than arrived", (number,))


def sums_fit(books: Books) -> Iterator[Difference]:
    """succeeded + in flight <= paid, and the sums are those of the refunds."""
    rule = "sums of refunds"
    by_source = defaultdict(list)
    for row in books.refunds:
        by_source[(row["trade_no"], row["abnormal_id"])].append(row)
    for trade in books.trades:
        rows = by_source.get((trade["trade_no"], None), [])
        yield from _sums(rule, f"trade {trade['trade_no']}", trade, trade["paid_amount"], rows)
    for stray in books.abnormal:
        rows = by_source.get((stray["trade_no"], stray["id"]), [])
        yield from _sums(rule, f"abnormal payment of {stray['attempt_no']}", stray, stray["amount"], rows)


def _sums(rule: str, name: str, source: Row, paid: int, rows: list[Row]) -> Iterator[Difference]:
    numbers = (source["trade_no"],)
    in_flight = sum(r["amount"] for r in rows if r["state"] in RESERVING and r["source"] != "external")
    succeeded = [r for r in rows if r["state"] == "succeeded"]
    wanted = {
        "refunding_amount": in_flight,
        "refunded_amount": sum(r["amount"] for r in succeeded if not r["counted_as_external"]),
        "external_refunded": sum(r["amount"] for r in succeeded if r["counted_as_external"]),
    }
    for column, amount in wanted.items():
        if source[column] != amount:
            yield Difference(rule, f"{name}: {column} is {source[column]}, its refunds make {amount}", numbers)
    if wanted["refunded_amount"] + in_flight > paid:
        words = f"{name}: {wanted['refunded_amount']} given back and {in_flight} under way, of {paid} paid"
        yield Difference(rule, words, numbers)


def money_given_back(books: Books) -> Iterator[Difference]:
    """Each refund number moved money at most once, and both books name the same ones with the same amounts."""
    rule = "money given back"
    ours = {row["channel_request_no"]: row for row in books.refunds}
    moved = [row for row in books.channel_refunds if row["state"] == "success" and not row["console"]]
    for number, times in Counter(row["refund_no"] for row in moved).items():
        if times > 1:
            yield Difference(rule, f"refund {number} moved money {times} times", (number,))
    for theirs in moved:
        refund = ours.get(theirs["refund_no"])
        if refund is None:
            words = f"the channel gave {theirs['amount']} back under {theirs['refund_no']}, unknown here"
            yield Difference(rule, words, (theirs["refund_no"], theirs["attempt_no"]))
        elif (refund["state"], refund["amount"]) != ("succeeded", theirs["amount"]):
            yield Difference(rule, f"refund {refund['refund_no']}: the channel gave back {theirs['amount']}, here it is"
                             f" {refund['state']} over {refund['amount']}", (refund["refund_no"],))  # fmt: skip
    given = {row["refund_no"] for row in moved}
    for number, refund in ours.items():
        own = refund["route"] == "original" and refund["source"] != "external"
        if own and refund["state"] == "succeeded" and number not in given:
            yield Difference(rule, f"refund {number} succeeded here, the channel gave nothing back", (number,))
    yield from _not_more_than_was_paid(rule, books)


def _not_more_than_was_paid(rule: str, books: Books) -> Iterator[Difference]:
    back: Counter[str] = Counter()
    consoles: Counter[str] = Counter()
    for row in books.channel_refunds:
        if row["state"] == "success":
            back[row["attempt_no"]] += row["amount"]
            consoles[row["attempt_no"]] += row["amount"] if row["console"] else 0
    for payment in books.channel_payments:
        if back[payment["attempt_no"]] > payment["paid_amount"]:
            yield Difference(rule, f"the channel gave {back[payment['attempt_no']]} back of {payment['paid_amount']}",
                             (payment["attempt_no"],))  # fmt: skip
    elsewhere: Counter[str] = Counter()
    for row in books.refunds:
        if row["source"] == "external" and row["state"] == "succeeded":
            elsewhere[row["attempt_no"]] += row["amount"]
    for number, amount in elsewhere.items():
        if amount > consoles[number]:
            yield Difference(rule, f"attempt {number}: {amount} counted as given back by others, the channel's console"
                             f" gave {consoles[number]}", (number,))  # fmt: skip


def nothing_is_due(books: Books) -> Iterator[Difference]:
    """After settling nothing waits for anything."""
    for name, count in books.due.items():
        numbers = _unfinished(books)[:20]
        yield Difference("nothing is left due", f"{count} {name}: {', '.join(numbers)}", tuple(numbers))


def _unfinished(books: Books) -> list[str]:
    trades = [r["trade_no"] for r in books.trades if r["state"] in ("waiting", "paying", "confirming")]
    attempts = [r["attempt_no"] for r in books.attempts if r["next_query_at"] or r["next_close_at"]]
    refunds = [r["refund_no"] for r in books.refunds
               if r["state"] in RESERVING or r["next_send_at"] or r["next_query_at"]]  # fmt: skip
    told = [r["webhook_id"] for r in books.notifications if r["next_delivery_at"]]
    return [*trades, *attempts, *refunds, *told]


def apps_were_told(books: Books) -> Iterator[Difference]:
    """Every final state and all stray money was told once, reached its app word for word, and nothing else did."""
    rule = "apps were told"
    written = Counter((r["type"], r["refund_no"] or r["trade_no"]) for r in books.notifications)
    for trade in books.trades:
        type_ = TOLD_OF_TRADE.get(trade["state"])
        if type_ and written[(type_, trade["trade_no"])] != 1:
            count = written[(type_, trade["trade_no"])]
            words = f"trade {trade['trade_no']} is {trade['state']}, {count} messages {type_} were written"
            yield Difference(rule, words, (trade["trade_no"],))
    for refund in books.refunds:
        type_ = f"refund.{refund['state']}"
        if refund["state"] in TOLD_OF_REFUND and written[(type_, refund["refund_no"])] < 1:
            yield Difference(rule, f"no message {type_} was written for refund {refund['refund_no']}",
                             (refund["refund_no"],))  # fmt: skip
    opened = Counter(r["trade_no"] for r in books.abnormal if r["state"] not in ("void", "unverified"))
    for number, count in opened.items():
        if written[("trade.duplicate_paid", number)] != count:
            yield Difference(rule, f"trade {number} has {count} stray payments,"
                             f" {written[('trade.duplicate_paid', number)]} were told", (number,))  # fmt: skip
    yield from _received(rule, books)


def _received(rule: str, books: Books) -> Iterator[Difference]:
    frozen = {row["webhook_id"]: row for row in books.notifications}
    acknowledged = {row["webhook_id"] for row in books.receipts if row["acknowledged"]}
    for row in books.receipts:
        message = frozen.get(row["webhook_id"])
        about = _names(row["body"])
        if message is None:
            yield Difference(rule, f"an app received {row['webhook_id']} ({row['type']}), which nobody wrote", about)
        elif message["body"] != row["body"]:
            yield Difference(rule, f"{row['webhook_id']} reached the app with other words than were written", about)
        if not row["genuine"]:
            yield Difference(rule, f"{row['webhook_id']} carries no valid signature", about)
    for number, message in frozen.items():
        if message["state"] == "delivered" and number not in acknowledged:
            yield Difference(rule, f"{number} ({message['type']}) counts as delivered, the app never acknowledged it",
                             (message["trade_no"],))  # fmt: skip
        if message["state"] != "delivered":
            yield Difference(rule, f"{number} ({message['type']}) is {message['state']}", (message["trade_no"],))


def _names(body: str) -> tuple[str, ...]:
    data = json.loads(body).get("data") or {}
    return tuple(str(data[name]) for name in ("trade_no", "refund_no") if data.get(name))


def events_tell_the_same(books: Books) -> Iterator[Difference]:
    """The chain holds, without a gap, and has each final state once."""
    rule = "events"
    if books.chain:
        yield Difference(rule, books.chain)
    numbers = sorted(row["seq"] for row in books.events if row["seq"] is not None)
    if numbers != list(range(1, len(numbers) + 1)):
        yield Difference(rule, f"{len(numbers)} numbered events do not run from 1 to {len(numbers)}")
    count = Counter((row["type"], row["refund_no"] or row["trade_no"]) for row in books.events)
    for trade in books.trades:
        for state, type_ in TOLD_OF_TRADE.items():
            events = count[(type_, trade["trade_no"])]
            if state != "closed" and events != (trade["state"] == state):
                words = f"trade {trade['trade_no']} is {trade['state']} and has {events} events {type_}"
                yield Difference(rule, words, (trade["trade_no"],))
    for refund in books.refunds:
        if count[("refund.succeeded", refund["refund_no"])] != (refund["state"] == "succeeded"):
            yield Difference(rule, f"refund {refund['refund_no']} is {refund['state']} and has"
                             f" {count[('refund.succeeded', refund['refund_no'])]} events of success",
                             (refund["refund_no"],))  # fmt: skip


def apps_read_every_event(books: Books) -> Iterator[Difference]:
    """From a cursor on, each app has read every event that is for it, once and in order, whatever died meanwhile."""
    rule = "apps read every event"
    wanted, read = defaultdict(list), defaultdict(list)
    for event in sorted(books.events, key=lambda row: row["seq"] or 0):
        if event["public"] and event["app_id"]:
            wanted[event["app_id"]].append(event["id"])
    for row in books.events_read:
        read[row["app_id"]].append(row["id"])
    for app_id in sorted({*wanted, *read}):
        if wanted[app_id] != read[app_id]:
            skipped = [one for one in wanted[app_id] if one not in set(read[app_id])]
            words = (f"app {app_id} read {len(read[app_id])} events of {len(wanted[app_id])}; never those with id"
                     f" {skipped[:10]}")  # fmt: skip
            yield Difference(rule, words, (app_id,))


def bills_agree(books: Books) -> Iterator[Difference]:
    """The channels' bills of the run were believed, and nothing in them is missing or different here."""
    rule = "bills agree"
    for bill in books.bills:
        if bill["state"] not in ("imported", "empty"):
            yield Difference(rule, f"{bill['channel']} {bill['account']} of {bill['day']}: {bill['state']}")
    for case in books.cases:
        if case["state"] in ("open", "closing"):
            numbers = tuple(case[name] for name in ("trade_no", "attempt_no", "refund_no") if case[name])
            yield Difference(rule, f"{case['account_channel']} {case['subject']} {case['kind']}: ours"
                             f" {case['our_amount']}, theirs {case['channel_amount']}", numbers)  # fmt: skip


CHECKS: tuple[Check, ...] = (
    money_that_arrived, money_is_placed, sums_fit, money_given_back, nothing_is_due, apps_were_told,
    events_tell_the_same, answers_were_committed, decisions_were_committed, messages_were_committed,
    notices_were_committed, sent_as_decided, apps_read_every_event, bills_agree,
)  # fmt: skip
