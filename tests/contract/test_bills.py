"""Every channel with bills: what happened on a day is what the day's bill says, whole or not at all.

The sandbox and the provider live by one clock of the test's own, so that days pass and 23:30 comes.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from channels.base import BillKind, BillRow, BillRowKind, BillRowState, BillRule
from paycenter.errors import BillNotReady, BillRefused, NotSent, UnknownOutcome
from sandbox.context import Settings
from sandbox.faults import Fault
from tests.contract import cases
from tests.contract.cases import NO_STAND_IN
from tests.contract.desk import HTTP, Contracts, Desk, payer_for, require_stand_in
from tests.sandbox.running import Merchant, Running

PAYMENT, REFUND = BillRowKind.PAYMENT, BillRowKind.REFUND
# What leaves nothing to read.
DEADLY = {Fault.TIMEOUT, Fault.RESET, Fault.HTTP500, Fault.GARBAGE, Fault.LOST_REPLY}
BEIJING = ZoneInfo("Asia/Shanghai")


class Days:
    """A clock that the test moves; it begins at noon of tomorrow, so that keys made today are valid."""

    def __init__(self) -> None:
        self.first = datetime.now(BEIJING).date() + timedelta(days=1)
        self._ahead = 0.0
        self.go(self.first, 12)

    def go(self, day: date, hour: int, minute: int = 0) -> None:
        self._ahead = datetime.combine(day, clock_time(hour, minute), BEIJING).timestamp() - time.time()

    def __call__(self) -> float:
        return time.time() + self._ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self(), UTC)


@dataclass
class Happened:
    """What was paid and given back through one contract: (kind, order, amount) and when."""

    desk: Desk
    key: str
    events: list[tuple[datetime, tuple[BillRowKind, str, int]]] = field(default_factory=list)

    def pays(self, days: Days, give_back: int = 0) -> None:
        now = days.now()
        attempt_no, order = self.desk.order(sent_at=now, expire_at=now + timedelta(minutes=30))
        self.desk.paid(attempt_no, self.desk.started(order))
        self.events.append((days.now(), (PAYMENT, order.order_no, order.amount.minor)))
        if give_back:
            data = {"attempt_no": attempt_no, "amount": give_back}
            assert self.desk.sandbox.control("POST", "/refunds", data).status == 200
            self.events.append((days.now(), (REFUND, order.order_no, give_back)))

    @property
    def rule(self) -> BillRule:
        rule = self.desk.provider.bill_rule()
        assert rule is not None
        return rule

    def of(self, day: date) -> Counter[tuple[BillRowKind, str, int]]:
        start, end = self.rule.bounds(day)
        return Counter(event for moment, event in self.events if start <= moment < end)

    def bill(self, day: date, into: Path, kind: BillKind = BillKind.TRADE) -> list[BillRow]:
        fetched = self.desk.provider.fetch_bill(day, kind, into)
        assert (fetched.day, fetched.kind) == (day, kind)
        if not into.exists():
            assert fetched.empty
            return []
        return list(self.desk.provider.read_bill(into, day, kind))


def told(rows: list[BillRow]) -> Counter[tuple[BillRowKind, str, int]]:
    return Counter((row.kind, row.order_no, row.amount.minor) for row in rows)


@pytest.fixture(scope="module")
def days() -> Days:
    return Days()


@pytest.fixture(scope="module")
def bill_sandbox(tmp_path_factory: pytest.TempPathFactory, days: Days) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("bill-sandbox"), Settings(refund_delay=0.1), days)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def history(bill_sandbox: Running, days: Days, told_merchant: Merchant) -> dict[str, Happened]:
    """The same two days for every contract with bills. In the end it is noon after them."""
    contracts, made = Contracts(bill_sandbox, days.now), dict[str, Happened]()
    for case in cases.contracts():
        if case.mode == NO_STAND_IN:
            continue
        config = contracts.config(case.channel, case.mode)
        provider = case.provider(config, http=HTTP, clock=days.now)
        if provider.bill_rule() is None:
            continue
        payer = payer_for(bill_sandbox, provider, case.scene.payer_key)
        desk = Desk(case, bill_sandbox, config, provider, told_merchant, payer)
        made[str(case)] = Happened(desk, contracts.keys[case.channel, case.mode])
    for happened in made.values():
        happened.pays(days)
        happened.pays(days, give_back=1234)
    days.go(days.first, 23, 30)
    for happened in made.values():
        happened.pays(days, give_back=55)
    days.go(days.first + timedelta(days=2), 12)
    return made


@pytest.fixture(params=cases.contracts(), ids=str)
def happened(request: pytest.FixtureRequest, history: dict[str, Happened]) -> Iterator[Happened]:
    case = request.param
    require_stand_in(case.channel)
    found = history.get(str(case))
    if found is None:
        pytest.skip(f"{case.channel} ({case.mode}) has no bills")
    yield found
    found.desk.sandbox.control("DELETE", "/faults")


def test_what_happened_is_in_the_bill_of_its_day(happened: Happened, days: Days, tmp_path: Path) -> None:
    for later in (0, 1):
        day = days.first + timedelta(days=later)
        rows = happened.bill(day, tmp_path / f"bill-{later}")
        assert told(rows) == happened.of(day)
    assert sum(happened.of(days.first + timedelta(days=n)).total() for n in (0, 1)) == len(happened.events)


def test_rows_say_what_a_query_says(happened: Happened, days: Days, tmp_path: Path) -> None:
    provider, rows = happened.desk.provider, happened.bill(days.first, tmp_path / "bill")
    start, end = happened.rule.bounds(days.first)
    assert len({row.line for row in rows}) == len(rows) > 0
    for row in rows:
        assert start <= row.occurred_at < end
        assert row.amount.currency == happened.desk.case.currency
        assert row.fee is not None
        assert abs(row.fee.minor) <= row.amount.minor
        assert (row.fee.minor > 0) is (row.kind is PAYMENT)
        assert bool(row.refund_no) is (row.kind is REFUND)
        assert row.state is BillRowState.SUCCEEDED
        assert bool(row.order_day) is (provider.number_rule() is not None)
        assert row.channel_trade_no
    by_order = {row.order_no: {r.channel_trade_no for r in rows if r.order_no == row.order_no} for row in rows}
    assert all(len(numbers) == 1 for numbers in by_order.values()), "a refund names its payment's number"


def test_a_fund_bill_moves_the_same_money(happened: Happened, days: Days, tmp_path: Path) -> None:
    if BillKind.FUND not in happened.rule.kinds:
        pytest.skip("it has no fund-flow bill")
    rows = happened.bill(days.first, tmp_path / "bill", BillKind.FUND)
    trade = happened.bill(days.first, tmp_path / "trade")
    for kind in (PAYMENT, REFUND):
        assert sorted(r.amount.minor for r in rows if r.kind is kind) == sorted(
            r.amount.minor for r in trade if r.kind is kind
        )
    fees = sum(r.amount.minor for r in rows if r.kind is BillRowKind.FEE)
    assert -fees == sum(r.fee.minor for r in trade if r.fee) != 0


def test_a_day_without_money_is_empty(happened: Happened, days: Days, tmp_path: Path) -> None:
    for kind in happened.rule.kinds:
        assert happened.bill(days.first - timedelta(days=1), tmp_path / kind, kind) == []


def test_a_day_that_is_not_over_is_not_ready(happened: Happened, days: Days, tmp_path: Path) -> None:
    for kind in happened.rule.kinds:
        with pytest.raises(BillNotReady):
            happened.bill(days.now().astimezone(BEIJING).date(), tmp_path / "bill", kind)
    assert list(tmp_path.iterdir()) == []


def test_it_is_there_when_the_rule_says_so(happened: Happened, days: Days, tmp_path: Path) -> None:
    day, ready = days.first, happened.rule.ready(days.first).astimezone(BEIJING)
    try:
        days.go(ready.date(), ready.hour - 1, 59)
        with pytest.raises(BillNotReady):
            happened.bill(day, tmp_path / "bill")
        days.go(ready.date(), ready.hour, 1)
        assert told(happened.bill(day, tmp_path / "bill")) == happened.of(day)
    finally:
        days.go(days.first + timedelta(days=2), 12)


@pytest.mark.parametrize("operation", ["bill", "bill_file"])
@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_leaves_all_of_it_or_nothing(
    happened: Happened, days: Days, tmp_path: Path, fault: Fault, operation: str
) -> None:
    desk, into = happened.desk, tmp_path / "bill"
    data = {"channel": desk.case.channel, "operation": operation, "fault": fault, "times": 99, "seconds": 0.3}
    assert desk.sandbox.control("POST", "/faults", data).status == 200
    rows, refused = None, False
    try:
        rows = happened.bill(days.first, into)
    except (UnknownOutcome, NotSent):
        assert not into.exists()
    except BillRefused:
        refused = True
    met = desk.end_faults()
    if rows is not None:
        assert told(rows) == happened.of(days.first)
        assert not (met and fault in DEADLY)
    assert not refused or fault is Fault.GARBAGE
    assert told(happened.bill(days.first, into)) == happened.of(days.first), "it works again"


def test_a_bill_that_differs_from_the_book_says_so(happened: Happened, days: Days, tmp_path: Path) -> None:
    day = days.first + timedelta(days=1 - (happened.rule.cut.hour == 23))
    stranger = f"X{secrets.token_hex(8).upper()}"
    edits: list[dict[str, Any]] = [{"op": "add", "attempt_no": stranger, "kind": "payment", "amount": 777, "fee": 5}]
    url = f"/bill/{happened.key}/{day.isoformat()}/edits"
    before = told(happened.bill(day, tmp_path / "before"))
    assert happened.desk.sandbox.control("POST", url, edits).status == 200
    after = told(happened.bill(day, tmp_path / "after"))
    assert after - before == Counter({(PAYMENT, stranger, 777): 1})
    assert not before - after


def test_another_accounts_or_another_days_bill_is_refused(
    happened: Happened, days: Days, history: dict[str, Happened], tmp_path: Path
) -> None:
    into = tmp_path / "bill"
    happened.bill(days.first, into)
    with pytest.raises(BillRefused):
        list(happened.desk.provider.read_bill(into, days.first + timedelta(days=40), BillKind.TRADE))
    with pytest.raises(BillRefused):
        list(happened.desk.provider.read_bill(into, days.first - timedelta(days=1), BillKind.TRADE))
    for other in history.values():
        if other.desk.case.channel != happened.desk.case.channel:
            with pytest.raises(BillRefused):
                list(other.desk.provider.read_bill(into, days.first, BillKind.TRADE))


def test_half_a_bill_is_refused(happened: Happened, days: Days, tmp_path: Path) -> None:
    """Wherever it is cut: a reader may only be content with the whole."""
    into, cut = tmp_path / "bill", tmp_path / "cut"
    happened.bill(days.first, into)
    whole = into.read_bytes()
    for size in sorted({0, 1, 10, len(whole) // 3, len(whole) // 2, len(whole) - 40, len(whole) - 3}):
        cut.write_bytes(whole[:size])
        with pytest.raises(BillRefused):
            list(happened.desk.provider.read_bill(cut, days.first, BillKind.TRADE))


