"""Checkout sessions and what MPGS says about an order. There is no order before its payer begins to pay."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.book import NewPayment, random_digits
from sandbox.context import Context
from sandbox.mpgs.wire import (
    Data,
    address,
    check_fields,
    invalid,
    missing,
    money,
    number,
    rejected,
    section,
    text,
    wrong,
)
from sandbox.records import Account, Payment, PaymentState, Refund, RefundState

_SESSION_SECONDS = 1800
_SHORTEST, _LONGEST = 60, 10800
_INITIATE_SINCE = 63
_REQUEST = ("interaction", "order", "customer", "billing")
_INTERACTION = (
    "operation", "merchant", "returnUrl", "cancelUrl", "timeout", "timeoutUrl", "redirectMerchantUrl",
    "retryAttemptCount", "locale", "displayControl",
)  # fmt: skip
_ORDER = (
    "id", "amount", "currency", "description", "reference", "notificationUrl", "invoiceNumber", "custom",
)  # fmt: skip
VOID = "VOID"
CARD = "512345xxxxxx0008"


def open_session(context: Context, account: Account, data: Data, *, version: int | None) -> dict[str, Any]:
    """INITIATE_CHECKOUT (CREATE_CHECKOUT_SESSION up to version 62); at the proxy there is no `apiOperation`."""
    if version is not None:
        _check_operation(data, version)
    check_fields(data, _REQUEST if version is None else ("apiOperation", *_REQUEST))
    interaction = section(data, "interaction", _INTERACTION)
    order = section(data, "order", _ORDER)
    operation = text(interaction, "operation", "interaction.operation", 20)
    if operation != "PURCHASE":
        raise wrong("interaction.operation", "The merchant has the privilege PURCHASE only")
    if version is None or version >= _INITIATE_SINCE:
        name = section(interaction, "interaction.merchant", ("name", "url", "logo", "address"))
        text(name, "name", "interaction.merchant.name", 40)
    order_no, (amount, currency) = text(order, "id", "order.id", 40), money(order, "order")
    session_id = f"SESSION000{random_digits(13)}{secrets.token_hex(5).upper()}"
    expires_at = context.clock() + _timeout(interaction)
    payment = _enter(context, account, order_no, NewPayment(
        channel="mpgs", account=account.key, order_no=order_no, trade_no=order_no, scene="checkout", amount=amount,
        currency=currency, subject=text(order, "description", "order.description", 127),
        notify_url=address(order, "notificationUrl", "order.notificationUrl", needed=False),
        return_url=address(interaction, "returnUrl", "interaction.returnUrl", needed=False),
        code=session_id, code_expires_at=expires_at, expires_at=expires_at, state=PaymentState.UNSCANNED,
        request="", extra={
            "indicator": secrets.token_hex(8), "version": secrets.token_hex(5),
            "cancel_url": address(interaction, "cancelUrl", "interaction.cancelUrl", needed=False),
            "reference": text(order, "reference", "order.reference", 40, needed=False),
        },
    ))  # fmt: skip
    return {
        "checkoutMode": "WEBSITE", "merchant": account.key, "result": "SUCCESS",
        "session": {"id": session_id, "updateStatus": "SUCCESS", "version": payment.extra["version"]},
        "successIndicator": payment.extra["indicator"],
    }  # fmt: skip


def _check_operation(data: Data, version: int) -> None:
    wanted = "INITIATE_CHECKOUT" if version >= _INITIATE_SINCE else "CREATE_CHECKOUT_SESSION"
    if data.get("apiOperation") is None:
        raise missing("apiOperation")
    if data["apiOperation"] != wanted:
        raise wrong("apiOperation", f"Version {version} has {wanted}")


def _timeout(interaction: Data) -> int:
    value = interaction.get("timeout", _SESSION_SECONDS)
    if isinstance(value, bool) or not isinstance(value, int) or not _SHORTEST <= value <= _LONGEST:
        raise wrong("interaction.timeout", f"Expected {_SHORTEST} to {_LONGEST} seconds")
    return value


def _enter(context: Context, account: Account, order_no: str, new: NewPayment) -> Payment:
    """Another session of an order nobody has paid takes the place of the one before."""
    known = context.book.find("mpgs", account.key, order_no)
    if known is None or known.state is PaymentState.UNSCANNED:
        return context.book.add(new)
    if known.state is PaymentState.PAID:
        # No page says what MPGS answers; it never takes money twice for one order.
        raise rejected(f"Order {order_no} has been paid already")
    if (known.amount, known.currency) != (new.amount, new.currency):
        raise rejected(f"Order {order_no} has another amount")
    return context.book.change(
        known, state=PaymentState.UNPAID, closed_at=None, code=new.code, code_expires_at=new.code_expires_at,
        expires_at=new.expires_at, notify_url=new.notify_url, return_url=new.return_url,
        extra={**known.extra, **new.extra},
    )  # fmt: skip


# -- what is known about an order


def known_order(context: Context, account: Account, order_no: str) -> Payment:
    found = context.book.find("mpgs", account.key, order_no)
    if found is None or not exists(found):
        raise invalid(f"Unable to find order {order_no} for merchant {account.key}")
    return found


def exists(payment: Payment) -> bool:
    """A session alone is no order."""
    return payment.state is not PaymentState.UNSCANNED


def status(context: Context, payment: Payment) -> str:
    """MPGS knows no closing: what expired unpaid keeps the status it had."""
    if payment.state is not PaymentState.PAID:
        return str(payment.extra.get("status") or "INITIATED")
    if voided(context, payment):
        return "CANCELLED"
    refunded = context.book.refunded(payment, settled=True)
    if refunded:
        return "REFUNDED" if refunded >= payment.paid_amount else "PARTIALLY_REFUNDED"
    return "CAPTURED" if payment.paid_amount >= payment.amount else "PARTIALLY_CAPTURED"


def voided(context: Context, payment: Payment) -> bool:
    return any(r.reason == VOID and r.state is RefundState.SUCCESS for r in context.book.refunds(payment))


def order_fields(context: Context, payment: Payment) -> dict[str, Any]:
    """What Retrieve Order says, and `order` inside a transaction."""
    # A void undoes the payment instead of refunding it; what the sums say then is not documented.
    paid, word = payment.state is PaymentState.PAID and not voided(context, payment), status(context, payment)
    taken, currency = payment.paid_amount if paid else 0, payment.currency
    refunded = context.book.refunded(payment, settled=True) if paid else 0
    fields = {
        "amount": number(payment.amount, currency), "chargeback": {"amount": 0, "currency": currency},
        "creationTime": iso(payment.created_at), "currency": currency, "description": payment.subject,
        "id": payment.order_no, "lastUpdatedTime": iso(context.clock()), "merchantCurrency": currency,
        "merchantAmount": number(payment.amount, currency), "status": word,
        "totalAuthorizedAmount": number(taken, currency), "totalCapturedAmount": number(taken, currency),
        "totalRefundedAmount": number(refunded, currency),
    }  # fmt: skip
    optional = {
        "notificationUrl": payment.notify_url, "reference": payment.extra.get("reference"),
        "authenticationStatus": payment.extra.get("authentication"),
    }  # fmt: skip
    return fields | {name: value for name, value in optional.items() if value}


def retrieved(context: Context, payment: Payment) -> dict[str, Any]:
    """https://test-gateway.mastercard.com/api/documentation/apiDocumentation/rest-json/version/72/operation/Transaction%3a%20%20Retrieve%20Order.html"""
    word = status(context, payment)
    failed = word in ("FAILED", "AUTHENTICATION_UNSUCCESSFUL")
    result = "FAILURE" if failed else "SUCCESS" if payment.state is PaymentState.PAID else "PENDING"
    answer = {"merchant": payment.account, "result": result, **order_fields(context, payment)}
    if payment.state is PaymentState.PAID:
        refunds = [refund_transaction(context, payment, refund) for refund in context.book.refunds(payment)]
        answer |= {"sourceOfFunds": _SOURCE, "transaction": [pay_transaction(context, payment), *refunds]}
    return answer


