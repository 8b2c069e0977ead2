"""One merchant's contract with one channel: orders to send, a payer with a phone, and the channel's own book."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from channels.base import CloseOutcome, Initiated, PayerKey, PaymentState, PayOrder, PayResult, Provider
from channels.base.config import clean_config
from channels.base.discovery import provider_for
from channels.base.provider import Clock, utc_now
from paycenter.egress import EgressPolicy
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import HttpClient
from paycenter.money import Money
from sandbox.channel import channel_classes
from sandbox.store import Store
from tests.contract.cases import NO_STAND_IN, Case
from tests.sandbox.running import Answer, Merchant, Running, sign_contract
from trades.sending import instruction_data

HTTP = HttpClient(EgressPolicy(("127.0.0.0/8",)))
AMOUNT = 8801
CLIENT_IP = "203.0.113.9"
# Faults in which nothing, or too little, comes in time.
WITHOUT_END = {"timeout", "slow", "drip"}
_TIMES = 99
# For channels that count: never the same number twice within one run.
numbers = itertools.count(100)
WAITING = {PaymentState.NOT_FOUND, PaymentState.UNPAID}


def require_stand_in(channel: str) -> None:
    if channel not in channel_classes():
        pytest.fail(
            f"the contract of channels/{channel} cannot be tested: there is no stand-in for it. Write "
            f"sandbox/{channel}/channel.py with one Channel whose code is {channel!r}; see docs/add-a-channel.md",
            pytrace=False,
        )


class Contracts:
    """Signed once per run: making keys is slow."""

    def __init__(self, sandbox: Running, clock: Clock = utc_now) -> None:
        self._sandbox, self._clock = sandbox, clock
        self._made: dict[tuple[str, str], dict[str, Any]] = {}
        # What the sandbox's own controls call each account.
        self.keys: dict[tuple[str, str], str] = {}

    def config(self, channel: str, mode: str) -> dict[str, Any]:
        """A merchant's parameters, cleaned as the form does, with what the channel itself renews."""
        require_stand_in(channel)
        assert mode != NO_STAND_IN
        if (channel, mode) not in self._made:
            self._made[channel, mode] = self._sign(channel, mode)
        return self._made[channel, mode]

    def _sign(self, channel: str, mode: str) -> dict[str, Any]:
        store = Store(self._sandbox._state)
        try:
            signed = sign_contract(store, channel, mode=mode, base_url=self._sandbox.url)
        finally:
            store.close()
        self.keys[channel, mode] = signed.key
        provider, raw = provider_for(channel), dict(signed.config)
        config = clean_config(provider, raw, datetime.now(UTC))
        fetch = getattr(provider(config, http=HTTP, clock=self._clock), "refresh_certificates", None)
        chain = "".join(c.pem for c in fetch()) if fetch is not None else ""
        if chain:
            config = clean_config(provider, {**config, "platform_certificates": chain}, datetime.now(UTC))
        return config


@dataclass(frozen=True, slots=True)
class Desk:
    case: Case
    sandbox: Running
    config: dict[str, Any]
    provider: Provider
    merchant: Merchant
    payer: Mapping[str, str]

    def order(self, **changes: Any) -> tuple[str, PayOrder]:
        """A new order and the name the controls have for it (the end of its notification address)."""
        now, attempt_no = datetime.now(UTC), f"A{secrets.token_hex(10).upper()}"
        rule = self.provider.number_rule()
        made = PayOrder(
            order_no=attempt_no if rule is None else str(next(numbers)).zfill(rule.digits),
            amount=Money(AMOUNT, self.case.currency), sent_at=now, expire_at=now + timedelta(minutes=30),
            subject="物业费 2026/11 A&B=1+1 }{", body="三栋 502 “水费”", client_ip=CLIENT_IP, payer=self.payer,
            notify_url=f"{self.merchant.url}/notify/{self.case.method}/{attempt_no}",
            return_url=f"{self.merchant.url}/return/{self.case.method}/{attempt_no}",
        )  # fmt: skip
        return attempt_no, replace(made, **changes)

    def pay(self, order: PayOrder) -> PayResult:
        return self.provider.pay(self.case.method, order)

    def started(self, order: PayOrder) -> dict[str, Any]:
        """Start it; what gopay would answer as `pay`."""
        result = self.pay(order)
        assert isinstance(result, Initiated), result
        return instruction_data(result.instruction)

    def opens(self, attempt_no: str, pay: dict[str, Any]) -> None:
        """The payer looks at the payment and does nothing: some channels know an order only from then on."""
        data = {"attempt_no": attempt_no, "pay": pay, "notify": "unsigned"}
        answer = self.sandbox.control("POST", "/notify", data)
        assert answer.status == 200, answer.text

    def payer_pays(self, attempt_no: str, pay: dict[str, Any], **more: Any) -> Answer:
        data = {"attempt_no": attempt_no, "pay": pay, "notify": "none", **more}
        return self.sandbox.control("POST", "/pay", data)

    def paid(self, attempt_no: str, pay: dict[str, Any], **more: Any) -> dict[str, Any]:
        answer = self.payer_pays(attempt_no, pay, **more)
        assert answer.status == 200, answer.text
        return dict(answer.json)

    def book(self, attempt_no: str) -> dict[str, Any]:
        """What the channel believes; an order it never heard of has state `none`."""
        answer = self.sandbox.control("GET", f"/payments/{attempt_no}")
        return dict(answer.json) if answer.status == 200 else {"state": "none"}

    def fault(self, operation: str, fault: str) -> None:
        """The next answers go wrong; more than one, should somebody ask again by himself."""
        data: dict[str, Any] = {"channel": self.case.channel, "operation": operation, "fault": fault, "times": _TIMES}
        if fault in WITHOUT_END:
            data["seconds"] = 2
        assert self.sandbox.control("POST", "/faults", data).status == 200

    def end_faults(self) -> int:
        """How many were met."""
        left = self.sandbox.control("GET", "/faults").json["faults"]
        self.sandbox.control("DELETE", "/faults")
        return sum(_TIMES - fault["times"] for fault in left)

    def wait_for_notice(self, order: PayOrder) -> None:
        """Fails where no notification comes to the order's own address."""
        path, deadline = urlsplit(order.notify_url).path, time.monotonic() + 5
        while all(told.path != path for told in list(self.merchant.told)):
            assert time.monotonic() < deadline, "no notification came to the address that was sent"
            time.sleep(0.01)

    def close(self, order: PayOrder) -> CloseOutcome | None:
        """None where the outcome is open."""
        try:
            return self.provider.close(order).outcome
        except UnknownOutcome:
            return None

    def pay_again(self, order: PayOrder) -> PayResult | None:
        """None where the outcome is open."""
        try:
            return self.pay(order)
        except UnknownOutcome:
            return None
        except NotSent as exc:
            raise AssertionError("a repeat under the same number has to reach the channel") from exc


def payer_for(sandbox: Running, provider: Provider, key: PayerKey | None) -> dict[str, str]:
    """The payer, who authorised where the channel has such a thing."""
    if key is None:
        return {}
    if key is PayerKey.PHONE:
        return {"phone": "13800138000"}
    if not provider.payer_authorization:
        return {key.value: f"payer-{secrets.token_hex(8)}"}
    url = provider.authorize_url(redirect_uri="http://127.0.0.1:9/c/T/auth", state="S1")
    answer = sandbox.follow(url.partition("#")[0])
    assert answer.status in (302, 303), answer.text
    back = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    assert back["state"] == "S1"
    code = next(value for name, value in back.items() if name.endswith("code"))
    return dict(provider.payer_from_code(code))
