"""What bills and settlements say of a trade, on its timeline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from channels.base.bills import BillKind, BillRowState
from paycenter.staff.display import money
from reconciliation.models import BillRow, Subject
from reconciliation.settlement.models import SettlementBatch, SettlementRow
from reconciliation.settlement.states import BatchState
from reconciliation.states import USABLE_BILL_STATES
from refunds.models import Refund
from trades.models import Attempt, Trade
from trades.timeline import LIMIT, Entry, tells_of_trades

# An account's money arrives within this time after its day, whatever its terms and holidays.
_SETTLED_WITHIN = timedelta(days=62)


@tells_of_trades
def bill_entries(trade: Trade) -> list[Entry]:
    """The rows of bills that name the trade's payments and refunds, and the settlement batches they are in.

    At most five queries, each by key.
    """
    rows = _rows(trade)
    return [*map(_row_entry, rows), *_settlement_entries(rows)] if rows else []


def _rows(trade: Trade) -> list[BillRow]:
    named = [
        *_named("payment", Attempt.objects.filter(trade=trade).values_list(
            "account_id", "order_day", "channel_order_no", "channel_trade_no")),
        *_named("refund", ((account, "", sent, own) for account, sent, own in Refund.objects.filter(trade=trade)
                           .values_list("account_id", "channel_request_no", "channel_refund_no"))),
    ]  # fmt: skip
    if not named:
        return []
    found = Q()
    for account_id, kind, keys in named:
        found |= Q(account_id=account_id, kind=kind, key__in=keys)
    usable = BillRow.objects.filter(found, bill__state__in=USABLE_BILL_STATES).select_related("bill")
    return list(usable.order_by("bill_id", "line")[:LIMIT])


def _named(kind: str, numbers: Iterable[tuple[Any, ...]]) -> list[tuple[int, str, list[str]]]:
    """(account, kind, keys) as bill rows are keyed: by our number, or by the channel's own."""
    return [
        (account_id, kind, [f"{day}{sent}", *([f"#{own}"] if own else [])]) for account_id, day, sent, own in numbers
    ][:LIMIT]


def _row_entry(row: BillRow) -> Entry:
    bill, amount = row.bill, money(row.amount, row.currency)
    what = {"what": Subject(row.kind).label, "money": amount}
    if bill.kind == BillKind.FUND.value:
        title = _("In the movements of money: %(what)s, %(money)s") % what
    else:
        title = _("In the channel's bill: %(what)s, %(money)s") % what
    where = _("bill of %(day)s, line %(line)s") % {"day": bill.day.isoformat(), "line": row.line}
    fee = "" if row.fee is None else _("fee %(money)s") % {"money": money(row.fee, row.currency)}
    return Entry(
        at=bill.imported_at or row.occurred_at, kind="bill", title=title,
        note=" · ".join(filter(None, (where, fee, row.channel_state))), good=row.state != BillRowState.FAILED,
    )  # fmt: skip


def _settlement_entries(rows: Sequence[BillRow]) -> list[Entry]:
    batches = _batches(rows)
    if not batches:
        return []
    lines = {(row.bill_id, row.line) for row in rows}
    named = SettlementRow.objects.filter(batch__in=batches, bill_id__in={bill_id for bill_id, _line in lines})
    differing = [row for row in named.order_by("pk") if (row.bill_id, row.line) in lines]
    return [
        *map(_batch_entry, batches.values()),
        *(_difference_entry(row, batches[row.batch_id]) for row in differing),
    ]


def _batches(rows: Sequence[BillRow]) -> dict[int, SettlementBatch]:
    """The batches of the bills' days, by id."""
    wanted = Q(pk=None)
    for account_id, day, currency in sorted({(row.account_id, row.bill.day, row.currency) for row in rows}):
        wanted |= Q(account_id=account_id, currency=currency, date__range=(day, day + _SETTLED_WITHIN),
                    first_day__lte=day, last_day__gte=day)  # fmt: skip
    return {batch.pk: batch for batch in SettlementBatch.objects.filter(wanted).order_by("date", "pk")}


def _batch_entry(batch: SettlementBatch) -> Entry:
    title = _("Settlement batch %(number)s") % {"number": batch.batch_no}
    state = BatchState(str(batch.state))
    return Entry(
        at=_when(batch), kind="bill", title=title, note=f"{batch.date.isoformat()} · {state.label}",
        good=state not in (BatchState.BLOCKED, BatchState.DIFFERENT),
    )  # fmt: skip


def _difference_entry(row: SettlementRow, batch: SettlementBatch) -> Entry:
    sides = {"bill": money(row.bill_amount, batch.currency), "moved": money(row.moved_amount, batch.currency)}
    note = _("bill %(bill)s, moved %(moved)s") % sides
    return Entry(at=_when(batch), kind="bill", title=str(row.get_kind_display()), note=note, good=False)


def _when(batch: SettlementBatch) -> datetime:
    return batch.finished_at or timezone.make_aware(datetime.combine(batch.date, time.min))
