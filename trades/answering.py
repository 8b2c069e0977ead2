"""The exchange log's row of an inbound request about a payment: written once, with its booking or after it."""

from __future__ import annotations

import time
from datetime import timedelta

from django.http import HttpRequest
from django.utils import timezone

from channels.base import InboundRequest, Reply
from channels.base.discovery import provider_for
from paycenter import exchange
from paycenter.models import Exchange
from trades.models import Attempt


class Answering:
    """A request that is being answered; the time it takes is counted from here on."""

    def __init__(self, operation: str, attempt: Attempt, request: HttpRequest, inbound: InboundRequest) -> None:
        self._began = time.monotonic()
        self._operation, self._attempt, self._inbound = operation, attempt, inbound
        self._url = request.get_full_path()
        self._row: Exchange | None = None
        self._taken = False

    def prepare(self, reply: Reply) -> None:
        """Mask it as it will be answered, for whoever `take`s it."""
        attempt, inbound = self._attempt, self._inbound
        self._row = exchange.inbound_row(
            peer=f"channel:{attempt.channel}", operation=self._operation, method=inbound.method, url=self._url,
            request_headers=inbound.headers, request_body=inbound.body, status=reply.status, response_body=reply.body,
            trade_no=attempt.trade.trade_no, attempt_no=attempt.attempt_no,
            app_order_no=attempt.trade.app_order_no, merchant_no=attempt.trade.merchant.merchant_no,
            masked_keys=provider_for(attempt.channel).masked_keys,
        )  # fmt: skip

    def take(self) -> list[Exchange]:
        """The row that was prepared, to be written now; none where it was taken before."""
        row = None if self._taken else self._row
        self._taken = True
        if row is None:
            return []
        row.elapsed_ms = int((time.monotonic() - self._began) * 1000)
        row.created_at = timezone.now() - timedelta(milliseconds=row.elapsed_ms)
        return [row]

    def finish(self, reply: Reply) -> None:
        """It is answered: written now, unless it was with the booking."""
        if self._taken:
            return
        if self._row is None:
            self.prepare(reply)
        for row in self.take():
            exchange.write_inbound(row)
