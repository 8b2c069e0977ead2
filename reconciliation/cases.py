"""Differences as cases: recorded once, reviewed whenever either side changes, worked on by people.

No case changes a trade or a refund: what the channel's own answer says goes through the normal paths, and
the case looks again afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from merchants.models import App, User
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from paycenter.schedules import delay_for
from paycenter.staff.tenancy import actor_of
from paycenter.times import iso
from paycenter.transitions import advance, lock, record_event, save_changed
from reconciliation.matching import Difference, Scope
from reconciliation.models import Case, CaseKind, CaseOutcome
from reconciliation.rules import Ours, Theirs, unexplained
from reconciliation.states import CaseState

SYSTEM = "system:reconciliation"
# Differences that the channel's live answer can settle or prove.
ASKABLE = (CaseKind.STATUS, CaseKind.MISSING_AT_CHANNEL, CaseKind.AMOUNT, CaseKind.CURRENCY)
_FINISHING = ("outcome", "reason", "closed_by", "finished_at", "next_ask_at")


def cases_record(scope: Scope, found: Sequence[Difference]) -> int:
    """Write a case for every difference that has none, and reopen those that seemed settled. Answers how many.

    What is missing at the channel is carried over first, unless the carrying time is over.
    """
    if not found:
        return 0
    with transaction.atomic():
        known = {
            (case.subject, case.key, case.kind): case
            for case in Case.objects.select_for_update().filter(
                account=scope.account, key__in={difference.key for difference in found}
            )
        }
        fresh: dict[tuple[str, str, str], Case] = {}
        for difference in found:
            name = (difference.side.subject.value, difference.key[:72], difference.kind.value)
            if name not in known:
                fresh.setdefault(name, _case_of(scope, difference))
            elif known[name].state == CaseState.SETTLED:
                _reopen_settled(scope, known[name], difference)
        apps = App.objects.in_bulk({case.app_id for case in fresh.values() if case.app_id})
        for case in fresh.values():
            case.app = apps.get(case.app_id) if case.app_id else None
        made = Case.objects.bulk_create(fresh.values())
        Event.objects.bulk_create([_opened_event(case) for case in made])
    return len(made)


def case_settle(case: Case, outcome: CaseOutcome, *, actor: str = SYSTEM, reason: str = "") -> None:
    """Both sides agree now. Runs on a locked row."""
    case.outcome, case.reason, case.finished_at, case.next_ask_at = outcome, reason[:300], timezone.now(), None
    advance(case, "settle", actor=actor, reason=reason, fields=("outcome", "reason", "finished_at", "next_ask_at"),
            event="case.settled")  # fmt: skip


def case_age(case: Case, *, reason: str) -> None:
    """Nobody explained a carried case in time: it needs a person now. Runs on a locked row."""
    case.next_ask_at = timezone.now() if _askable(case) else None
    advance(case, "age", actor=SYSTEM, reason=reason, fields=("next_ask_at",), event="case.opened")


# ---- what people do ---------------------------------------------------------------------------------------
def case_take(*, case: Case, user: User) -> Case:
    """Make somebody the owner. Raises TransitionRefused for a case that is finished."""
    with transaction.atomic():
        locked = _locked(case)
        if locked.state in (CaseState.SETTLED, CaseState.CLOSED):
            raise TransitionRefused("the case is finished", state=str(locked.state))
        locked.owner = user
        save_changed(locked, ("owner",))
        record_event(locked, "case.taken", actor=actor_of(user))
    return locked


def case_close(*, case: Case, user: User, outcome: str, reason: str) -> Case:
    """Close with an explanation; above `RECONCILIATION_TWO_PEOPLE_ABOVE` somebody else has to confirm.

    Raises TransitionRefused, ValueError for an outcome that is none or an empty reason.
    """
    if outcome not in CaseOutcome.values or not reason.strip():
        raise ValueError("an outcome and a reason are needed")
    with transaction.atomic():
        locked = _locked(case)
        locked.outcome, locked.reason, locked.next_ask_at = outcome, reason.strip()[:300], None
        locked.owner = locked.owner or user
        if locked.difference > settings.RECONCILIATION_TWO_PEOPLE_ABOVE:
            locked.proposed_by = user
            advance(locked, "ask_closing", actor=actor_of(user), reason=reason, event="case.close_asked",
                    fields=("outcome", "reason", "next_ask_at", "owner", "proposed_by"))  # fmt: skip
        else:
            _refuse_from(locked, CaseState.CLOSING)
            locked.closed_by, locked.finished_at = user, timezone.now()
            advance(locked, "close", actor=actor_of(user), reason=reason, event="case.closed",
                    fields=(*_FINISHING, "owner"))  # fmt: skip
    return locked


def case_confirm(*, case: Case, user: User, reason: str = "") -> Case:
    """The second person agrees to closing. Raises TransitionRefused, also for whoever proposed it."""
    with transaction.atomic():
        locked = _locked(case)
        _refuse_proposer(locked, user)
        locked.closed_by, locked.finished_at = user, timezone.now()
        advance(locked, "close", actor=actor_of(user), reason=reason or locked.reason, event="case.closed",
                fields=("closed_by", "finished_at"))  # fmt: skip
    return locked


def case_refuse(*, case: Case, user: User, reason: str) -> Case:
    """The second person does not agree, or the first withdraws. Raises TransitionRefused."""
    with transaction.atomic():
        locked = _locked(case)
        locked.proposed_by, locked.outcome = None, ""
        advance(locked, "refuse_closing", actor=actor_of(user), reason=reason, event="case.close_refused",
                fields=("proposed_by", "outcome"))  # fmt: skip
    return locked


def case_reopen(*, case: Case, user: User, reason: str) -> Case:
    """It was not explained after all. Raises TransitionRefused."""
    with transaction.atomic():
        locked = _locked(case)
        _reopen(locked, actor_of(user), reason)
    return locked


def case_ask_now(*, case: Case, user: User) -> Case:
    """Have the channel asked about it by the next sweep. Raises TransitionRefused where it cannot be asked."""
    with transaction.atomic():
        locked = _locked(case)
        if not _askable(locked) or locked.state in (CaseState.SETTLED, CaseState.CLOSED):
            raise TransitionRefused("the channel cannot be asked about this", state=str(locked.state))
        locked.next_ask_at = timezone.now()
        save_changed(locked, ("next_ask_at",))
        record_event(locked, "case.ask_requested", actor=actor_of(user))
    return locked


# ---- inside -----------------------------------------------------------------------------------------------
def _locked(case: Case) -> Case:
    locked = lock(Case, pk=case.pk)
    locked.account, locked.app = case.account, case.app
    return locked


def _refuse_proposer(case: Case, user: User) -> None:
    _refuse_unless(case, CaseState.CLOSING)
    if case.proposed_by_id == user.pk:
        raise TransitionRefused("whoever proposed to close it cannot confirm it", state=str(case.state))


def _refuse_unless(case: Case, state: CaseState) -> None:
    if case.state != state:
        raise TransitionRefused(f"not possible from {case.state}", state=str(case.state))


def _refuse_from(case: Case, state: CaseState) -> None:
    if case.state == state:
        raise TransitionRefused(f"not possible from {case.state}", state=str(case.state))


def _reopen(case: Case, actor: str, reason: str) -> None:
    case.outcome, case.reason, case.finished_at, case.closed_by, case.proposed_by = "", "", None, None, None
    advance(case, "reopen", actor=actor, reason=reason, fields=(*_FINISHING, "proposed_by"), event="case.reopened")


def _reopen_settled(scope: Scope, case: Case, difference: Difference) -> None:
    case.account = scope.account
    case.evidence = evidence(difference.ours, difference.theirs)
    save_changed(case, ("evidence",))
    _reopen(case, SYSTEM, gettext_noop("the difference is there again"))


def _askable(case: Case) -> bool:
    return case.kind in ASKABLE and (case.attempt_id is not None or case.record_id is not None)


def _case_of(scope: Scope, difference: Difference) -> Case:
    ours, theirs, kind = difference.ours, difference.theirs, difference.kind
    carry = timedelta(days=settings.RECONCILIATION_CARRY_DAYS)
    carried = kind == CaseKind.MISSING_AT_CHANNEL and carry > timedelta(0)
    side = ours or theirs
    assert side is not None  # noqa: S101 - a difference has at least one side
    numbers = ours.numbers if ours is not None else {}
    case = Case(
        account=scope.account, app_id=numbers.get("app_id"), day=scope.day, subject=difference.side.subject,
        kind=kind, key=difference.key[:72], bill_id=theirs.bill_id if theirs else None,
        line=theirs.line if theirs else None, attempt_id=numbers.get("attempt_id"),
        record_id=ours.record_id if ours is not None else None, trade_no=numbers.get("trade_no", ""),
        attempt_no=numbers.get("attempt_no", ""), refund_no=numbers.get("refund_no", ""),
        our_amount=ours.amount if ours else None, channel_amount=theirs.amount if theirs else None,
        currency=side.currency, difference=unexplained(kind, ours, theirs), evidence=evidence(ours, theirs),
        carry_until=scope.day + carry if carried else None, opened_at=timezone.now(),
        state=CaseState.CARRIED if carried else CaseState.OPEN,
    )  # fmt: skip
    case.next_ask_at = timezone.now() + timedelta(seconds=delay_for("case", 0) or 0) if _askable(case) else None
    return case


def evidence(ours: Ours | None, theirs: Theirs | None) -> dict[str, Any]:
    """Both sides as they stood, for people to compare."""
    found: dict[str, Any] = {"ours": None, "theirs": None}
    if ours is not None:
        found["ours"] = {
            "amount": ours.amount, "currency": ours.currency, "state": ours.state, "at": iso(ours.at), "fee": ours.fee,
            "method": ours.method, "channel_trade_no": ours.channel_trade_no, "order_no": ours.key,
        }  # fmt: skip
    if theirs is not None:
        found["theirs"] = {
            "amount": theirs.amount, "currency": theirs.currency, "state": theirs.state, "at": iso(theirs.at),
            "fee": theirs.fee, "channel_trade_no": theirs.channel_trade_no, "line": theirs.line,
            "order_no": theirs.order_no, "refund_no": theirs.refund_no, "channel_refund_no": theirs.channel_refund_no,
            "channel_state": theirs.channel_state,
        }  # fmt: skip
    return found


def _opened_event(case: Case) -> Event:
    """As `record_event` writes it, for many at once."""
    fields = case.event_fields()
    carried = case.state == CaseState.CARRIED
    return Event(
        type="case.carried" if carried else "case.opened", actor=SYSTEM, object_type="case", object_id=case.pk,
        created_at=case.opened_at, to_state=str(case.state), **fields,
    )  # fmt: skip

