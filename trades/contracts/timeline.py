"""Everything that happened to a contract, in one line of time."""

from __future__ import annotations

from paycenter.models import Event, Exchange
from paycenter.partitions.catalogue import SLACK
from trades.contracts.models import Contract
from trades.timeline import LIMIT, Entry, event_entries, exchange_entries


def contract_timeline(contract: Contract, *, with_exchanges: bool, with_staff: bool) -> list[Entry]:
    """Events and exchanges of a contract, oldest first; at most LIMIT of each, the newest.

    Tenants get neither exchanges nor the names of our staff.
    """
    events = Event.objects.of(contract).order_by("-id")[:LIMIT]
    entries = event_entries(events, with_staff)
    if with_exchanges:
        peer = f"channel:{contract.channel}"
        since = contract.created_at - SLACK
        rows = Exchange.objects.filter(
            app_order_no=contract.contract_no, trade_no="", peer=peer, created_at__gte=since
        )
        entries += exchange_entries(rows.order_by("-id")[:LIMIT])
    return sorted(entries, key=lambda entry: entry.at)
