"""Looking again at cases: whether both sides agree now, and what the channel itself says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from merchants.models import PaymentAccount
from notifications.alerts import alert
from paycenter.schedules import delay_for
from paycenter.times import iso
from paycenter.transitions import record_event, save_changed
from reconciliation.actors import SYSTEM
from reconciliation.cases import case_age, case_settle
from reconciliation.fees import Rate
from reconciliation.matching import Difference, rows_by_key, theirs_of
from reconciliation.models import BillRow, Case, CaseKind, CaseOutcome, Subject
from reconciliation.rules import Ours, Theirs, judge
from reconciliation.settlement.rates import rates_of
from reconciliation.sides import Side, Word, sides
from reconciliation.states import LIVE_CASE_STATES, USABLE_BILL_STATES, CaseState

PORTION = 500


def cases_review(account: PaymentAccount, *, reached: date, before: datetime) -> list[Difference]:
    """Settle the account's live cases whose sides agree now, and open those carried until `reached` or earlier.
    Cases found since `before` were just looked at.

    Answers differences that became others (a late row with another amount), to be recorded anew.
    """
    changed: list[Difference] = []
    live = Case.objects.filter(account=account, state__in=LIVE_CASE_STATES, opened_at__lt=before)
    live = live.exclude(kind=CaseKind.EXCESS).order_by("pk")  # no bill settles one
    ids = list(live.values_list("pk", flat=True))
    for start in range(0, len(ids), PORTION):
        with transaction.atomic():
            portion = list(
                Case.objects.select_for_update(of=("self",)).select_related("app")
                .filter(pk__in=ids[start : start + PORTION], state__in=LIVE_CASE_STATES).order_by("pk")
            )  # fmt: skip
            changed += _review(account, portion, reached)
    return changed


def case_review(case_id: int) -> list[Difference]:
    """The same for one case."""
    with transaction.atomic():
        case = Case.objects.select_for_update(of=("self",)).select_related("account__merchant", "app").get(pk=case_id)
        return _review(case.account, [case], None) if case.state in LIVE_CASE_STATES else []


def _review(account: PaymentAccount, cases: Sequence[Case], reached: date | None) -> list[Difference]:
    changed = []
    for side in sides():
        mine = [case for case in cases if case.subject == side.subject]
        for case, ours, theirs in _both_sides(account, side, mine):
            case.account = account
            kind = judge(ours, theirs)
            if kind == case.kind:
                if case.state == CaseState.CARRIED and reached and case.carry_until and case.carry_until <= reached:
                    case_age(case, reason=gettext_noop("no later bill has it"))
                continue
            asked = case.asks > 0 and theirs is not None and theirs.bill_id == case.bill_id
            case_settle(case, CaseOutcome.ASKED if asked else CaseOutcome.MATCHED)
            if kind is not None:
                changed.append(Difference(side, kind, ours, theirs))
    return changed


def _both_sides(
    account: PaymentAccount, side: Side, cases: Sequence[Case]
) -> list[tuple[Case, Ours | None, Theirs | None]]:
    """Each case with both sides as they are now."""
    rates: Mapping[str, Rate] = rates_of(account, min((case.day for case in cases), default=date.min))
    rows = _rows_of(cases)
    ours = side.of_ids([case.record_id for case in cases if case.record_id is not None], rates)
    named = side.of_rows(account.pk, list(rows.values()), rates)
    late = rows_by_key(account.pk, side, list(ours.values()))
    found: list[tuple[Case, Ours | None, Theirs | None]] = []
    for case in cases:
        row = rows.get(case.pk)
        mine = ours.get(case.record_id) if case.record_id is not None else named.get(row.key) if row else None
        found.append((case, mine, row or (late.get(mine.key) if mine else None)))
    return found


def _rows_of(cases: Sequence[Case]) -> dict[int, Theirs]:
    """The rows the cases were found with, as far as they are still there, by case."""
    placed = {(case.bill_id, case.line): case.pk for case in cases if case.bill_id is not None}
    rows = BillRow.objects.filter(
        bill__state__in=USABLE_BILL_STATES, bill_id__in={bill for bill, _line in placed},
        line__in={line for _bill, line in placed},
    )  # fmt: skip
    keys = {case.pk: case.key for case in cases}
    found = {placed[row.bill_id, row.line]: row for row in theirs_of(rows) if (row.bill_id, row.line) in placed}
    return {pk: row for pk, row in found.items() if row.key == keys[pk] or row.key.startswith("#")}


# ---- asking the channel -------------------------------------------------------------------------------------
def case_ask(case_id: int) -> None:
    """Ask the channel about a case through the normal path, keep its word, and look again.

    A payment that the channel does not know is told as a security matter: its notification may be forged.
    Must not be called inside a transaction.
    """
    case = Case.objects.select_related("account__merchant", "app").get(pk=case_id)
    if case.state not in LIVE_CASE_STATES or case.record_id is None:
        Case.objects.filter(pk=case_id).update(next_ask_at=None)
        return
    side = next(side for side in sides() if side.subject == case.subject)
    word = side.ask(case)
    _keep_word(case, {**word.shown, "at": iso(timezone.now())})
    if word.unknown and case.kind == CaseKind.MISSING_AT_CHANNEL and case.subject == Subject.PAYMENT:
        _alert_forged(case, word)
    case_review(case_id)


def _keep_word(case: Case, word: dict[str, Any]) -> None:
    with transaction.atomic():
        locked = Case.objects.select_for_update().get(pk=case.pk)
        locked.account, locked.app = case.account, case.app
        locked.asks += 1
        locked.evidence = {**locked.evidence, "asked": word}
        seconds = delay_for("case", locked.asks)
        again = locked.state in LIVE_CASE_STATES and seconds is not None
        locked.next_ask_at = timezone.now() + timedelta(seconds=seconds or 0) if again else None
        save_changed(locked, ("asks", "evidence", "next_ask_at"))
        detail = {**locked.event_fields()["detail"], "word": word["state"]}
        record_event(locked, "case.asked", actor=SYSTEM, detail=detail)


def _alert_forged(case: Case, word: Word) -> None:
    with transaction.atomic():
        locked = Case.objects.select_for_update().get(pk=case.pk)
        locked.account, locked.app = case.account, case.app
        if locked.state == CaseState.CARRIED:
            case_age(locked, reason=gettext_noop("the channel does not know this payment"))
        alert(
            kind="security", key=f"forged:{case.attempt_no}", severity="critical",
            title=gettext_noop("A payment booked as paid is unknown to its channel"),
            text=gettext_noop(
                "Attempt %(attempt_no)s: neither in the bill of %(day)s nor known to the channel's query, which "
                "answers %(word)s. The notification it was booked by may be forged. Do not deliver, and check the keys."
            ),
            context={"attempt_no": case.attempt_no, "day": case.day.isoformat(), "word": word.shown["state"]},
            merchant_no=case.account.merchant.merchant_no, trade_no=case.trade_no, record=case,
        )  # fmt: skip
