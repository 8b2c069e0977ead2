"""Genuine messages of every channel that discovery finds, made by talking to its stand-in as the center does.

A new channel with a stand-in is sampled without a line here: the questions are the provider's own methods.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from channels.base import BillKind, ContractMethod, InboundRequest, Initiated, PayOrder, Provider, SignOrder
from channels.base.discovery import method_for, methods_of, provider_for
from paycenter.egress import EgressPolicy
from paycenter.errors import ChannelError
from paycenter.http import HttpClient, HttpResponse
from sandbox.context import Settings
from tests.contract.cases import NO_STAND_IN, Case, contracts
from tests.contract.desk import Contracts, Desk, payer_for
from tests.contract.test_bills import Days
from tests.contract.till import Till
from tests.sandbox.running import Merchant, Running
from trades.sending import instruction_data

_KINDS_OF_NOTICE = ("normal", "unsigned", "forged", "wrong_amount", "other_order")


class Tape(HttpClient):
    """Keeps the answers, files included."""

    def __init__(self) -> None:
        super().__init__(EgressPolicy(("127.0.0.0/8",)))
        self.answers: list[HttpResponse] = []

    def request(self, method: str, url: str, **options: Any) -> HttpResponse:
        self.answers.append(super().request(method, url, **options))
        return self.answers[-1]

    def download(self, method: str, url: str, into: Path, **options: Any) -> HttpResponse:
        answer = super().download(method, url, into, **options)
        self.answers.append(replace(answer, body=into.read_bytes() if into.exists() else answer.body))
        return answer


class Replay:
    """Stands in for the client of a provider and answers what it is given, one after the other, then the last again."""

    def __init__(self) -> None:
        self.answers: Sequence[HttpResponse] = ()
        self._at = 0

    def load(self, answers: Sequence[HttpResponse]) -> None:
        self.answers, self._at = answers, 0

    def request(self, _method: str, _url: str, **_options: Any) -> HttpResponse:
        answer = self.answers[min(self._at, len(self.answers) - 1)]
        self._at += 1
        return answer

    def download(self, method: str, url: str, into: Path, **_options: Any) -> HttpResponse:
        answer = self.request(method, url)
        if answer.status != 200:
            return answer
        into.write_bytes(answer.body)
        return replace(answer, body=b"")


@dataclass(frozen=True)
class Asked:
    """A question as the core asks it, and what the channel answered. `scene` is set where the scene is asked."""

    name: str
    arguments: tuple[Any, ...]
    answers: tuple[HttpResponse, ...]
    now: datetime
    scene: str = ""

    def put(self, provider: Provider) -> Any:
        """Ask it. Whatever the question is, a file it makes is gone afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            given = [Path(folder) / "bill" if a is Path else a for a in self.arguments]
            if self.scene:
                return getattr(method_for(self.scene), self.name)(provider, *given)
            return getattr(provider, self.name)(*given)


