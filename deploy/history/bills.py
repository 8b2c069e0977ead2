"""What channels say of each day, which differences there are, and what the bank received."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, NamedTuple

from deploy.history.cast import Account, Cast, bill_day, fee_of
from deploy.history.chain import Chain
from deploy.history.clock import DAY, EAST, HOUR, MINUTE, SECOND, day_text, digits, iso
from deploy.history.links import Happened
from deploy.history.tables import Table
from deploy.history.words import Words
from reconciliation.models import BankProfile, BankReceipt, Bill, BillRow, Case, ReconciliationDay, SettlementBatch

SYSTEM = "system:reconciliation"
ONE_IN = 3000  # rows that differ
_SUMS = ("count", "paid", "refunds", "refunded", "fee", "without_fee")


class Paid(NamedTuple):
    """A success at a channel."""

    at: int
    attempt_id: int
    attempt_no: str
    trade_no: str
    app_pk: int
    app_id: str
    channel_trade_no: str
    amount: int
    currency: str
    method: str


class Returned(NamedTuple):
    """A refund that succeeded at a channel."""

    at: int
    refund_id: int
    refund_no: str
    trade_no: str
    app_pk: int
    attempt_no: str
    channel_trade_no: str
    channel_refund_no: str
    amount: int
    currency: str


class Bills:
    """Collects movements by account and day, and writes the bills of days that are over."""

    def __init__(self, cast: Cast, words: Words, chain: Chain, now: int, log_from: int) -> None:
        self.accounts, self.staff, self.words, self.random = cast.accounts, cast.staff, words, words.random
        self.chain, self.now, self.log_from = chain, now, log_from
        self.apps = {line.app_pk: line.app_id for line in cast.lines}
        self._paid: dict[tuple[int, int], list[Paid]] = defaultdict(list)
        self._returned: dict[tuple[int, int], list[Returned]] = defaultdict(list)
        self.bills = Table(
            Bill, "id", "account_id", "day", "kind", "state", "file_name", "rows_read", "totals", "imported_at",
            "created_at", "version", "run",
        )  # fmt: skip
        self.rows = Table(
            BillRow, "bill_id", "line", "account_id", "kind", "state", "key", "amount", "currency", "fee",
            "occurred_at", "order_no", "channel_trade_no", "refund_no", "channel_refund_no", "channel_state",
        )  # fmt: skip
        self.days = Table(ReconciliationDay, "id", "account_id", "day", "matched_at", "ours", "theirs")
        self.cases = Table(
            Case, "id", "account_id", "app_id", "day", "subject", "kind", "state", "key", "bill_id", "line",
            "attempt_id", "record_id", "trade_no", "attempt_no", "our_amount", "channel_amount", "currency",
            "difference", "evidence", "carry_until", "outcome", "reason", "proposed_by_id", "closed_by_id",
            "next_ask_at", "opened_at", "finished_at", "version",
        )  # fmt: skip
        self.batches = Table(
            SettlementBatch, "id", "batch_no", "account_id", "date", "currency", "state", "first_day", "last_day",
            "paid", "refunded", "expected", "fee", "received", "finished_at", "version",
        )  # fmt: skip
        self.receipts = Table(
            BankReceipt, "id", "profile_id", "account_id", "batch_id", "received_on", "amount", "currency", "reference",
            "purpose", "file_sha256", "line",
        )  # fmt: skip
        self.tables = (self.bills, self.rows, self.days, self.cases, self.batches, self.receipts)
        columns = {"date_column": "日期", "amount_column": "金额", "reference_column": "流水号"}
        self._profile = BankProfile.objects.get_or_create(name="演示银行", defaults=columns)[0]

    def paid(self, channel: str, account_id: int, one: Paid) -> None:
        self._paid[account_id, bill_day(channel, one.at)].append(one)

    def returned(self, channel: str, account_id: int, one: Returned) -> None:
        self._returned[account_id, bill_day(channel, one.at)].append(one)

    def write_before(self, day: int) -> None:
        """The bills of all days before this one, of which nothing may come any more."""
        over = {key for key in {**self._paid, **self._returned} if key[1] < day}
        for key in sorted(over, key=_by_day):
            account_id, number = key
            _Day(self, self.accounts[account_id], number).write(self._paid.pop(key, []), self._returned.pop(key, []))

    def event(self, at: int, type_: str, kind: str, number: int, account: Account, **more: Any) -> None:
        if at >= self.log_from:
            self.chain.add(Happened(at, type_, kind, number, more.pop("actor", SYSTEM), merchant_no=account.merchant_no,
                                    **more))  # fmt: skip


def _by_day(key: tuple[int, int]) -> tuple[int, int]:
    return key[1], key[0]


class _Day:
    """One account's day."""

    def __init__(self, book: Bills, account: Account, number: int) -> None:
        self.book, self.account, self.number, self.text = book, account, number, day_text(number)
        self.imported = (number + 1) * DAY - EAST + 10 * HOUR + int(book.random.random() * 20 * MINUTE)
        self.bill_id, self.line, self.open = book.bills.next_id(), 0, False
        self.theirs: dict[str, dict[str, int]] = {}
        self.ours: dict[str, dict[str, int]] = {}

    def write(self, paid: list[Paid], returned: list[Returned]) -> None:
        """Bill, rows, comparison, settlement, as of a day that the channel published."""
        if self.imported + HOUR > self.book.now:  # the channel has not published it yet
            self.book.bills.last_id -= 1
            self._await()
            return
        # The channel's time of a payment may be a little out of our order.
        for one in sorted(paid):
            self._count(self.ours, one.currency, "count", "paid", one.amount)
            self._pay_row(one)
        for back in sorted(returned):
            self._count(self.ours, back.currency, "refunds", "refunded", back.amount)
            self._refund_row(back)
        self._bill()
        for currency, sums in self.theirs.items():
            self._settle(currency, sums)

    def _await(self) -> None:
        """Nothing compares it yet; the day's row says that it is to come."""
        self.book.days.add(self.book.days.next_id(), self.account.pk, self.text, None, "{}", "{}")

    def _count(self, sums: dict[str, dict[str, int]], currency: str, count: str, total: str, amount: int) -> None:
        of = sums.setdefault(currency, dict.fromkeys(_SUMS, 0))
        of[count] += 1
        of[total] += amount

    # ---- rows ----
    def _pay_row(self, one: Paid) -> None:
        fee, kind = fee_of(self.account.channel, one.amount), self._difference()
        if kind == "missing_at_channel":
            self._case(kind, one, one.amount, None, fee, None)
            return
        amount = one.amount + 100 if kind == "amount" else one.amount
        charged = fee + 1 if kind == "fee" else fee
        self._row("payment", one.at, one.attempt_no, amount, one.currency, charged, one.channel_trade_no)
        self._count(self.theirs, one.currency, "count", "paid", amount)
        self.theirs[one.currency]["fee"] += charged
        if kind in ("amount", "fee"):
            self._case(kind, one, one.amount, amount, fee, charged)
        if kind == "missing_here":
            stranger = f"X{one.attempt_no[1:]}"
            own = f"9{one.channel_trade_no[1:]}"
            self._row("payment", one.at + 60 * SECOND, stranger, one.amount, one.currency, fee, own)
            self._count(self.theirs, one.currency, "count", "paid", one.amount)
            self.theirs[one.currency]["fee"] += fee
            self._case(kind, one._replace(attempt_no=stranger), None, one.amount, None, fee)

    def _difference(self) -> str:
        if self.book.random.randrange(ONE_IN):
            return ""
        return self.book.random.choice(("amount", "fee", "missing_here", "missing_at_channel"))

    def _refund_row(self, one: Returned) -> None:
        self._row("refund", one.at, one.attempt_no, one.amount, one.currency, 0, one.channel_trade_no, one.refund_no,
                  one.channel_refund_no)  # fmt: skip
        self._count(self.theirs, one.currency, "refunds", "refunded", one.amount)

    def _row(
        self, kind: str, at: int, order_no: str, amount: int, currency: str, fee: int, channel_no: str,
        refund_no: str = "", channel_refund_no: str = "",
    ) -> None:  # fmt: skip
        self.line += 1
        self.book.rows.add(
            self.bill_id, self.line, self.account.pk, kind, "succeeded", refund_no or order_no, amount, currency, fee,
            at, order_no, channel_no, refund_no, channel_refund_no, "SUCCESS",
        )  # fmt: skip

    # ---- differences ----
    def _case(
        self, kind: str, one: Paid, ours: int | None, theirs: int | None, fee: int | None, charged: int | None
    ) -> None:
        """Closed by finance within two days, unless it is younger."""
        book, number, age = self.book, self.book.cases.next_id(), (self.book.now - self.imported) / DAY
        difference = 1 if kind == "fee" else 100 if kind == "amount" else one.amount
        carried, closed = kind == "missing_at_channel" and age < 2, age >= 4
        state = "closed" if closed else "carried" if carried else "open"
        self.open |= state == "open"
        opened = self.imported + 2 * MINUTE
        finished = opened + int((6 + book.random.random() * 40) * HOUR) if closed else None
        known = kind != "missing_here"
        (first, second), outcome = book.staff[:2], "elsewhere" if kind == "missing_here" else "corrected"
        two = closed and difference > 100_000
        book.cases.add(
            number, self.account.pk, one.app_pk if known else None, self.text, "payment", kind, state, one.attempt_no,
            self.bill_id if theirs is not None else None, self.line if theirs is not None else None,
            one.attempt_id if known else None, one.attempt_id if known else None, one.trade_no if known else "",
            one.attempt_no if known else "", ours, theirs, one.currency, difference,
            json.dumps(self._evidence(one, ours, theirs, fee, charged)), day_text(self.number + 2) if carried else None,
            outcome if closed else "", "已与渠道核对" if closed else "", first[0] if two else None,
            second[0] if closed else None, None, opened, finished, 2 if closed else 1,
        )  # fmt: skip
        names = {"app_id": one.app_id, "trade_no": one.trade_no, "attempt_no": one.attempt_no} if known else {}
        detail = f'{{"currency":"{one.currency}","difference":{difference},"kind":"{kind}"}}'
        book.event(opened, f"case.{'carried' if carried else 'opened'}", "case", number, self.account, detail=detail,
                   after="carried" if carried else "open", **names)  # fmt: skip
        if finished is not None:
            book.event(finished, "case.closed", "case", number, self.account, actor=second[1], before="open",
                       after="closed", reason="已与渠道核对", detail=detail, **names)  # fmt: skip

    def _evidence(self, one: Paid, ours: int | None, theirs: int | None, fee: int | None, charged: int | None) -> Any:
        """As `reconciliation.recording.evidence` writes it."""
        mine = ours is not None and {
            "amount": ours, "currency": one.currency, "state": "succeeded", "at": iso(one.at), "fee": fee,
            "method": one.method, "channel_trade_no": one.channel_trade_no, "order_no": one.attempt_no,
        }  # fmt: skip
        row = theirs is not None and {
            "amount": theirs, "currency": one.currency, "state": "succeeded", "at": iso(one.at), "fee": charged,
            "channel_trade_no": one.channel_trade_no, "line": self.line, "order_no": one.attempt_no, "refund_no": "",
            "channel_refund_no": "", "channel_state": "SUCCESS",
        }  # fmt: skip
        return {"ours": mine or None, "theirs": row or None}

    # ---- the day as a whole ----
    def _bill(self) -> None:
        book, account, matched = self.book, self.account, self.imported + 2 * MINUTE
        totals = json.dumps(self.theirs)
        book.bills.add(
            self.bill_id, account.pk, self.text, "trade", "imported", f"{account.payment_no}-{self.text}.csv",
            self.line, totals, self.imported, self.imported - MINUTE, 4, 1,
        )  # fmt: skip
        ours = {currency: {name: sums[name] for name in _SUMS[:4]} for currency, sums in self.ours.items()}
        number = book.days.next_id()
        book.days.add(number, account.pk, self.text, matched, json.dumps(ours), totals)
        detail = f'{{"day":"{self.text}","kind":"trade","payment_no":"{account.payment_no}"}}'
        book.event(self.imported, "bill.imported", "bill", self.bill_id, account, before="importing", after="imported",
                   detail=detail)  # fmt: skip
        detail = f'{{"day":"{self.text}","payment_no":"{account.payment_no}"}}'
        book.event(matched, "reconciliation.compared", "reconciliationday", number, account, detail=detail)

    def _settle(self, currency: str, sums: dict[str, int]) -> None:
        """What the bank should receive on the next day, and did unless something is open or it is too early."""
        book, number, date = self.book, self.book.batches.next_id(), day_text(self.number + 1)
        expected, at = sums["paid"] - sums["refunded"], self.imported + 5 * HOUR
        arrived = at <= book.now and expected - sums["fee"] != 0
        state = "blocked" if self.open else "settled" if arrived else "expected"
        received = expected - sums["fee"] if arrived else None
        book.batches.add(
            number, f"S{digits(self.imported)[:8]}{number:019d}", self.account.pk, date, currency, state,
            self.text, self.text, sums["paid"], sums["refunded"], expected, sums["fee"], received,
            at if state == "settled" else None, 2,
        )  # fmt: skip
        if received is not None:
            book.receipts.add(
                book.receipts.next_id(), book._profile.pk, self.account.pk, number, date, received, currency,
                f"DEMO{self.account.payment_no}{number:010d}", "渠道结算款", "0" * 64, number,
            )  # fmt: skip
        if state == "settled":
            detail = f'{{"batch_no":"S{digits(self.imported)[:8]}{number:019d}","date":"{date}"}}'
            book.event(at, "batch.settled", "settlementbatch", number, self.account, before="expected",
                       after="settled", detail=detail)  # fmt: skip