_SOURCE: Mapping[str, Any] = {
    "provided": {"card": {
        "brand": "MASTERCARD", "expiry": {"month": "1", "year": "39"}, "fundingMethod": "CREDIT",
        "issuer": "SANDBOX BANK", "number": CARD, "scheme": "MASTERCARD", "storedOnFile": "NOT_STORED",
    }},
    "type": "CARD",
}  # fmt: skip


def pay_transaction(context: Context, payment: Payment) -> dict[str, Any]:
    """As Retrieve Transaction would answer; also what a webhook carries."""
    details = {
        "amount": number(payment.total, payment.currency), "currency": payment.currency, "id": "1",
        "receipt": receipt(payment.paid_at or payment.created_at, payment.id), "source": "INTERNET", "type": "PAYMENT",
    }  # fmt: skip
    return transaction(context, payment, details, payment.paid_at or context.clock())


def refund_transaction(context: Context, payment: Payment, refund: Refund) -> dict[str, Any]:
    results = {
        RefundState.SUCCESS: ("SUCCESS", "APPROVED"), RefundState.FAIL: ("FAILURE", "DECLINED"),
        RefundState.PENDING: ("PENDING", "TIMED_OUT"),
    }  # fmt: skip
    result, code = results[refund.state]
    details = {
        "amount": number(refund.amount, payment.currency), "currency": payment.currency, "id": refund.refund_no,
        "receipt": refund.channel_refund_no, "source": "INTERNET",
        "type": "VOID_PAYMENT" if refund.reason == VOID else "REFUND",
    }  # fmt: skip
    return transaction(context, payment, details, refund.created_at, result=result, code=code)


def transaction(
    context: Context, payment: Payment, details: Data, when: float, *, result: str = "SUCCESS", code: str = "APPROVED",
) -> dict[str, Any]:  # fmt: skip
    return {
        "gatewayEntryPoint": "CHECKOUT_VIA_WEBSITE", "merchant": payment.account,
        "order": order_fields(context, payment), "response": {"gatewayCode": code}, "result": result,
        "sourceOfFunds": _SOURCE, "timeOfLastUpdate": iso(when), "timeOfRecord": iso(when),
        "transaction": dict(details), "version": "72",
    }  # fmt: skip


def receipt(when: float, row: int) -> str:
    """Twelve digits of the acquirer: year's last digit, day of the year, hour, a running number."""
    moment = datetime.fromtimestamp(when, UTC)
    return f"{moment.year % 10}{moment:%j%H}{row % 1_000_000:06d}"


def iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
