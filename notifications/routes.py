"""Carrying alerts to people over the active routes."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from notifications.dingtalk import MESSAGES_PER_MINUTE, RobotRefused, send_markdown
from notifications.models import Alert, AlertRoute, AlertSeverity
from paycenter.claims import claim_due
from paycenter.errors import ConfigError, NotSent, UnknownOutcome
from paycenter.masking import mask_text
from paycenter.outbound import client
from paycenter.schedules import delay_for

log = structlog.get_logger(__name__)
LEASE_SECONDS = 60.0
PER_MESSAGE = 20  # alerts told in one message
WINDOW = timedelta(seconds=60)
# Half in each fixed minute, so that no sixty seconds ever hold more than the robot allows.
PER_WINDOW = MESSAGES_PER_MINUTE // 2


class RateReached(Exception):
    """The route's messages of this minute are used up until `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"rate limit until {until:%H:%M:%S}")
        self.until = until


def send_due_alerts() -> int:
    """Claim due alerts and post them to every active route that has not taken them yet.

    What a route refuses is tried again on the `alert` schedule, then left in the list with its error.
    Without any active route an alert stays visible there and is not tried again.
    """
    ids = claim_due(Alert, "next_send_at", now=timezone.now(), lease=LEASE_SECONDS, limit=PER_MESSAGE)
    alerts = list(Alert.objects.filter(pk__in=ids).order_by("id"))
    routes = list(AlertRoute.objects.filter(is_active=True).order_by("id")) if alerts else []
    for route in routes:
        _offer(route, [one for one in alerts if route.pk not in one.routes_done])
    for one in alerts:
        _settle(one, {route.pk for route in routes})
    fields = ["routes_done", "sent_at", "next_send_at", "tries", "error"]
    Alert.objects.bulk_update(alerts, fields)
    return len(alerts)


def _offer(route: AlertRoute, alerts: list[Alert]) -> None:
    """Post one message; note on each alert whether the route took it, else why not."""
    if not alerts:
        return
    try:
        _count_message(route)
        title, text = compose(alerts)
        send_markdown(
            client(), url=route.url, secret=route.secret, title=title, text=text, timestamp_ms=int(time.time() * 1000)
        )
    except RateReached as exc:
        for one in alerts:
            one.next_send_at, one.error = exc.until, str(exc)
    except (NotSent, UnknownOutcome, RobotRefused, ConfigError) as exc:
        log.warning("alerts not sent", route=route.name, alerts=len(alerts), error=str(exc))
        for one in alerts:
            one.error = mask_text(f"{route.name}: {exc}", limit=300)
    else:
        for one in alerts:
            one.routes_done = [*one.routes_done, route.pk]


def _count_message(route: AlertRoute) -> None:
    """Raises RateReached when this minute's messages are used up. Counted before sending, tries too."""
    now = timezone.now()
    with transaction.atomic():
        row = AlertRoute.objects.select_for_update(of=("self",)).get(pk=route.pk)
        if row.window_started_at is None or now - row.window_started_at >= WINDOW:
            row.window_started_at, row.window_sent = now, 0
        if row.window_sent >= PER_WINDOW:
            raise RateReached(row.window_started_at + WINDOW)
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
        alert.next_send_at = None if delay is None else now + timedelta(seconds=delay)


def compose(alerts: list[Alert]) -> tuple[str, str]:
    """Title and markdown of one message about these alerts."""
    first = alerts[0].title.replace("\n", " ")
    title = first if len(alerts) == 1 else _("%(count)d alerts: %(first)s …") % {"count": len(alerts), "first": first}
    return title, "\n\n---\n\n".join(_section(one) for one in alerts)


def _section(alert: Alert) -> str:
    lines = [f"#### [{AlertSeverity(alert.severity).label}] {alert.title}".replace("\n", " ")]
    if alert.text:
        lines.append(alert.text[:1000])
    for label, value in (
        (_("Merchant"), alert.merchant_no),
        (_("Trade number"), alert.trade_no),
        (_("Times"), str(alert.count) if alert.count > 1 else ""),
        (_("First seen"), timezone.localtime(alert.created_at).strftime("%Y-%m-%d %H:%M:%S")),
    ):
        if value:
            lines.append(f"> {label}: {value}")
    return "\n\n".join(lines)
