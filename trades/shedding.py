"""Shedding a channel that limps, so that it hurts nobody else.

Two guards stand before every new payment: a circuit breaker per payment account, whose memory all
processes share, and a limit on calls at a time per account and per provider. Both answer 50301 at once.
A background probe, never a payer's call, finds out that the channel is well again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_noop

from merchants.api.errors import ChannelShed
from merchants.channels import provider_of
from merchants.models import PaymentAccount
from notifications.alerts import alert
from paycenter import compiled
from paycenter.claims import claim_due
from paycenter.http import time_limit
from paycenter.transitions import record_event
from trades.models import Attempt, ChannelHealth, ChannelSwitch

FAILURES_TO_OPEN = 5
PROBE_SECONDS = 10.0
PROBE_LIMIT_SECONDS = 6.0
CACHE_SECONDS = 1.0
# From so many calls in this process on, those of the other processes are counted too.
_COUNT_ALL_FROM = 8
# The accounts that take no payments just now; as `ChannelHealth.is_shed`.
SHED = Q(switch=ChannelSwitch.ALWAYS_OFF) | Q(switch=ChannelSwitch.AUTO, opened_at__isnull=False)
_HEALTH = compiled.Select(lambda account: ChannelHealth.objects.filter(account_id=account), account=int)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Seen:
    until: float
    shed: bool
    failing: bool
    is_open: bool
    by_hand: bool


class _Memory:
    """What this process knows of the shared rows, for a second, and the calls it has under way."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seen: dict[int, _Seen] = {}
        self.busy: Counter[str] = Counter()

    def forget(self, account_id: int) -> None:
        self.seen.pop(account_id, None)


_memory = _Memory()


def _look(account_id: int) -> _Seen:
    seen = _memory.seen.get(account_id)
    if seen is not None and time.monotonic() < seen.until:
        return seen
    row = _HEALTH.first(account=account_id)
    seen = _Seen(
        until=time.monotonic() + CACHE_SECONDS, shed=row is not None and row.is_shed,
        failing=row is not None and row.failures > 0, is_open=row is not None and row.opened_at is not None,
        by_hand=row is not None and row.switch != ChannelSwitch.AUTO,
    )  # fmt: skip
    _memory.seen[account_id] = seen
    return seen


def shed_for(account: PaymentAccount) -> str | None:
    """Why new payments through the account are refused just now: `by_hand`, `unwell`, or None."""
    seen = _look(account.pk)
    if not seen.shed:
        return None
    return "by_hand" if seen.by_hand else "unwell"


@contextmanager
def place_for(account: PaymentAccount) -> Iterator[None]:
    """Hold one of the account's places while paying through it, waiting repeats included.

    Raises ChannelShed at once when the channel is shed or all places are taken.
    """
    if shed_for(account) is not None:
        raise ChannelShed(retry_after=int(PROBE_SECONDS))
    names = (f"account:{account.pk}", f"provider:{account.channel}")
    with _memory.lock:
        if any(_memory.busy[name] >= settings.CHANNEL_CONCURRENCY for name in names):
            raise ChannelShed(retry_after=2)
        _memory.busy.update(names)
        busy = _memory.busy[names[0]]
    try:
        if busy > _COUNT_ALL_FROM and _in_flight_everywhere(account) >= settings.CHANNEL_CONCURRENCY:
            raise ChannelShed(retry_after=2)
        yield
    finally:
        with _memory.lock:
            _memory.busy.subtract(names)


def _in_flight_everywhere(account: PaymentAccount) -> int:
    return Attempt.objects.filter(account=account, in_flight_until__gt=timezone.now()).count()


def success_report(account: PaymentAccount) -> None:
    """The channel answered in words. Costs nothing unless something had failed before."""
    if not _look(account.pk).failing:
        return
    # An open breaker is closed by the probe only.
    ChannelHealth.objects.filter(account=account, failures__gt=0, opened_at__isnull=True).update(failures=0)
    _memory.forget(account.pk)


