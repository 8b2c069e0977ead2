"""Doing what the plan says about one order: the app's calls, the payer's money, the stranger's forgeries."""

from __future__ import annotations

import http.client
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from deploy.demo.client import CallFailed, Client
from deploy.soak.plan import Act, Item
from deploy.soak.record import Record

PATIENCE = 25.0  # seconds an app goes on trying one call
PAID_PATIENCE = 20.0  # seconds an app waits to hear of a payment before it gives up on refunds
_AGAIN = (50001, 50201, 50301, 50401, 42901)
EXPIRE_IN = 60  # the shortest the contract allows: what nobody pays has to end within the run


@dataclass(frozen=True, slots=True)
class Place:
    """Where apps call and payers pay, and who they are (as the demo's seed left it)."""

    bases: Sequence[str]
    sandbox_url: str
    apps: Sequence[Mapping[str, Any]]
    merchants: Sequence[Mapping[str, Any]]
    seed: int
    ask_desk: Callable[[str, str, int], None]  # order, trade number, amount: have staff ask for a refund


@dataclass(slots=True)
class _Attempt:
    attempt_no: str
    pay: Mapping[str, Any]


@dataclass(slots=True)
class Order:
    """One order as its app knows it."""

    place: Place
    record: Record
    item: Item
    trade_no: str = ""
    attempts: list[_Attempt] = field(default_factory=list)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    _tries: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def number(self) -> str:
        return f"S{self.place.seed}-{self.item.number}"

    @property
    def merchant_no(self) -> str:
        return str(self.place.merchants[self.item.values["merchant"]]["merchant_no"])

    def run(self) -> None:
        for act in self.item.acts:
            self.record.note("act", order=self.number, act=act.what, values=dict(act.values))
            getattr(self, f"_{act.what}")(act)

    # -- the app

    def _call(self, path: str, **content: Any) -> dict[str, Any] | None:
        """The envelope of the first answer that is final; None where there was none in time. Every answer counts."""
        app = self.place.apps[self.item.values["app"]]
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            base = self.place.bases[(self.item.number + next(self._tries)) % len(self.place.bases)]
            client = Client(base, app["app_id"], app["hmac_secret"])
            try:
                answer = client.ask(path, **content)
            except (CallFailed, OSError, http.client.HTTPException) as exc:  # also one that breaks off midway
                self.record.note("no answer", order=self.number, path=path, error=str(exc)[:200])
                time.sleep(0.3)
                continue
            self.record.answer(order=self.number, path=path, content=content, errno=answer.get("errno"),
                               data=answer.get("data"))  # fmt: skip
            if answer.get("errno") not in _AGAIN:
                return answer
            time.sleep(0.7)
        return None

    def _gopay(self, act: Act) -> None:
        answer = self._call(
            "/v1/gopay", merchant_no=self.merchant_no, method=act.values["method"], amount=act.values["amount"],
            app_order_no=self.number, subject="物业费", expire_in=EXPIRE_IN,
        )  # fmt: skip
        if answer is not None and answer["errno"] == 0:
            self.trade_no = answer["data"]["trade_no"]
            if all(known.attempt_no != answer["data"]["attempt_no"] for known in self.attempts):
                self.attempts.append(_Attempt(answer["data"]["attempt_no"], answer["data"]["pay"]))

    def _close(self, _act: Act) -> None:
        self._call("/v1/close", merchant_no=self.merchant_no, app_order_no=self.number)

    def _query(self, _act: Act) -> dict[str, Any]:
        answer = self._call("/v1/query/trade", merchant_no=self.merchant_no, app_order_no=self.number)
        found: dict[str, Any] = answer["data"] if answer is not None and answer["errno"] == 0 else {}
        return found

    def _wait_paid(self, act: Act) -> None:
        limit = time.monotonic() + PAID_PATIENCE
        while self.attempts and time.monotonic() < limit and self._query(act).get("state") not in ("paid", "closed"):
            time.sleep(0.5)

    def _refund(self, act: Act, **more: Any) -> None:
        if not self.trade_no:
            return
        content = {
            "merchant_no": self.merchant_no, "trade_no": self.trade_no, "amount": act.values["amount"], "reason": "x",
            "app_refund_no": f"{self.number}-R{len(self.refunds) + 1}", **more,
        }  # fmt: skip
        self.refunds.append(content)
        answer = self._call("/v1/refund", **content)
        if answer is not None and answer["errno"] == 0 and act.values.get("outcome"):
            refund_no = answer["data"]["refund_no"]
            self._control(f"/control/refunds/{refund_no}", {"outcome": act.values["outcome"]})

    def _refund_again(self, _act: Act) -> None:
        if self.refunds:
            self._call("/v1/refund", **self.refunds[-1])

    def _refund_stray(self, act: Act) -> None:
        """Ask for money of every attempt that may have brought some which settles nothing."""
        for attempt in self.attempts:
            self._refund(Act("refund", {"amount": 50}), attempt_no=attempt.attempt_no)

    def _refund_by_staff(self, act: Act) -> None:
        if self.trade_no:
            self.place.ask_desk(self.number, self.trade_no, act.values["amount"])

    def _cancel(self, _act: Act) -> None:
        if self.refunds:
            named = {name: self.refunds[-1][name] for name in ("merchant_no", "app_refund_no")}
            self._call("/v1/refund/cancel", **named)

    # -- the payer, and others

    def _pay(self, act: Act) -> None:
        if not self.attempts:
            return
        attempt = self.attempts[act.values["which"]]
        more = {"amount": act.values["amount"]} if "amount" in act.values else {}
        self._control("/control/pay", {"attempt_no": attempt.attempt_no, "pay": attempt.pay,
                                       "notify": act.values["notify"], **more})  # fmt: skip

    def _forge(self, act: Act) -> None:
        if self.attempts:
            self._control("/control/notify", {"attempt_no": self.attempts[-1].attempt_no, **act.values})

    def _console(self, act: Act) -> None:
        if self.attempts:
            self._control("/control/refunds", {"attempt_no": self.attempts[-1].attempt_no, **act.values})

    def _control(self, path: str, content: Mapping[str, Any]) -> None:
        status, answer = control(self.place.sandbox_url, path, content)
        self.record.note("control", order=self.number, path=path, content=dict(content), status=status, answer=answer)


def control(sandbox_url: str, path: str, content: Mapping[str, Any] | None, method: str = "POST") -> tuple[int, Any]:
    """One call of the sandbox's controls: HTTP status (0: no answer) and what it said."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(f"{sandbox_url}{path}", body, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as exc:
        with suppress(OSError, http.client.HTTPException):
            return exc.code, exc.read().decode("utf-8", "replace")[:200]
        return exc.code, ""
    except (OSError, ValueError, http.client.HTTPException) as exc:
        return 0, str(exc)[:200]
