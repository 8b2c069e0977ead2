"""Carrying alerts to people over the active receivers, as the rules of their kinds say.

What an alert costs is bounded: a message tells of everything that is due, a kind has its messages an hour, and a
receiver its messages a minute. What has to wait for either goes into the first message after.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from notifications.models import Alert, AlertRoute, AlertRule, AlertSeverity
from notifications.quiet import quiet_until
from notifications.receivers import RECEIVERS
from notifications.receivers.base import Message, RobotBusy, RobotRefused, Target
from notifications.telling import compose
from paycenter.claims import claim_due
from paycenter.errors import ConfigError, NotSent, UnknownOutcome
from paycenter.masking import mask_text
from paycenter.outbound import client
from paycenter.schedules import delay_for

log = structlog.get_logger(__name__)
LEASE_SECONDS = 120.0
PER_RUN = 2000  # alerts claimed at a time, told in one message to each receiver
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
_WORST_FIRST: Mapping[str, int] = {AlertSeverity.CRITICAL: 0, AlertSeverity.WARNING: 1, AlertSeverity.INFO: 2}


class Held(Exception):
    """Nothing may be sent before `until`."""

    def __init__(self, why: str, until: datetime) -> None:
        super().__init__(f"{why} until {timezone.localtime(until):%H:%M:%S}")
        self.until = until


def send_due_alerts() -> int:
    """Claim due alerts and post them to every receiver of their kinds that has not taken them yet; how many.

    What a receiver refuses is tried again on the `alert` schedule, then left in the list with its error.
    Without any active receiver an alert stays visible there and is not tried again.
    """
    ids = claim_due(Alert, "next_send_at", now=timezone.now(), lease=LEASE_SECONDS, limit=PER_RUN)
    if not ids:
        return 0
    alerts = list(Alert.objects.filter(pk__in=ids).order_by("id"))
    rules = {rule.kind: rule for rule in AlertRule.objects.prefetch_related("receivers")}
    routes = list(AlertRoute.objects.filter(is_active=True).order_by("id"))
    targets = {kind: _targets(routes, rules.get(kind)) for kind in {one.kind for one in alerts}}
    sendable = _not_held(alerts, rules, targets)
    tried: set[str] = set()
    for route in routes:
        mine = [one for one in sendable if route.pk in targets[one.kind] and route.pk not in one.routes_done]
        if _offer(route, mine):
            tried |= {one.kind for one in mine}
    for kind in tried & set(rules):
        _count_told(rules[kind])
    for one in sendable:
        _settle(one, targets[one.kind])
    _store(alerts)
    return len(alerts)


def _targets(routes: Iterable[AlertRoute], rule: AlertRule | None) -> set[int]:
    """Ids of the active receivers a kind is told to: those its rule names, all where it names none."""
    if rule is None:
        return {route.pk for route in routes}
    if not rule.is_active:
        return set()
    named = {route.pk for route in rule.receivers.all()}
    return {route.pk for route in routes if not named or route.pk in named}


def _not_held(
    alerts: list[Alert], rules: Mapping[str, AlertRule], targets: Mapping[str, set[int]]
) -> list[Alert]:
    """The alerts that may be told now, worst first; the others are put off."""
    free: list[Alert] = []
    now = timezone.now()
    for one in alerts:
        rule = rules.get(one.kind)
        held = _held(one, rule, now) if rule is not None and targets[one.kind] else None
        if held is None:
            one.error = ""
            free.append(one)
        else:
            one.next_send_at, one.error = held.until, str(held)
    return sorted(free, key=lambda one: (_WORST_FIRST.get(one.severity, 1), -one.pk))


def _held(alert: Alert, rule: AlertRule, now: datetime) -> Held | None:
    """Why an alert has to wait: quiet hours, or the messages its kind may cost in an hour are used up."""
    until = quiet_until(rule, alert.severity, now)
    if until is not None:
        return Held("quiet hours", until)
    over = None if rule.window_started_at is None else rule.window_started_at + HOUR
    if over is not None and now < over and rule.window_sent >= max(rule.per_hour, 1):
        return Held("rate limit", over)
    return None


def _count_told(rule: AlertRule) -> None:
    """All of one kind that are told together cost one message, failed ones too."""
    now = timezone.now()
    rows = AlertRule.objects.filter(pk=rule.pk)
    if rule.window_started_at is None or now - rule.window_started_at >= HOUR:
        rows.update(window_started_at=now, window_sent=1)
    else:
        rows.update(window_sent=F("window_sent") + 1)


def _offer(route: AlertRoute, alerts: list[Alert]) -> bool:
    """Post one message; note on each alert whether the receiver took it, else why not. Whether one was tried."""
    if not alerts:
        return False
    try:
        _count_message(route)
        send_to(route, alerts)
    except Held as exc:
        for one in alerts:
            one.next_send_at, one.error = exc.until, str(exc)
        return False
    except (NotSent, UnknownOutcome, RobotRefused, ConfigError) as exc:
        log.warning("alerts not sent", route=route.name, alerts=len(alerts), error=str(exc))
        for one in alerts:
            one.error = f"{route.name}: {mask_text(str(exc), limit=230)}"[:300]
    else:
        for one in alerts:
            one.routes_done = [*one.routes_done, route.pk]
    return True


def send_to(route: AlertRoute, alerts: list[Alert]) -> str:
    """One message about these alerts, worst first; the receiver's answer, which is kept with it.

    Raises NotSent, UnknownOutcome, RobotRefused or ConfigError, and Held where the receiver asked for silence.
    """
    receiver = RECEIVERS[route.kind]
    title, text = compose(alerts, route.language, receiver.max_bytes, receiver.escape)
    critical = any(one.severity == AlertSeverity.CRITICAL for one in alerts)
    return post(route, Message(title, text, critical))


def post(route: AlertRoute, message: Message) -> str:
    """Send it now, whatever was sent before. Raises as `send_to`."""
    if route.paused_until is not None and route.paused_until > timezone.now():
        raise Held("rate limit", route.paused_until)
    target = Target(route.url, route.secret, tuple(route.addresses.split()))
    try:
        answer = RECEIVERS[route.kind].send(client(), target, message, time.time())
    except RobotBusy as exc:
        until = timezone.now() + timedelta(seconds=exc.wait)
        _keep_answer(route, str(exc), paused_until=until)
        raise Held("rate limit", until) from exc
    except (NotSent, UnknownOutcome, RobotRefused, ConfigError) as exc:
        _keep_answer(route, str(exc))
        raise
    _keep_answer(route, answer)
    return answer


def _keep_answer(route: AlertRoute, answer: str, paused_until: datetime | None = None) -> None:
    AlertRoute.objects.filter(pk=route.pk).update(
        answer=mask_text(answer, limit=300), answered_at=timezone.now(), paused_until=paused_until
    )


def _count_message(route: AlertRoute) -> None:
    """Raises Held when this minute's messages are used up. Counted before sending, tries too.

    Half of what the receiver allows in each fixed minute, so that no sixty seconds ever hold more.
    """
    now = timezone.now()
    with transaction.atomic():
        row = AlertRoute.objects.select_for_update(of=("self",)).get(pk=route.pk)
        if row.window_started_at is None or now - row.window_started_at >= MINUTE:
            row.window_started_at, row.window_sent = now, 0
        if row.window_sent >= RECEIVERS[row.kind].per_minute // 2:
            raise Held("rate limit", row.window_started_at + MINUTE)
        row.window_sent += 1
        row.save(update_fields=["window_started_at", "window_sent"])


def _settle(alert: Alert, routes: set[int]) -> None:
    now = timezone.now()
    if not routes:
        alert.next_send_at, alert.error = None, "no active route"
    elif routes <= set(alert.routes_done):
        alert.next_send_at, alert.error, alert.sent_at, alert.tries = None, "", now, alert.tries + 1
    elif not alert.error.startswith("rate limit"):
        alert.tries += 1
        delay = delay_for("alert", alert.tries)
        alert.next_send_at = None if delay is None else now + timedelta(seconds=round(delay))


def _store(alerts: list[Alert]) -> None:
    """Write what became of them: one statement for all of the same fate, which in a flood are nearly all."""
    fates: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for one in alerts:
        fate = (tuple(one.routes_done), one.sent_at, one.next_send_at, one.tries, one.error)
        fates[_coarse(fate)].append(one.pk)
    for (done, sent_at, next_send_at, tries, error), ids in fates.items():
        Alert.objects.filter(pk__in=ids).update(
            routes_done=list(done), sent_at=sent_at, next_send_at=next_send_at, tries=tries, error=error  # type: ignore[call-overload]
        )


def _coarse(fate: tuple[object, ...]) -> tuple[object, ...]:
    """Times to the second, so that those decided in one run are alike."""
    return tuple(part.replace(microsecond=0) if isinstance(part, datetime) else part for part in fate)
