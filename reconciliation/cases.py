"""Differences as cases: recorded once, reviewed whenever either side changes, worked on by people.

No case changes a trade or a refund: what the channel's own answer says goes through the normal paths, and
the case looks again afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from merchants.changes import ASKER_GONE
from merchants.models import User
from paycenter.errors import TransitionRefused
from paycenter.staff.tenancy import actor_of
from paycenter.transitions import advance, lock, record_event, save_changed
from reconciliation import recording
from reconciliation.actors import SYSTEM
from reconciliation.matching import Difference, Scope
from reconciliation.models import Case, CaseOutcome
from reconciliation.recording import Name, evidence
from reconciliation.states import CaseState

SETTLE_PERMISSION = "reconciliation.settle_case"
_FINISHING = ("outcome", "reason", "closed_by", "finished_at", "next_ask_at")


def cases_record(scope: Scope, found: Sequence[Difference]) -> int:
    """Write a case for every difference that has none, and reopen those that seemed settled. Answers how many.

    What is missing at the channel is carried over first, unless the carrying time is over.
    """
    try:
        return _record(scope, found)
    except IntegrityError:  # somebody else compared the same day at the same moment: theirs are known now
        return _record(scope, found)


def _record(scope: Scope, found: Sequence[Difference]) -> int:
    if not found:
        return 0
    with transaction.atomic():
        known = {
            (case.subject, case.key, case.kind): case
            for case in Case.objects.select_for_update().filter(
                account=scope.account, key__in={difference.key[:72] for difference in found}
            ).order_by("pk")
        }
        fresh: dict[Name, Difference] = {}
        for difference in found:
            name = (difference.side.subject.value, difference.key[:72], difference.kind.value)
            if name not in known:
                fresh.setdefault(name, difference)
            elif known[name].state == CaseState.SETTLED:
                _reopen_settled(scope, known[name], difference)
        recording.write(scope, dict(sorted(fresh.items())))  # in one order, so that two workers wait and never cross
    return len(fresh)


def case_settle(case: Case, outcome: CaseOutcome, *, actor: str = SYSTEM, reason: str = "") -> None:
    """Both sides agree now. Runs on a locked row."""
    case.outcome, case.reason, case.finished_at, case.next_ask_at = outcome, reason[:300], timezone.now(), None
    advance(case, "settle", actor=actor, reason=reason, fields=("outcome", "reason", "finished_at", "next_ask_at"),
            event="case.settled")  # fmt: skip


def case_age(case: Case, *, reason: str) -> None:
    """Nobody explained a carried case in time: it needs a person now. Runs on a locked row."""
    case.next_ask_at = timezone.now() if askable(case) else None
    advance(case, "age", actor=SYSTEM, reason=reason, fields=("next_ask_at",), event="case.opened")


def case_reopen_by_system(case: Case, *, reason: str) -> None:
    """A finished case concerns somebody again. Runs on a locked row."""
    _reopen(case, SYSTEM, reason)


def askable(case: Case) -> bool:
    """Whether the channel's answer may settle or prove it."""
    return case.kind in recording.ASKABLE and case.record_id is not None


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
        if not askable(locked) or locked.state in (CaseState.SETTLED, CaseState.CLOSED):
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
    if case.proposed_by is None or not case.proposed_by.has_perm(SETTLE_PERMISSION):
        raise TransitionRefused(_(ASKER_GONE), state=str(case.state))


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
    case_reopen_by_system(case, reason=gettext_noop("the difference is there again"))
