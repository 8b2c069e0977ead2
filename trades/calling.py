"""Talking to a channel for an attempt: outside any transaction, recorded, with the attempt's typed values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import connection

from channels.base import OrderRef, PayOrder, Provider
from channels.base.reading import Unreadable
from channels.base.storable import storable
from merchants.channels import provider_of
from paycenter import exchange, tracing
from paycenter.errors import NotSent, UnknownOutcome
from paycenter.http import recording
from trades import shedding
from trades.models import Attempt, Contract

T = TypeVar("T")
log = structlog.get_logger(__name__)


def order_ref(attempt: Attempt) -> OrderRef:
    """The attempt as its channel knows it."""
    return OrderRef(
        order_no=attempt.channel_order_no, amount=attempt.money, sent_at=attempt.sent_at,
        expire_at=attempt.expire_at, channel_trade_no=attempt.channel_trade_no, memo=attempt.memo or {},
    )  # fmt: skip


def pay_order(attempt: Attempt) -> PayOrder:
    """The attempt about to be sent."""
    trade = attempt.trade
    base = settings.PUBLIC_BASE_URL
    return PayOrder(
        order_no=attempt.channel_order_no, amount=attempt.money, sent_at=attempt.sent_at,
        expire_at=attempt.expire_at, memo=attempt.memo or {}, subject=trade.subject, body=trade.body,
        notify_url=f"{base}/notify/{attempt.method}/{attempt.attempt_no}",
        return_url=f"{base}/return/{attempt.method}/{attempt.attempt_no}",
        client_ip=trade.client_ip, payer=trade.payer or {}, funding=trade.funding,
        profit_sharing=trade.profit_sharing, contract_no=_channel_contract_no(attempt),
    )  # fmt: skip


def _channel_contract_no(attempt: Attempt) -> str | None:
    """The channel's number of the contract under which the attempt deducts."""
    contract_no = contract_of(attempt)
    if not contract_no:
        return None
    return Contract.objects.values_list("channel_contract_no", flat=True).get(contract_no=contract_no)


def contract_of(attempt: Attempt) -> str:
    """Our number of the contract under which the attempt deducts, "" without one. It stays with the attempt:
    the trade's is that of the newest attempt."""
    return str((attempt.memo or {}).get("contract_no", ""))


def call_channel(attempt: Attempt, work: Callable[[Provider], T], *, judged: bool = False) -> T:
    """Run `work` with the attempt's provider and log every exchange, also of a call that failed.

    `judged` calls count for the circuit breaker: those that send payments. Raises NotSent or
    UnknownOutcome; a defect in a provider counts as the latter, for the channel may have acted. Must not
    be called inside a transaction.
    """
    refuse_in_transaction()
    provider = provider_of(attempt.account)
    numbers = {"trade_no": attempt.trade.trade_no, "attempt_no": attempt.attempt_no}
    span = tracing.span_about(attempt.trade.trade_no, "channel", channel=attempt.channel, attempt_no=attempt.attempt_no)
    with span as traced, recording() as calls, structlog.contextvars.bound_contextvars(**numbers):
        release_connection()
        try:
            result = storable(work(provider))
        except (NotSent, UnknownOutcome) as exc:
            if judged:
                shedding.failure_report(attempt.account, str(exc))
            raise
        except Unreadable as exc:
            raise UnknownOutcome(f"an answer that cannot be kept: {exc}") from exc
        except Exception as exc:
            log.exception("provider defect", attempt_no=attempt.attempt_no, channel=attempt.channel)
            raise UnknownOutcome(f"the provider failed: {type(exc).__name__}") from exc
        else:
            if judged and calls:  # a redirect that was only signed here says nothing about the channel
                shedding.success_report(attempt.account)
            return result
        finally:
            tracing.note_calls(traced, calls)
            exchange.record_channel_calls(
                calls, channel=attempt.channel, trade_no=attempt.trade.trade_no, attempt_no=attempt.attempt_no,
                app_order_no=attempt.trade.app_order_no, merchant_no=attempt.trade.merchant.merchant_no,
                masked_keys=provider.masked_keys,
            )  # fmt: skip


def release_connection() -> None:
    """Give the database connection back to the pool before waiting for somebody else."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        connection.close()


def refuse_in_transaction() -> None:
    """Raises RuntimeError inside a transaction: nobody waits for a channel while holding locks."""
    # A test case wraps everything in one transaction of its own; that one does not count.
    if connection.in_atomic_block and not getattr(settings, "TEST_WRAPS_TRANSACTIONS", False):
        raise RuntimeError("a channel is never called inside a transaction")
