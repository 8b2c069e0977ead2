"""Bank statements in: a CSV whose columns were mapped once per bank, line by line to receipts and batches."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from django.db import transaction

from merchants.models import PaymentAccount
from paycenter.errors import BillRefused, MoneyError
from paycenter.money import Money
from paycenter.transitions import record_event
from reconciliation import files
from reconciliation.settlement.batches import batches_refresh, terms_of
from reconciliation.settlement.models import BankProfile, BankReceipt, SettlementBatch

NEAR = timedelta(days=5)  # how far a receipt may lie from the settlement day that its amount names exactly
MOST_LINES = 200_000
_MOST_MINOR = 10**13  # of one line; so many lines of it can still be summed up in a column


@dataclass(frozen=True, slots=True)
class StatementLine:
    line: int
    received_on: date
    amount: int
    reference: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Imported:
    """`new` receipts, `known` lines that were there already, `foreign` ones that name no account of ours."""

    new: int
    known: int
    foreign: int


def receipts_import(*, profile: BankProfile, path: Path, actor: str, account: PaymentAccount | None = None) -> Imported:
    """Take a statement in, whole or not at all; the same lines again change nothing. `account` takes what no sender
    of the profile names.

    Raises BillRefused with the line for columns, days or amounts that cannot be read.
    """
    digest = files.file_hash(path)
    lines = list(statement_lines(profile, path))
    accounts = _senders(profile)
    with transaction.atomic():
        named = [(line, _account_of(line, accounts) or account) for line in lines]
        mine = [(line, found) for line, found in named if found is not None]
        new = [made for line, found in mine if (made := _receipt(profile, line, found, digest)) is not None]
        record_event(profile, "receipts.imported", actor=actor, detail={"new": len(new), "sha256": digest})
    for found, day in sorted({(receipt.account_id, _day_of(receipt)) for receipt in new}):
        batches_refresh(PaymentAccount.objects.select_related("merchant").get(pk=found), day)
    return Imported(len(new), len(mine) - len(new), len(lines) - len(mine))


def statement_lines(profile: BankProfile, path: Path) -> Iterator[StatementLine]:
    """The statement's lines of this profile. Raises BillRefused."""
    needed = {profile.date_column, profile.amount_column, profile.reference_column} | {profile.purpose_column} - {""}
    try:
        with path.open(encoding=profile.encoding, newline="") as stream:
            reader = csv.DictReader(stream, delimiter=profile.delimiter)
            missing = needed - {(name or "").strip() for name in reader.fieldnames or ()}
            if missing:
                raise BillRefused(f"columns are missing: {', '.join(sorted(missing))}", line=1)
            for row in reader:
                if reader.line_num > MOST_LINES:
                    raise BillRefused("the file has too many lines", line=reader.line_num)
                yield _line(profile, {(k or "").strip(): (v or "").strip() for k, v in _plain(row).items()},
                            reader.line_num)  # fmt: skip
    except (UnicodeDecodeError, LookupError, csv.Error) as exc:
        raise BillRefused(f"it cannot be read as {profile.encoding}: {type(exc).__name__}") from exc


def _plain(row: Mapping[str | None, object]) -> dict[str, str]:
    return {str(name): value for name, value in row.items() if isinstance(value, str)}


def _line(profile: BankProfile, row: Mapping[str, str], line: int) -> StatementLine:
    try:
        day = datetime.strptime(row[profile.date_column], profile.date_format).date()
        amount = Money.from_major(row[profile.amount_column].replace(",", ""), profile.currency)
        if abs(amount.minor) > _MOST_MINOR:
            raise MoneyError("not an amount of any order of money")
    except KeyError:
        raise BillRefused("the line is too short", line=line) from None
    except (ValueError, MoneyError) as exc:
        raise BillRefused(f"no day or amount: {exc}", line=line) from exc
    if any("\0" in value for value in row.values()):
        raise BillRefused("a character that no text has", line=line)
    reference = row[profile.reference_column][:64]
    if not reference or amount.minor == 0:
        raise BillRefused("a line without the bank's number or without an amount", line=line)
    return StatementLine(line, day, amount.minor, reference, row.get(profile.purpose_column, "")[:200])


def _senders(profile: BankProfile) -> dict[str, PaymentAccount]:
    accounts = PaymentAccount.objects.in_bulk(list(profile.senders.values()), field_name="payment_no")
    return {text: accounts[number] for text, number in profile.senders.items() if number in accounts}


def _account_of(line: StatementLine, senders: Mapping[str, PaymentAccount]) -> PaymentAccount | None:
    return next((account for text, account in senders.items() if text and text in line.purpose), None)


def _receipt(profile: BankProfile, line: StatementLine, account: PaymentAccount, digest: str) -> BankReceipt | None:
    """The new receipt; None where it is known."""
    receipt, made = BankReceipt.objects.get_or_create(
        profile=profile, reference=line.reference, received_on=line.received_on,
        defaults={
            "account": account, "amount": line.amount, "currency": profile.currency, "purpose": line.purpose,
            "file_sha256": digest, "line": line.line,
        },
    )  # fmt: skip
    if not made:
        return None
    receipt.batch = _batch_of(receipt)
    receipt.save(update_fields=["batch"])
    return receipt


def _batch_of(receipt: BankReceipt) -> SettlementBatch | None:
    """The batch of its day; else the nearest whose sum it is exactly."""
    rows = SettlementBatch.objects.filter(account_id=receipt.account_id, currency=receipt.currency)
    same_day = rows.filter(date=receipt.received_on).first()
    if same_day is None and terms_of(receipt.account) is not None:
        batches_refresh(receipt.account, receipt.received_on)
        same_day = rows.filter(date=receipt.received_on).first()
    if same_day is not None:
        return same_day
    near = rows.filter(date__range=(receipt.received_on - NEAR, receipt.received_on + NEAR), received__isnull=True)
    fits = [batch for batch in near if batch.expected - batch.fee == receipt.amount]
    return min(fits, key=lambda batch: abs(batch.date - receipt.received_on), default=None)


def _day_of(receipt: BankReceipt) -> date:
    return receipt.batch.date if receipt.batch is not None else receipt.received_on
