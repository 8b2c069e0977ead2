"""One decision over many refunds: each by itself, each with its own outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.staff.display import money
from refunds.admin.acts import BULK, act_run
from refunds.admin.listing import refund_chip
from refunds.models import Refund

LIMIT = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one chosen row; `why` says why it was refused. `refund` is as it stands now."""

    refund: Refund | None
    done: bool
    why: str = ""
    amount: str = ""
    state: str = ""


def amount_seen(text: str) -> int | None:
    """The amount a person saw, as their page sent it back; None for anything that is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def problem_of(decision: str, comment: str, chosen: Sequence[str]) -> str:
    """Why nothing can be done with such a form at all; "" when it can."""
    if decision not in BULK:
        return _("Please choose what to do.")
    if not comment:
        return _("Please give a comment.")
    if not chosen:
        return _("Please select at least one refund.")
    if len(chosen) > LIMIT:
        return _("At most %(n)d refunds at once.") % {"n": LIMIT}
    return ""


def decide(
    rows: QuerySet[Refund], decision: str, chosen: Iterable[str], *, user: User, comment: str
) -> list[Outcome]:  # fmt: skip
    """Decide on each chosen `id:amount`, in order. `rows` are those this person may see; others are not there."""
    pairs = dict.fromkeys(chosen)
    seen = [(key, amount_seen(amount)) for key, _colon, amount in (text.partition(":") for text in pairs)]
    numbers = [int(key) for key, _amount in seen if amount_seen(key) is not None]
    found: dict[str, Refund] = {str(refund.pk): refund for refund in rows.filter(pk__in=numbers)}
    return [_one(found.get(key), decision, amount, user, comment) for key, amount in seen]


def _one(refund: Refund | None, decision: str, seen: int | None, user: User, comment: str) -> Outcome:
    if refund is None or seen is None:
        return Outcome(None, False, _("There is no such refund."))
    why = ""
    try:
        act_run(decision, refund=refund, user=user, comment=comment, seen=seen)
    except TransitionRefused as exc:
        why = str(exc)
    now: Any = Refund.objects.select_related("trade").defer("memo", "trade__payer").get(pk=refund.pk)
    return Outcome(now, not why, why, money(now.amount, now.currency), refund_chip(now))
