"""The whole center for one contract: orders placed as an app does, and what became of them."""

from __future__ import annotations

import html
import itertools
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from django.utils import timezone

from channels.base import InboundRequest
from merchants.models import App, Merchant, PaymentAccount
from merchants.onboarding import identity_of
from tests import factories
from tests.contract.desk import AMOUNT, CLIENT_IP, Desk, numbers
from tests.contract.entrance import Entrance, Heard
from trades.models import Attempt, ChannelCounter, Trade
from trades.order_numbers import channel_order_number
from trades.services import trade_pay

_ORDERS_OF_A_TEST = 50
RETURN_URL = "https://app.example.com/orders?from=center"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Office:
    desk: Desk
    entrance: Entrance
    merchant: Merchant
    app: App
    account: PaymentAccount

    @classmethod
    def open(cls, desk: Desk, entrance: Entrance) -> Office:
        merchant = factories.make_merchant()
        account = factories.make_account(
            merchant, channel=desk.case.channel, config=desk.config, methods=(desk.case.method,),
            identity=identity_of(desk.case.provider, desk.config),
        )  # fmt: skip
        if desk.provider.number_rule() is not None:  # the channel remembers the numbers of rows that are gone
            channel_order_number(account, "", timezone.now())
            first, *_mine = itertools.islice(numbers, _ORDERS_OF_A_TEST)
            ChannelCounter.objects.update(last=first)
        return cls(desk, entrance, merchant, factories.make_app(merchant), account)

    def start(self, **order: Any) -> Attempt:
        values = {
            "amount": AMOUNT, "currency": self.desk.case.currency, "payer": dict(self.desk.payer),
            "client_ip": CLIENT_IP, "subject": "物业费 2026/11 A&B=1+1 }{", "return_url": RETURN_URL, **order,
        }  # fmt: skip
        return trade_pay(
            app=self.app, order=factories.make_order(self.merchant, **values), method=self.desk.case.method
        )

    def payer_pays(self, attempt: Attempt, **more: Any) -> dict[str, Any]:
        """Pay; the notification is not waited for."""
        return self.desk.paid(attempt.attempt_no, dict(attempt.pay or {}), **more)

    def told(self, attempt: Attempt, kind: str) -> Heard:
        """Have the channel, or somebody who plays it, send one notification; the request and our answer."""
        data = {"attempt_no": attempt.attempt_no, "pay": attempt.pay, "notify": kind}
        if self.desk.book(attempt.attempt_no)["state"] == "paid":
            del data["pay"]
        answer = self.entrance.during(lambda: self.desk.sandbox.control("POST", "/notify", data))
        assert answer.status == 200, answer.text
        assert answer.json.get("error") is None, answer.json
        return self.entrance.about(attempt.attempt_no)[-1]

    def comes_back(self, url: str) -> Heard:
        """The payer's browser follows the channel's way back to us, links, redirects and self-sending forms."""
        method, body = "GET", ""
        for _step in range(6):
            if url.startswith(self.entrance.url):
                parts = urlsplit(url)
                headers = {"content-type": _FORM["Content-Type"]} if method == "POST" else {}
                return self.entrance.request(InboundRequest(
                    method=method, path=parts.path, query=parts.query, body=body.encode(), headers=headers
                ))  # fmt: skip
            parts = urlsplit(url)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            shown = self.desk.sandbox.request(method, path, body, _FORM if method == "POST" else {})
            if shown.status in (301, 302, 303, 307, 308):
                url, method, body = urljoin(url, shown.headers["location"]), "GET", ""
                continue
            action = re.search(r'<form[^>]*action="([^"]+)"', shown.text)
            assert action is not None, f"the page at {parts.path} leads nowhere"
            fields = re.findall(r'name="([^"]+)" value="([^"]*)"', shown.text)
            url, method = urljoin(url, html.unescape(action[1])), "POST"
            body = urlencode({name: html.unescape(value) for name, value in fields})
        raise AssertionError("the way back never ends")

    @staticmethod
    def fresh(attempt: Attempt) -> tuple[Trade, Attempt]:
        found = Attempt.objects.select_related("trade").get(pk=attempt.pk)
        return found.trade, found