def failure_report(account: PaymentAccount, error: str) -> None:
    """An unknown outcome, or no connection. The fifth in a row opens the breaker.

    Many fail at the same moment. The row is never locked over several statements to count them, and not
    touched once the breaker is open: who queued for it would hold connections that other channels need.
    """
    if _look(account.pk).is_open:
        return
    rows = ChannelHealth.objects.filter(account=account)
    counted = {"failures": F("failures") + 1, "last_error": error[:200]}
    if not rows.update(**counted):
        ChannelHealth.objects.get_or_create(account=account)
        rows.update(**counted)
    if rows.filter(failures__gte=FAILURES_TO_OPEN, opened_at__isnull=True).exists():
        _open(account)
    _memory.forget(account.pk)


@transaction.atomic
def _open(account: PaymentAccount) -> None:
    """Open the breaker, unless somebody else just did or words came in between."""
    health = ChannelHealth.objects.select_for_update().get(account=account)
    if health.failures < FAILURES_TO_OPEN or health.opened_at is not None:
        return
    now = timezone.now()
    health.opened_at, health.next_probe_at, health.probes = now, now + timedelta(seconds=PROBE_SECONDS / 2), 0
    health.save(update_fields=["opened_at", "next_probe_at", "probes"])
    health.account = account
    record_event(health, "channel.shed", actor="system:breaker", reason=health.last_error)
    alert(
        kind="channel", key=f"shed:{account.payment_no}", severity="critical",
        title=gettext_noop("A channel does not answer and is shed"),
        text=gettext_noop(
            "%(channel)s account %(payment_no)s: %(failures)s unknown outcomes in a row; the last: %(error)s."
            " New payments are refused until it answers again."
        ),
        context={"channel": account.channel, "payment_no": account.payment_no, "failures": health.failures,
                 "error": health.last_error},
        merchant_no=account.merchant.merchant_no, record=account,
    )  # fmt: skip


def probe_due() -> int:
    """Probe shed channels whose time has come; those that answer are in use again. Returns how many were asked."""
    ids = claim_due(ChannelHealth, "next_probe_at", now=timezone.now(), lease=PROBE_SECONDS, limit=50)
    for health in ChannelHealth.objects.select_related("account", "account__merchant").filter(pk__in=ids):
        if _answers(health.account):
            _close(health)
        else:
            ChannelHealth.objects.filter(pk=health.pk).update(
                probes=F("probes") + 1, next_probe_at=timezone.now() + timedelta(seconds=PROBE_SECONDS)
            )
    return len(ids)


def _answers(account: PaymentAccount) -> bool:
    try:
        with time_limit(PROBE_LIMIT_SECONDS):
            return provider_of(account).check().ok
    except Exception as exc:
        log.info("probe failed", payment_no=account.payment_no, error=type(exc).__name__)
        return False


def _close(health: ChannelHealth) -> None:
    with transaction.atomic():
        locked = ChannelHealth.objects.select_for_update().get(pk=health.pk)
        locked.failures, locked.opened_at, locked.next_probe_at, locked.probes = 0, None, None, 0
        locked.save(update_fields=["failures", "opened_at", "next_probe_at", "probes"])
        locked.account = health.account
        record_event(locked, "channel.recovered", actor="system:probe")
    _memory.forget(health.account_id)


def switch_set(*, account: PaymentAccount, switch: str, actor: str, reason: str) -> ChannelHealth:
    """Put an account's channel out of use, always in use, or back to automatic, by hand.

    Raises ValueError for an unknown switch.
    """
    wanted = ChannelSwitch(switch)
    with transaction.atomic():
        ChannelHealth.objects.get_or_create(account=account)
        health = ChannelHealth.objects.select_for_update().get(account=account)
        before, health.switch = health.switch, wanted
        health.save(update_fields=["switch"])
        health.account = account
        record_event(health, "channel.switched", actor=actor, reason=reason, from_state=before, to_state=wanted.value)
    _memory.forget(account.pk)
    return health
