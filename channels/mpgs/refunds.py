"""Refunds and voids: transactions of the payment's order, under ids of ours.

https://test-gateway.mastercard.com/api/documentation/apiDocumentation/rest-json/version/latest/operation/Transaction%3a%20%20Refund.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from channels.base import RefundOrder, RefundRef, RefundResult, RefundState
from channels.base.reading import Unreadable, moment_in
from channels.mpgs.fields import REFUND, VOID
from channels.mpgs.gateway import Answer, Gateway
from channels.mpgs.reading import amount_in, payment_id, word_in
from paycenter.errors import NotSent, UnknownOutcome

# How a refund reads afterwards: as itself, or as the void that it was sent as.
GIVING_BACK = frozenset({"REFUND", "VOID_PAYMENT"})
STATES = {
    "SUCCESS": RefundState.SUCCEEDED, "PENDING": RefundState.PROCESSING, "FAILURE": RefundState.FAILED,
}  # fmt: skip
# Failures in which the gateway does not know what the acquirer did; every other one is a decline.
UNDECIDED_CODES = frozenset({
    "TIMED_OUT", "PENDING", "SUBMITTED", "UNKNOWN", "SYSTEM_ERROR", "ACQUIRER_SYSTEM_ERROR", "UNSPECIFIED_FAILURE",
})  # fmt: skip
_REFUSALS = frozenset({"INVALID_REQUEST", "REQUEST_REJECTED"})


class Refunds:
    def __init__(self, gateway: Gateway, config: Mapping[str, Any]) -> None:
        self._gateway = gateway
        self._merchant_id: str = config["merchant_id"]
        # Accounts stored before these fields were there have neither.
        self._voids = config.get("full_refund_before_settlement", REFUND) == VOID
        self._zone = config.get("acquirer_time_zone", "+0800")

    def send(self, order: RefundOrder) -> RefundResult:
        """As `Provider.refund`. A full refund on the payment's own day is a void where the account says so."""
        payload = self._void(order) if self._is_void(order) else self._refund(order)
        answer = self._gateway.give_back(order.order.order_no, order.refund_no, payload)
        if answer.ok:
            return self._read(answer, order)
        if answer.code not in _REFUSALS:
            raise UnknownOutcome(f"the gateway answered {answer}")
        return self._refused(order, answer)

    def _is_void(self, order: RefundOrder) -> bool:
        """From the account and the refund alone, never from the clock: a repeat asks for the same again.

        The payment fell between the two moments, so that it is of that day whenever both are.
        """
        zone = datetime.strptime(self._zone, "%z").tzinfo
        days = {moment.astimezone(zone).date() for moment in (order.order.sent_at, order.sent_at)}
        return self._voids and order.full and len(days) == 1

    @staticmethod
    def _refund(order: RefundOrder) -> dict[str, Any]:
        amount = {"amount": order.amount.major, "currency": order.amount.currency}
        return {"apiOperation": "REFUND", "transaction": {**amount, "reference": order.refund_no}}

    def _void(self, order: RefundOrder) -> dict[str, Any]:
        """A void names the transaction that took the money, which is the same for ever; only the order tells which.

        https://test-gateway.mastercard.com/api/documentation/apiDocumentation/rest-json/version/latest/operation/Transaction%3a%20%20Void.html
        """
        answer = self._gateway.retrieve(order.order.order_no, operation="refund")
        own = (order.order.order_no, self._merchant_id)
        target = payment_id(answer.data) if (answer.data.get("id"), answer.data.get("merchant")) == own else None
        if not answer.ok or target is None:
            raise UnknownOutcome(f"no payment to be voided: {answer}")
        return {"apiOperation": "VOID", "transaction": {"targetTransactionId": target, "reference": order.refund_no}}

    def _refused(self, order: RefundOrder, answer: Answer) -> RefundResult:
        """What a refusal is worth: it may answer a repeat ("exists already") of a request that came through.

        Hence it counts only where the order has no such transaction.
        """
        try:
            known = self.ask(order)
        except NotSent as exc:
            raise UnknownOutcome(f"the gateway answered {answer}, and cannot be asked: {exc}") from exc
        if known.state is not RefundState.NOT_FOUND:
            return known
        return order.refused(answer.code, answer.message)

    def ask(self, refund: RefundRef) -> RefundResult:
        """As `Provider.query_refund`. Where there is no such order, there is no refund of it either."""
        answer = self._gateway.retrieve_refund(refund.order.order_no, refund.refund_no)
        if answer.ok:
            return self._read(answer, refund)
        sought = {"transaction": refund.refund_no, "order": refund.order.order_no}
        if any(answer.is_unable_to_find(what, number) for what, number in sought.items()):
            return refund.not_found(answer.code, answer.message)
        raise UnknownOutcome(f"the gateway answered {answer}")

    def _read(self, answer: Answer, refund: RefundRef) -> RefundResult:
        try:
            return refund_state(answer.data, refund, merchant_id=self._merchant_id)
        except Unreadable as exc:
            raise UnknownOutcome(f"an answer that decides nothing: {exc}") from exc


def refund_state(data: Mapping[str, Any], refund: RefundRef, *, merchant_id: str) -> RefundResult:
    """A transaction's words about this very refund. Raises Unreadable for all others."""
    entry, order, response = (_inner(data, name) for name in ("transaction", "order", "response"))
    own = (merchant_id, refund.order.order_no, refund.refund_no)
    if (data.get("merchant"), order.get("id"), entry.get("id")) != own:
        raise Unreadable("the answer is about another merchant, order or transaction")
    amount, code = amount_in(entry, "amount"), word_in(response, "gatewayCode") or ""
    if word_in(entry, "type") not in GIVING_BACK or not refund.is_of(amount):
        raise Unreadable("the transaction gives nothing back, or another amount")
    word = word_in(data, "result") or ""
    state = STATES.get(word)
    if state is None or (state is RefundState.FAILED and code in UNDECIDED_CODES):
        raise Unreadable(f"the result is open: {word} {code}")
    # The receipt is the acquirer's number of it, on the payer's statement too; it may repeat.
    return RefundResult(
        state=state, refund_no=refund.refund_no, amount=amount, channel_refund_no=word_in(entry, "receipt"),
        finished_at=moment_in(data, "timeOfRecord") if state is RefundState.SUCCEEDED else None, channel_state=word,
        code=code, message=word_in(response, "acquirerMessage") or "",
    )  # fmt: skip


def refund_named(data: Mapping[str, Any]) -> str | None:
    """The refund that a webhook is about, if it is about one: nothing but the reason to ask for it."""
    entry = _inner(data, "transaction")
    return word_in(entry, "id") if word_in(entry, "type") in GIVING_BACK else None


def _inner(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}
