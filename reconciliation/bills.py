"""Getting bills in: planned, fetched from the channel or uploaded, read row by row into the database.

Reading commits in portions, so that no writer waits for a whole bill and progress is seen; rows count
only once the bill is `imported`. A refused or abandoned reading leaves none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from channels.base.bills import BillKind, FetchedBill
from channels.base.bills import BillRow as ChannelRow
from merchants.channels import provider_of
from merchants.models import PaymentAccount
from notifications.alerts import alert
from paycenter.errors import BillNotReady, BillRefused, ChannelError, NotSent, UnknownOutcome
from paycenter.exchange import record_channel_calls
from paycenter.http import recording
from paycenter.schedules import delay_for
from paycenter.transitions import advance, lock, record_event, save_changed
from paycenter.wakeup import wake
from reconciliation import files, loading
from reconciliation.days import day_touch, provider_rule
from reconciliation.loading import Totals
from reconciliation.models import Bill
from reconciliation.states import USABLE_BILL_STATES, BillState
from trades.calling import refuse_in_transaction, release_connection

PORTION = 20_000  # rows per transaction
LEASE_SECONDS = 300.0  # a reader that shows no sign for so long is taken for dead
Progress = Callable[[int], None]
log = structlog.get_logger(__name__)


class BillConflict(ChannelError):
    """Another file was already imported for this account and day; it may be replaced on purpose only."""


class Overtaken(Exception):
    """Somebody else reads this bill now."""


def bill_for(*, account: PaymentAccount, day: date, kind: BillKind = BillKind.TRADE) -> Bill:
    """The bill's record, made where there is none yet."""
    bill, _made = Bill.objects.get_or_create(account=account, day=day, kind=kind.value)
    bill.account = account
    return bill


def bill_fetch(*, bill_id: int, actor: str) -> Bill:
    """Ask the channel for a bill and keep its file. A bill that is not there yet is asked for later.

    Never raises for what the channel does. Must not be called inside a transaction.
    """
    refuse_in_transaction()
    bill = load_bill(bill_id)
    with files.scratch_file() as path:
        try:
            fetched = _ask(bill, path)
        except BillNotReady as exc:
            return _fetch_later(bill, str(exc), quiet=True)
        except (NotSent, UnknownOutcome, BillRefused, KeyError) as exc:
            return _fetch_later(bill, f"{type(exc).__name__}: {exc}", quiet=False)
        if fetched.empty:
            return _is_empty(bill, actor)
        return _receive(bill, path, fetched.file_name, actor=actor, uploaded=False, replace=True)


def bill_upload(*, account: PaymentAccount, day: date, kind: BillKind, path: Path, name: str, actor: str,
                replace: bool = False) -> Bill:  # fmt: skip
    """Take a file that a person got from the channel. The same file again changes nothing.

    Raises BillConflict where another file is imported already and `replace` is not set. `path` is consumed.
    """
    bill = bill_for(account=account, day=day, kind=kind)
    return _receive(bill, path, name, actor=actor, uploaded=True, replace=replace)


def bill_refetch(*, bill: Bill, actor: str) -> Bill:
    """Ask the channel once more, now. Raises TransitionRefused for a bill that is just being read."""
    with transaction.atomic():
        locked = lock(Bill, pk=bill.pk)
        locked.account = bill.account
        locked.next_fetch_at, locked.fetch_tries, locked.fetch_error = timezone.now(), 0, ""
        fields = ("next_fetch_at", "fetch_tries", "fetch_error")
        if locked.state == BillState.AWAITED:
            save_changed(locked, fields)
            record_event(locked, "bill.asked_again", actor=actor)
        else:
            advance(locked, "fetch_again", actor=actor, fields=fields, event="bill.asked_again")
        transaction.on_commit(lambda: wake("reconciliation.tasks.fetch_bills"))
    return locked


def bill_import(*, bill_id: int, actor: str, progress: Progress | None = None) -> Bill:
    """Read a bill's file into rows. Running it again after a success does nothing.

    Never raises for what stands in the file: a bill that cannot be believed ends `refused` with reason and line.
    Raises Overtaken when another reader took over.
    """
    bill = _begin(bill_id, actor)
    if bill is None:
        return load_bill(bill_id)
    try:
        count, totals = _read(bill, progress)
        repeated = loading.repeated_line(bill.pk)
        if repeated is not None:
            raise BillRefused(f"the same row as in line {repeated[1]}", line=repeated[0])
    except BillRefused as exc:
        return _refused(bill, exc, actor)
    loading.analyse()
    return _imported(bill, count, totals, actor)


