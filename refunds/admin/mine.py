"""The order of the work list: what the reader can do something about comes first, of each part the oldest."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, Exists, IntegerField, OrderBy, OuterRef, Q, Value, When

from refunds.approvals import APPROVE_PERMISSION
from refunds.models import Approval, Decision, Payout, RefundRoute
from refunds.retrying import SEND_PERMISSION
from refunds.states import RefundState

OLDEST = ("requested_at", "-id")


def mine(user: Any) -> Q | None:
    """What this person can do something about; the services have the last word. None where that is nothing."""
    signed = Approval.objects.filter(
        refund=OuterRef("pk"), round=OuterRef("round"), amount=OuterRef("amount"), approver=user.pk,
        decision=Decision.APPROVE,
    )  # fmt: skip
    found: Q | None = None
    if user.has_perm(APPROVE_PERMISSION):
        decides = Q(state=RefundState.PENDING_APPROVAL) & ~Q(requested_by=user.pk) & ~Q(changed_by=user.pk)
        found = decides & Q(~Exists(signed))
    if user.has_perm(SEND_PERMISSION):
        own = Payout.objects.filter(refund=OuterRef("pk"), accepted=None, entered_by=user.pk)
        by_hand = Q(route__in=(RefundRoute.MANUAL, RefundRoute.BALANCE), state=RefundState.PROCESSING)
        checks = by_hand & Q(~Exists(own))
        found = checks if found is None else found | checks
    return found


def mine_first(user: Any) -> list[OrderBy]:
    """The first part of the list's order."""
    found = mine(user)
    return [] if found is None else [Case(When(found, then=1), default=Value(0), output_field=IntegerField()).desc()]


def ids_between(rows: Any, own: Q, low: int, high: int) -> list[int]:
    """The keys of the rows at these places of the list, which is `rows` in the order of `mine_first` and OLDEST.

    The two parts are read one after the other, each in the order of an index: sorting all of them by whose turn it is
    would read all that waits.
    """
    first = list(rows.filter(own).order_by(*OLDEST).values_list("pk", flat=True)[:high])
    if len(first) == high:
        return first[low:]
    others = rows.filter(~own).order_by(*OLDEST).values_list("pk", flat=True)
    return first[low:] + list(others[max(low - len(first), 0) : high - len(first)])
