"""Checking connections in the background: a row is due, a worker asks the channel, the page shows how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from merchants.checking import account_check
from merchants.models import PaymentAccount, User
from merchants.states import OPEN_STATES
from onboarding.models import Application, ConnectionCheck
from paycenter.claims import claim_due
from paycenter.errors import TransitionRefused
from paycenter.staff.tenancy import actor_of
from paycenter.transitions import lock
from paycenter.wakeup import wake

log = structlog.get_logger(__name__)
TASK = "onboarding.tasks.check_connections"
# Seconds until another worker takes over: longer than a check with a new token and a slow channel takes.
LEASE = 180.0
_SLOW_START = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the last check of an account is. `state` is `none`, `waiting`, `asking`, `good` or `bad`."""

    state: str
    text: str
    running: bool
    at: datetime | None = None


@transaction.atomic
def check_ask(*, application: Application, account: PaymentAccount, user: User) -> ConnectionCheck:
    """Have the connection checked soon; the check that is under way where there is one. Raises TransitionRefused."""
    locked = lock(PaymentAccount, pk=account.pk)
    if locked.merchant_id != application.merchant_id or locked.state not in OPEN_STATES:
        raise TransitionRefused(_("This account cannot be changed here any more."), state=str(locked.state))
    pending = ConnectionCheck.objects.filter(account=locked, due_at__isnull=False).first()
    if pending is not None:
        return pending
    now = timezone.now()
    language = translation.get_language() or ""
    check = ConnectionCheck.objects.create(
        account=locked, asked_by=user, language=language[:8], asked_at=now, due_at=now
    )
    transaction.on_commit(lambda: wake(TASK), robust=True)
    return check


def run_due_checks(limit: int = 20) -> int:
    """Run what is due, one after the other; how many."""
    done = 0
    while done < limit:
        found = claim_due(ConnectionCheck, "due_at", now=timezone.now(), lease=LEASE, limit=1)
        if not found:
            break
        _run(found[0])
        done += 1
    return done


def _run(pk: int) -> None:
    check = ConnectionCheck.objects.select_related("account", "asked_by").get(pk=pk)
    ConnectionCheck.objects.filter(pk=pk).update(started_at=timezone.now())
    with translation.override(check.language or None):
        ok, message = _answer(check)
    ConnectionCheck.objects.filter(pk=pk).update(
        finished_at=timezone.now(), due_at=None, ok=ok, message=message[:300]
    )


def _answer(check: ConnectionCheck) -> tuple[bool, str]:
    try:
        result = account_check(account=check.account, actor=actor_of(check.asked_by))
    except Exception as exc:  # a mistake in a provider must not be asked for again for ever
        log.exception("connection check broke off", account=check.account_id, error=type(exc).__name__)
        return False, _("The check broke off. Please tell us; it is written down.")
    return result.ok, result.message.text(translation.get_language())


def progress_of(account: PaymentAccount, now: datetime) -> Progress:
    """How far the check of this account is, in words. The account's own last result stands where none runs."""
    check = ConnectionCheck.objects.filter(account=account).first()
    if check is not None and check.due_at is not None:
        if check.started_at is not None:
            seconds = int((now - check.started_at).total_seconds())
            return Progress("asking", _("Asking the channel, for %(seconds)d s …") % {"seconds": seconds}, True)
        late = now - check.asked_at > _SLOW_START
        words = _("Still waiting for a free worker …") if late else _("The check starts in a moment …")
        return Progress("waiting", words, True)
    if check is not None and check.ok is False and not account.check_ok and account.checked_at is None:
        return Progress("bad", check.message, False, check.finished_at)
    if account.check_ok is None:
        return Progress("none", _("Not checked since the parameters were stored."), False)
    return Progress("good" if account.check_ok else "bad", account.check_message, False, account.checked_at)
