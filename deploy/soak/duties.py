"""What is left to do, by what it is: every column that says when work is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_

_REFUND_STATES = ("pending_approval", "on_hold", "approved", "processing")


@dataclass(frozen=True, slots=True)
class Duty:
    """Rows of `model` in one of `states`, with one of `columns` set, or without `unset`, wait for something.

    `later` says why a moment that is yet to come is right when everything has settled: then only what is past its
    moment is left due.
    """

    name: str
    model: str
    columns: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    unset: str = ""
    later: str = ""

    def count(self, now: datetime) -> int:
        from django.apps import apps
        from django.db.models import Q

        due = [Q(**({f"{name}__lte": now} if self.later else {f"{name}__isnull": False})) for name in self.columns]
        if self.states:
            due.append(Q(state__in=self.states))
        if self.unset:
            due.append(Q(**{f"{self.unset}__isnull": True}))
        return int(apps.get_model(self.model)._default_manager.filter(reduce(or_, due)).count())


DUTIES = (
    Duty("open trades", "trades.Trade", ("next_close_at",), ("waiting", "paying", "confirming")),
    Duty("live attempts", "trades.Attempt", states=("created", "submitted", "unknown")),
    Duty("attempts to query or close", "trades.Attempt", ("next_query_at", "next_close_at")),
    Duty("unverified money", "trades.AbnormalPayment", ("next_policy_at",), ("unverified",)),
    Duty("contracts to query", "trades.Contract", ("next_query_at",)),
    Duty("shed channels to probe", "trades.ChannelHealth", ("next_probe_at",)),
    Duty("refunds undecided or under way", "refunds.Refund", states=_REFUND_STATES),
    Duty("refunds to send or query", "refunds.Refund", ("next_send_at", "next_query_at")),
    Duty("approvals growing old", "refunds.Refund", ("next_expiry_at",)),
    Duty("refunds told of early", "refunds.EarlyRefund", ("next_try_at",)),
    Duty("notifications to deliver", "notifications.Notification", ("next_delivery_at",), ("pending",)),
    Duty("alerts to tell", "notifications.Alert", ("next_send_at",)),
    Duty("letters to staff", "merchants.Letter", ("next_try_at",)),
    Duty("connections to check", "onboarding.ConnectionCheck", ("due_at",)),
    Duty("lists to export", "paycenter.ListExport", ("next_run_at",)),
    Duty("events without a number", "paycenter.Event", unset="seq"),
    Duty("bills to fetch", "reconciliation.Bill", ("next_fetch_at",),
         later="a day's bill is ready on the day after, and asked for again hours later where it was not"),
    Duty("bills to read", "reconciliation.Bill", ("next_import_at",)),
    Duty("days to compare", "reconciliation.ReconciliationDay", ("next_match_at",)),
    Duty("differences to ask about", "reconciliation.Case", ("next_ask_at",),
         later="what the next day's bill may explain is asked about at growing distances until then"),
)  # fmt: skip


def due_rows() -> dict[str, int]:
    """How many rows wait for something, by what it is; without what nothing waits for. Raises DatabaseError."""
    from django.utils import timezone

    found = {duty.name: duty.count(timezone.now()) for duty in DUTIES}
    return {name: count for name, count in found.items() if count}