def load_bill(bill_id: int) -> Bill:
    return Bill.objects.select_related("account__merchant").get(pk=bill_id)


# ---- asking the channel -----------------------------------------------------------------------------------
def _ask(bill: Bill, path: Path) -> FetchedBill:
    provider = provider_of(bill.account)
    release_connection()
    with recording() as calls:
        try:
            return provider.fetch_bill(bill.day, BillKind(bill.kind), path)
        except ChannelError:
            raise
        except Exception as exc:
            log.exception("provider defect", payment_no=bill.account.payment_no, channel=bill.account.channel)
            raise UnknownOutcome(f"the provider failed: {type(exc).__name__}") from exc
        finally:
            record_channel_calls(
                calls, channel=bill.account.channel, trade_no="", attempt_no="", app_order_no="",
                merchant_no=bill.account.merchant.merchant_no, masked_keys=provider.masked_keys,
            )  # fmt: skip


def _fetch_later(bill: Bill, trouble: str, *, quiet: bool) -> Bill:
    with transaction.atomic():
        locked = lock(Bill, pk=bill.pk)
        if locked.state != BillState.AWAITED:
            Bill.objects.filter(pk=bill.pk).update(next_fetch_at=None)
            return locked
        locked.fetch_tries += 1
        locked.fetch_error = trouble[:300]
        seconds = delay_for("bill", locked.fetch_tries - 1)
        locked.next_fetch_at = timezone.now() + timedelta(seconds=seconds if seconds is not None else 6 * 3600)
        save_changed(locked, ("fetch_tries", "fetch_error", "next_fetch_at"))
    rule = provider_rule(bill.account)
    late = rule is not None and rule.overdue(bill.day, timezone.now())
    if late or (not quiet and locked.fetch_tries == 3):
        _alert_bill(bill, gettext_noop("A bill is not there"), trouble, f"bill-missing:{bill.pk}")
    return locked


def _is_empty(bill: Bill, actor: str) -> Bill:
    with transaction.atomic():
        locked = lock(Bill, pk=bill.pk)
        locked.account = bill.account
        locked.next_fetch_at, locked.imported_at, locked.rows_read, locked.totals = None, timezone.now(), 0, {}
        if locked.state == BillState.AWAITED:
            loading.forget_rows(locked.pk)  # of a file that was there before
            advance(locked, "find_empty", actor=actor, fields=("next_fetch_at", "imported_at", "rows_read", "totals"))
            _day_is_due(locked)
    return locked


# ---- a file is there ----------------------------------------------------------------------------------
def _receive(bill: Bill, path: Path, name: str, *, actor: str, uploaded: bool, replace: bool) -> Bill:
    digest = files.file_hash(path)
    with transaction.atomic():
        locked = lock(Bill, pk=bill.pk)
        locked.account = bill.account
        used = locked.state in (BillState.FETCHED, BillState.IMPORTING, BillState.IMPORTED)
        if used and locked.sha256 == digest:
            return locked
        if used and not replace:
            raise BillConflict("another file was already imported for this account and day")
        kept = files.keep(path, payment_no=bill.account.payment_no, day=bill.day.isoformat(), name=name)
        before = locked.sha256
        _take_over(locked, kept, name, actor if uploaded else "")
        advance(locked, "receive", actor=actor, fields=_FILE_FIELDS, event="bill.received",
                detail={**locked.event_fields()["detail"], "sha256": kept.sha256, "before": before})  # fmt: skip
        transaction.on_commit(lambda: wake("reconciliation.tasks.import_bills"))
    return locked


_FILE_FIELDS = (
    "file_name", "file_path", "file_size", "sha256", "uploaded_by", "rows_read", "totals", "refusal",
    "refusal_line", "fetch_error", "next_fetch_at", "next_import_at", "run",
)  # fmt: skip


def _take_over(bill: Bill, kept: files.KeptFile, name: str, uploaded_by: str) -> None:
    bill.file_name, bill.file_path = Path(name).name[:200], kept.path
    bill.file_size, bill.sha256, bill.uploaded_by = kept.size, kept.sha256, uploaded_by[:100]
    bill.rows_read, bill.totals, bill.refusal, bill.refusal_line, bill.fetch_error = 0, {}, "", None, ""
    bill.next_fetch_at, bill.next_import_at = None, timezone.now()
    bill.run += 1


