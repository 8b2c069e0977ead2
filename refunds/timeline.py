"""Everything that happened to one refund, in one line of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from django.db.models import Q
from django.utils.translation import gettext as _

from notifications.models import Delivery
from paycenter.models import Event, Exchange
from paycenter.partitions.catalogue import SLACK
from paycenter.staff.display import money
from refunds.models import Refund, RefundRoute
from trades.timeline import LIMIT, Entry, delivery_entries, event_entries, exchange_entries

_OPERATIONS = ("refund", "query_refund", "refund_notify", "refund_cancel")


def refund_timeline(refund: Refund, *, with_exchanges: bool, with_staff: bool) -> list[Entry]:
    """Events with the amounts as they stood, exchanges and deliveries of a refund, oldest first.

    Three queries. Tenants get neither exchanges nor the names of our staff.
    """
    entries = [*_events(refund, with_staff), *_deliveries(refund, with_staff)]
    if with_exchanges:
        entries += _exchanges(refund)
    return sorted(entries, key=lambda entry: entry.at)


def _events(refund: Refund, with_staff: bool) -> list[Entry]:
    rows = list(Event.objects.of(refund).order_by("-id")[:LIMIT])
    return [
        replace(entry, note=_joined((_amounts(event, refund.currency), entry.note)))
        for event, entry in zip(rows, event_entries(rows, with_staff), strict=True)
    ]


def _joined(parts: Iterable[str]) -> str:
    return " · ".join(filter(None, parts))


def _amounts(event: Event, currency: str) -> str:
    """The figures an event keeps, in words."""
    detail = event.detail
    if "before" in detail:
        return f"{money(detail['before'], currency)} → {money(detail['after'], currency)}"
    if "route" in detail:
        return str(RefundRoute(detail["route"]).label)
    if "round" in detail:
        return _("%(money)s, round %(round)d") % {"money": money(detail["amount"], currency), "round": detail["round"]}
    return money(detail["amount"], currency) if "amount" in detail else ""


def _deliveries(refund: Refund, with_staff: bool) -> list[Entry]:
    rows = Delivery.objects.filter(
        notification__trade_no=refund.trade.trade_no, notification__refund_no=refund.refund_no,
        started_at__gte=refund.trade.created_at - SLACK,
    ).exclude(notification__trade_no="")
    return delivery_entries(rows.select_related("notification").order_by("-id")[:LIMIT], with_staff)


def _exchanges(refund: Refund) -> list[Entry]:
    """The trade's exchanges about refunds that name one of this refund's numbers."""
    named = Q()
    for number in filter(None, {refund.refund_no, refund.channel_request_no, refund.app_refund_no}):
        named |= Q(request__contains=number) | Q(response__contains=number) | Q(url__contains=number)
    rows = Exchange.objects.filter(
        trade_no=refund.trade.trade_no, operation__in=_OPERATIONS, created_at__gte=refund.trade.created_at - SLACK
    ).filter(named)
    return exchange_entries(rows.order_by("-id")[:LIMIT])