@dataclass
class Sampled:
    """What one contract with one channel has to say. `config` is the account's, `notices_at` when notices came."""

    channel: str
    mode: str
    config: Mapping[str, Any]
    now: datetime
    notices_at: datetime
    order: PayOrder
    asked: list[Asked] = field(default_factory=list)
    notices: list[InboundRequest] = field(default_factory=list)
    contract_notices: list[tuple[str, InboundRequest]] = field(default_factory=list)
    bills: list[tuple[BillKind, date, bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.channel}-{self.mode}"


def sample_all(folder: Path, wanted: Callable[[Case], bool] = lambda _case: True) -> list[Sampled]:
    """Every channel with every kind of contract, or those that are wanted."""
    days = Days()
    sandbox, merchant = Running(folder, Settings(refund_delay=0.02), days), Merchant()
    try:
        signed = Contracts(sandbox, days.now)
        made = [
            _Sampler(case, sandbox, signed, merchant, days) for case in contracts()
            if case.mode != NO_STAND_IN and wanted(case)
        ]  # fmt: skip
        for sampler in made:
            sampler.pay_and_ask()
        days.go(days.first + timedelta(days=2), 12)
        for sampler in made:
            sampler.fetch_bills()
        return [sampler.found for sampler in made]
    finally:
        sandbox.stop()
        merchant.stop()


class _Sampler:
    def __init__(self, case: Case, sandbox: Running, signed: Contracts, merchant: Merchant, days: Days) -> None:
        self.config = config = signed.config(case.channel, case.mode)
        self.case, self.days, self.tape = case, days, Tape()
        self.provider = provider_for(case.channel)(config, http=self.tape, clock=days.now)
        payer = payer_for(sandbox, self.provider, case.scene.payer_key)
        self.desk = Desk(case, sandbox, config, self.provider, merchant, payer)
        self._paid_no = ""
        self.found = Sampled(case.channel, case.mode, config, days.now(), days.now(), self._order()[1])

    def _order(self, **changes: Any) -> tuple[str, PayOrder]:
        now = self.days.now()
        return self.desk.order(sent_at=now, expire_at=now + timedelta(minutes=30), **changes)

    def ask(self, name: str, *arguments: Any, scene: str = "") -> Any:
        """Ask, and keep question and answers; None where the channel is not clear."""
        self.tape.answers.clear()
        question = Asked(name, arguments, (), self.days.now(), scene)
        try:
            # A new provider each time: the answers to a question then include a token that had to be fetched first.
            return question.put(provider_for(self.case.channel)(self.config, http=self.tape, clock=self.days.now))
        except (ChannelError, NotImplementedError):
            return None
        finally:
            if self.tape.answers:
                self.found.asked.append(replace(question, answers=tuple(self.tape.answers)))

    def pay_and_ask(self) -> None:
        self.ask("check")
        for scene in methods_of(self.case.channel):
            if isinstance(scene, ContractMethod):
                self._contract(scene.code)
            else:
                self._pay(scene.code)
        self._nothing_to_find()
        if self.provider.can_refund and self._paid_no:
            self._refund()
        if self.provider.payer_authorization:
            self.ask("payer_from_code", "CODE")
        if hasattr(self.provider, "refresh_certificates"):
            self.ask("refresh_certificates")
        self.found.notices_at = self.days.now()

    def _pay(self, scene: str) -> None:
        key = method_for(scene).payer_key
        payer = dict(self.desk.payer) or ({key.value: "payer-1"} if key else {})
        attempt_no, order = self._order(payer=payer)
        started = self.ask("pay", order, scene=scene)
        if not isinstance(started, Initiated):
            return
        self.ask("query", order)
        pay = instruction_data(started.instruction)
        if self.desk.payer_pays(attempt_no, pay, notify="none").status != 200:
            return
        paid = self.ask("query", order)
        if paid is not None:
            self.found.order = replace(order, memo=started.memo, channel_trade_no=paid.channel_trade_no)
            self._paid_no = attempt_no
        for kind in _KINDS_OF_NOTICE:
            self._told("POST", "/notify", {"attempt_no": attempt_no, "notify": kind})

    def _told(self, verb: str, path: str, data: dict[str, Any]) -> list[InboundRequest]:
        """What came to the merchant because of this."""
        told = self.desk.merchant.told
        before = len(told)
        self.desk.sandbox.control(verb, path, data)
        new = [_inbound(t.path, t.headers, t.body) for t in told[before:]]
        self.found.notices += new
        return new

    def _nothing_to_find(self) -> None:
        _no, order = self._order()
        self.ask("query", order)
        self.ask("close", order)
        attempt_no, unpaid = self._order()
        started = self.ask("pay", unpaid, scene=self.case.method)
        if isinstance(started, Initiated):
            with suppress(AssertionError):
                self.desk.opens(attempt_no, instruction_data(started.instruction))
            self.ask("close", unpaid)
            self.ask("query", unpaid)

    def _refund(self) -> None:
        till = Till(self.desk, self._paid_no, self.found.order, self.found.order.notify_url)
        part = till.refund_of(100, sent_at=self.days.now())
        self.ask("query_refund", part)
        result = self.ask("refund", part)
        asked = part if result is None else replace(part, memo=result.memo, channel_refund_no=result.channel_refund_no)
        self.ask("query_refund", asked)
        for kind in ("normal", "forged"):
            with suppress(AssertionError, IndexError):
                self.found.notices.append(till.falsely_told_of(part, kind))

    def _contract(self, scene: str) -> None:
        number = f"C{self.days.now():%H%M%S%f}"
        url = f"{self.desk.merchant.url}/notify/{scene}/contract/{number}"
        order = SignOrder(contract_no=number, notify_url=url, return_url=url, display_name="三栋 502")
        started = self.ask("sign", order, scene=scene)
        if not isinstance(started, Initiated):
            return
        self.ask("query_contract", order, scene=scene)
        path = f"/contracts/{number}"
        before = len(self.found.notices)
        self._told("POST", path, {"outcome": "sign", "pay": instruction_data(started.instruction)})
        for kind in ("normal", "forged"):
            self._told("POST", f"{path}/notify", {"notify": kind})
        self.found.contract_notices += [(scene, n) for n in self.found.notices[before:]]
        del self.found.notices[before:]
        answer = self.ask("query_contract", order, scene=scene)
        if answer is not None:
            _no, deducted = self._order(contract_no=answer.channel_contract_no)
            deducted = replace(deducted, memo={"contract_no": number})
            self.ask("pay", deducted, scene=scene)
            self.ask("query", deducted)
            self.ask("close", deducted)
            self.ask("terminate_contract", replace(order, channel_contract_no=answer.channel_contract_no), scene=scene)

    def fetch_bills(self) -> None:
        rule, day = self.provider.bill_rule(), self.days.first
        for kind in rule.kinds if rule else ():
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / "bill"
                with suppress(ChannelError):
                    self.provider.fetch_bill(day, kind, place)
                if place.exists():
                    self.found.bills.append((kind, day, place.read_bytes()))
            self.ask("fetch_bill", day, kind, Path)


def _inbound(target: str, headers: Mapping[str, str], body: bytes) -> InboundRequest:
    path = urlsplit(target)
    kept = {n: v for n, v in headers.items() if n not in ("host", "accept", "user-agent", "accept-encoding")}
    return InboundRequest(method="POST", path=path.path, query=path.query, headers=kept, body=body)

