"""Keeping the sums: numbered events are folded in, in their order, a portion and its mark in one transaction.

A run that dies has done nothing; running twice finds the mark further on. The work grows with what happened since,
never with what is stored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from django.db import connection, models, transaction

from dashboards.counting import fees_of
from dashboards.folding import Change, Deltas, Key, changes_of, fold
from dashboards.models import SUMS, AppDay, ChannelDay, FoldedUpTo, PaymentDay
from merchants.models import PaymentAccount
from paycenter.compiled import table_of
from paycenter.models import Event
from reconciliation.models import ReconciliationDay

PORTION = 2000
_MARK = 1


def fold_events(*, portions: int = 50) -> int:
    """Fold in what was numbered since, at most `portions` × PORTION events; answers how many were read.

    Answers 0 at once (on PostgreSQL) while another process is at it.
    """
    done = 0
    for _ in range(portions):
        count = _fold_portion()
        done += count
        if count < PORTION:
            break
    return done


def _fold_portion() -> int:
    with transaction.atomic():
        mark = lock_mark(wait=False)
        if mark is None:
            return 0
        changes = changes_of(Event.objects.filter(seq__gt=mark.seq).order_by("seq")[:PORTION])
        if not changes:
            return 0
        deltas = fold(changes)
        _add_fees(deltas, changes)
        add(deltas)
        mark.seq = changes[-1].seq or mark.seq
        mark.save(update_fields=["seq"])
    return len(changes)


def lock_mark(*, wait: bool) -> FoldedUpTo | None:
    """The mark, locked; None while another process holds it, unless the caller waits."""
    rows = FoldedUpTo.objects.select_for_update(skip_locked=not wait and connection.features.has_select_for_update)
    mark = rows.filter(pk=_MARK).first()
    if mark is None and not FoldedUpTo.objects.filter(pk=_MARK).exists():
        FoldedUpTo.objects.get_or_create(pk=_MARK)
        mark = rows.filter(pk=_MARK).first()
    return mark


def hold_mark() -> int:
    """Up to which event the sums know, unchanged until the transaction ends; others may hold it too."""
    if connection.vendor != "postgresql":
        mark = lock_mark(wait=True)
        return mark.seq if mark is not None else 0
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT seq FROM {table_of(FoldedUpTo)} WHERE id = %s FOR SHARE", [_MARK])  # noqa: S608
        row = cursor.fetchone()
    return row[0] if row is not None else 0


def _add_fees(deltas: Deltas, changes: list[Change]) -> None:
    """A day that was compared (again) has the fees its bill names now: what is added is the rest to that, also of a
    currency that the bill does not name any more."""
    ids = {c.object_id for c in changes if c.type == "reconciliation.compared"}
    if not ids:
        return
    compared = ReconciliationDay.objects.filter(pk__in=ids)
    named = fees_of(compared)
    whose = set(compared.values_list("day", "account_id"))
    days, accounts = {day for day, _account in whose}, {account for _day, account in whose}
    stood = PaymentDay.objects.filter(day__in=days, account_id__in=accounts, app_id=0, method="")
    known = {
        Key(r.day, r.merchant_id, 0, r.account_id, "", r.currency): r.fee
        for r in stood if (r.day, r.account_id) in whose
    }  # fmt: skip
    for key in {**known, **named}:
        if named.get(key, 0) != known.get(key, 0):
            deltas[key]["fee"] += named.get(key, 0) - known.get(key, 0)


def add(deltas: Deltas) -> None:
    """Add to the stored sums: of merchants, of channels, of apps. The caller holds the mark."""
    changed = {key: sums for key, sums in deltas.items() if any(sums.values())}
    if not changed:
        return
    day_of = connection.ops.adapt_datefield_value
    merchants = [
        (key.merchant_id, day_of(key.day), *key[2:], *_columns(sums)) for key, sums in sorted(changed.items())
    ]
    _upsert(PaymentDay, ("merchant_id", "day", "app_id", "account_id", "method", "currency"), merchants)
    channels = [(day_of(key[0]), *key[1:], *_columns(sums)) for key, sums in sorted(_by_channel(changed).items())]
    _upsert(ChannelDay, ("day", "channel", "method", "currency"), channels)
    apps = _together(changed, lambda key: (key.app_id, day_of(key.day), key.method, key.currency))
    _upsert(AppDay, ("app_id", "day", "method", "currency"), [
        (*key, *_columns(sums)) for key, sums in sorted(apps.items()) if key[0]
    ])  # fmt: skip


def _by_channel(deltas: Deltas) -> dict[tuple[Any, ...], Counter[str]]:
    ids = {key.account_id for key in deltas} - {0}
    channels = dict(PaymentAccount.objects.filter(pk__in=ids).values_list("pk", "channel"))
    return _together(deltas, lambda key: (key.day, channels.get(key.account_id, ""), key.method, key.currency))


def _together(deltas: Deltas, whose: Callable[[Key], tuple[Any, ...]]) -> dict[tuple[Any, ...], Counter[str]]:
    found: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for key, sums in deltas.items():
        row = found[whose(key)]
        for name, number in sums.items():
            row[name] += number
    return found


def _columns(sums: Counter[str]) -> tuple[int, ...]:
    return tuple(sums[name] for name in SUMS)


def _upsert(model: type[models.Model], key: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    quote = connection.ops.quote_name
    names = (*key, *SUMS)
    table, columns = quote(model._meta.db_table), ", ".join(map(quote, names))
    added = ", ".join(f"{quote(n)} = {table}.{quote(n)} + excluded.{quote(n)}" for n in SUMS)
    kept = f"ON CONFLICT ({', '.join(map(quote, key))}) DO UPDATE SET {added}"
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # A list per column: the statement stays short, and the driver reads it once.
            arrays = ", ".join(f"%s::{model._meta.get_field(n).db_type(connection)}[]" for n in names)
            statement = f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays}) {kept}"  # noqa: S608
            cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
        else:
            places = ", ".join(["%s"] * len(names))
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({places}) {kept}", rows)  # noqa: S608