# ---- reading --------------------------------------------------------------------------------------------
def _begin(bill_id: int, actor: str) -> Bill | None:
    """Take the bill for reading and forget what an earlier reader left; None where there is nothing to read."""
    with transaction.atomic():
        bill = lock(Bill, pk=bill_id)
        if bill.state not in (BillState.FETCHED, BillState.IMPORTING):
            return None
        bill.account = PaymentAccount.objects.select_related("merchant").get(pk=bill.account_id)
        bill.run += 1
        bill.rows_read = 0
        bill.next_import_at = timezone.now() + timedelta(seconds=LEASE_SECONDS)
        advance(bill, "start_reading", actor=actor, fields=("run", "rows_read", "next_import_at"),
                event="bill.reading")  # fmt: skip
        loading.forget_rows(bill.pk)
    return bill


def _read(bill: Bill, progress: Progress | None) -> tuple[int, Totals]:
    count, totals = 0, Totals()
    for chunk in loading.in_chunks(_rows(bill), PORTION):
        with transaction.atomic():
            _still_ours(bill)
            loading.add_rows(loading.row_values(bill, totals.add(row)) for row in chunk)
            count += len(chunk)
            Bill.objects.filter(pk=bill.pk).update(
                rows_read=count, next_import_at=timezone.now() + timedelta(seconds=LEASE_SECONDS)
            )
        if progress is not None:
            progress(count)
    return count, totals


def _rows(bill: Bill) -> Iterator[ChannelRow]:
    """The file's rows. Whatever goes wrong while they are read refuses the bill: nobody waits for a defect."""
    try:
        provider = provider_of(bill.account)
        yield from provider.read_bill(files.bill_path(bill.file_path), bill.day, BillKind(bill.kind))
    except BillRefused:
        raise
    except Exception as exc:
        log.exception("a bill cannot be read", payment_no=bill.account.payment_no, day=bill.day.isoformat())
        raise BillRefused(f"it cannot be read: {type(exc).__name__}") from exc


def _still_ours(bill: Bill) -> None:
    if lock(Bill, pk=bill.pk).run != bill.run:
        raise Overtaken


def _imported(bill: Bill, count: int, totals: Totals, actor: str) -> Bill:
    with transaction.atomic():
        _still_ours(bill)
        locked = lock(Bill, pk=bill.pk)
        locked.account = bill.account
        locked.rows_read, locked.totals = count, totals.found
        locked.imported_at, locked.next_import_at = timezone.now(), None
        advance(locked, "finish_reading", actor=actor, fields=("rows_read", "totals", "imported_at", "next_import_at"),
                event="bill.imported", detail={**locked.event_fields()["detail"], "rows": count})  # fmt: skip
        _day_is_due(locked)
    return locked


def _refused(bill: Bill, why: BillRefused, actor: str) -> Bill:
    with transaction.atomic():
        _still_ours(bill)
        loading.forget_rows(bill.pk)
        locked = lock(Bill, pk=bill.pk)
        locked.account = bill.account
        locked.refusal, locked.refusal_line = why.reason[:300], why.line
        locked.rows_read, locked.next_import_at = 0, None
        advance(locked, "refuse", actor=actor, reason=str(why),
                fields=("refusal", "refusal_line", "rows_read", "next_import_at"), event="bill.refused")  # fmt: skip
        _alert_bill(bill, gettext_noop("A bill was refused"), str(why), f"bill-refused:{bill.pk}")
    return locked


def _day_is_due(bill: Bill) -> None:
    if bill.kind == BillKind.TRADE.value and bill.state in USABLE_BILL_STATES:
        day_touch(account_id=bill.account_id, day=bill.day)


def _alert_bill(bill: Bill, title: str, trouble: str, key: str) -> None:
    alert(
        kind="reconciliation", key=key, title=title,
        text=gettext_noop("%(account)s, %(day)s: %(trouble)s"),
        context={"account": str(bill.account), "day": bill.day.isoformat(), "trouble": trouble},
        merchant_no=bill.account.merchant.merchant_no, record=bill,
    )  # fmt: skip
