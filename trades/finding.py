"""Finding payments by what people have in hand: exact numbers, each one index look-up, or an amount and a time.

An amount is looked for in few days only: our numbers begin with their time and have a unique index, so that a search
reads those days' trades, however many are stored.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from paycenter.errors import MoneyError
from paycenter.money import Money, is_currency
from paycenter.staff.lists import number_bound, parse_day
from trades.models import Attempt, Trade

LIMIT = 500
_PHONE_TAIL = re.compile(r"\d{4}")
# `128.50`, `128.50 2026-11-20`, `USD 1,128.50 2026-11-20 15:30`. Without a day the point tells it from a number.
_AMOUNT = re.compile(
    r"(?:¥ ?|(?P<currency>[A-Z]{3}) )?(?P<amount>[0-9][0-9,]{0,15}(?:\.[0-9]{1,4})?)"
    r"(?: (?P<day>\d{4}-\d\d-\d\d)(?: (?P<hour>\d{1,2}):(?P<minute>\d\d))?)?"
)
_AROUND = timedelta(hours=1)
_LATELY = timedelta(days=3)


def trade_ids(term: str) -> set[int]:
    """Ids of the trades that any of their numbers, the business number or the phone's last four digits name.

    Numbers: the app's order number, ours of the trade or an attempt, the channel's, the one sent to the
    channel. At most LIMIT of each kind, the newest.
    """
    term = term.strip()
    if not term.isprintable() or not 0 < len(term) <= 64:
        return set()
    own = [Q(trade_no=term), Q(app_order_no=term), Q(business_no=term) & ~Q(business_no="")]
    if _PHONE_TAIL.fullmatch(term):
        own.append(Q(phone_tail=term) & ~Q(phone_tail=""))
    # An abnormal payment's channel number is its attempt's, too.
    tried = [Q(attempt_no=term), Q(channel_order_no=term), Q(channel_trade_no=term)]
    found = {pk for way in own for pk in _newest(Trade.objects.filter(way).values_list("pk", flat=True))}
    return found | {
        pk for way in tried for pk in _newest(Attempt.objects.filter(way).values_list("trade_id", flat=True))
    }


def amount_and_time(term: str) -> Q | None:
    """Which trades an amount names; None where the text is no amount.

    With a day those made on it, with a time those made within an hour of it, else those of the last three days; of
    the currency before it, CNY without one.
    """
    found = _AMOUNT.fullmatch(" ".join(term.split()))
    if found is None or not (found["day"] or "." in found["amount"]):
        return None
    currency, span = found["currency"] or "CNY", _span(found)
    if span is None or not is_currency(currency):
        return None
    try:
        amount = Money.from_major(found["amount"].replace(",", ""), currency)
    except MoneyError:
        return None
    low, high = (number_bound("P", moment) for moment in span)
    return Q(trade_no__gte=low, trade_no__lt=high, amount=amount.minor, currency=currency)


def _span(found: re.Match[str]) -> tuple[datetime, datetime] | None:
    """From when to when; None for a day or a time that is none."""
    if not found["day"]:
        return timezone.now() - _LATELY, timezone.now() + timedelta(minutes=1)
    day = parse_day(found["day"])
    if day is None:
        return None
    hour, minute = int(found["hour"] or 0), int(found["minute"] or 0)
    if not 2000 <= day.year <= 2999 or hour > 23 or minute > 59:
        return None
    start = timezone.make_aware(datetime(day.year, day.month, day.day, hour, minute))
    return (start - _AROUND, start + _AROUND) if found["hour"] else (start, start + timedelta(days=1))


def _newest(ids: object) -> list[int]:
    return list(ids.order_by("-id")[:LIMIT])  # type: ignore[attr-defined]


def trade_nos_of(term: str) -> set[str]:
    """Trade numbers of the payments a number names."""
    ids = trade_ids(term)
    return set(Trade.objects.filter(pk__in=ids).values_list("trade_no", flat=True)) if ids else set()
