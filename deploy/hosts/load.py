"""Apps and payers at work: signed payments, queries, cashier orders with their pages. Every answer is counted."""

from __future__ import annotations

import itertools
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from deploy.demo.client import CallFailed, Client, pay_as_payer
from deploy.soak.record import Record

METHODS = ("wechat_native", "alipay_qr")
PAGE_LIMIT = 15.0  # seconds


class Load:
    """`clients` threads, each order after order; what none of them may see is an error."""

    def __init__(
        self, urls: tuple[str, str], seeded: Mapping[str, Any], record: Record, clients: int, run: str
    ) -> None:
        (self._internal, self._sandbox), self.seeded, self._record = urls, seeded, record
        self._clients, self._run = clients, run
        self._numbers, self._lock = itertools.count(1), threading.Lock()
        self._ended = threading.Event()
        self.requests: Counter[str] = Counter()
        self.errors: list[str] = []
        self.slowest = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(60)

    def _work(self) -> None:
        while not self._ended.is_set():
            number = next(self._numbers)
            app = self.seeded["apps"][0]
            client = Client(self._internal, app["app_id"], app["hmac_secret"])
            merchant = self.seeded["merchants"][number % 2]["merchant_no"]
            order = {"merchant_no": merchant, "app_order_no": f"H{self._run}-{number}"}
            (self._cashier if number % 4 == 0 else self._payment)(client, order, number)

    def _payment(self, client: Client, order: Mapping[str, str], number: int) -> None:
        """Asked for, paid by the payer, and asked about."""
        sent = self._call(client, "/v1/gopay", **order, method=METHODS[number % 2], amount=100 + number, subject="load")
        if sent is not None:
            try:  # the stand-in of the channel is not what is restarted
                pay_as_payer(self._sandbox, sent["attempt_no"], sent["pay"])
            except CallFailed as exc:
                self._failed("pay", str(exc))
            self._call(client, "/v1/query/trade", **order)

    def _cashier(self, client: Client, order: Mapping[str, str], number: int) -> None:
        """A page that the payer opens and looks at again, and an app that closes the order."""
        made = self._call(client, "/v1/cashier/orders", **order, amount=100 + number, subject="load")
        if made is not None:
            self._page(made["cashier_url"], "page")
            self._page(f"{made['cashier_url']}/status", "page status")
            self._call(client, "/v1/close", **order)

    def _call(self, client: Client, path: str, **content: Any) -> dict[str, Any] | None:
        """`data` of an answer that is none of the center's troubles."""
        answer: dict[str, Any] = {}

        def ask() -> str:
            answer.update(client.ask(path, **content))
            self._record.answer(app_id=client.app_id, path=path, errno=answer["errno"], data=answer.get("data"))
            return "" if answer["errno"] == 0 else f"{answer['errno']} {answer.get('msg')}"

        return answer["data"] if self._asked(path, ask) else None

    def _page(self, url: str, name: str) -> None:
        def look() -> str:
            with urllib.request.urlopen(url, timeout=PAGE_LIMIT) as answer:  # noqa: S310 -- our own https address
                answer.read()
                return "" if answer.status == 200 else f"status {answer.status}"

        self._asked(name, look)

    def _asked(self, name: str, ask: Callable[[], str]) -> bool:
        began = time.monotonic()
        try:
            trouble = ask()
        except (CallFailed, OSError) as exc:
            trouble = f"{type(exc).__name__}: {exc}"
        took = time.monotonic() - began
        with self._lock:
            self.requests[name] += 1
            self.slowest = max(self.slowest, took)
        if trouble:
            self._failed(name, trouble)
        return not trouble

    def _failed(self, name: str, trouble: str) -> None:
        text = f"{time.strftime('%H:%M:%S')} {name}: {trouble[:300]}"
        with self._lock:
            self.errors.append(text)
        self._record.note("error", text=text)

    def numbers(self) -> Sequence[int]:
        """(requests, errors) up to now."""
        return sum(self.requests.values()), len(self.errors)
