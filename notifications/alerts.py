"""Telling people. One `alert()` for everybody; receivers such as a DingTalk robot carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, models, transaction
from django.db.models import F
from django.utils import timezone

from notifications.kinds import kind_of
from notifications.models import Alert, AlertRule
from notifications.telling import source_of, told
from paycenter.masking import mask_text

log = structlog.get_logger(__name__)


def alert(
    *,
    kind: str,
    key: str,
    title: str,
    text: str = "",
    severity: str = "warning",
    merchant_no: str = "",
    trade_no: str = "",
    record: models.Model | None = None,
    context: Mapping[str, object] | None = None,
) -> None:
    """Raise an alert, or count up the open one of the same `key`. `record` is what it leads to.

    Safe inside a transaction (it becomes visible with the commit, and its own failure is logged and
    does not spoil the caller's work) and outside one. It never waits for another transaction.

    `title` and `text` are message ids (mark them with `gettext_noop`): the list shows them in the installation's
    language, each receiver is told in its own; `context` fills their `%(name)s` places, with known reasons
    in that language, too.
    """
    now, key = timezone.now(), key[:160]
    try:
        source = source_of(title, text, context)
        title, text = told(source, settings.LANGUAGE_CODE)
        with transaction.atomic():
            rule = AlertRule.objects.filter(kind=kind).only("severity", "repeat_minutes").first()
            if not _counted_up(key, _window(kind, rule), now):
                Alert.objects.create(
                    kind=kind[:32], key=key, severity=(rule and rule.severity) or severity, title=title[:160],
                    text=text, source=source,
                    record_type=record._meta.label_lower if record is not None else "",
                    record_id=record.pk if record is not None else None,
                    merchant_no=merchant_no[:32], trade_no=trade_no[:32],
                    created_at=now, last_at=now, window_at=now, next_send_at=now,
                )  # fmt: skip
    except (DatabaseError, ValueError, KeyError, TypeError) as exc:
        log.error("alert not recorded", kind=kind, key=key, title=mask_text(title), error=type(exc).__name__)


def _counted_up(key: str, window: timedelta, now: datetime) -> bool:
    """Whether the key's open alert stands for this one too; it is told again once the window is over.

    A row another transaction is just counting is left alone: one count is worth no waiting.
    """
    open_ones = Alert.objects.filter(key=key, acknowledged_at__isnull=True)
    found = open_ones.order_by("-id").values_list("pk", flat=True).first()
    if found is None:
        return False
    mine = Alert.objects.select_for_update(skip_locked=True).filter(pk=found).only("window_at").first()
    if mine is not None:
        again = {}
        if mine.window_at is None or now - mine.window_at >= window:
            again = {"window_at": now, "next_send_at": now, "routes_done": [], "tries": 0}
        Alert.objects.filter(pk=found).update(count=F("count") + 1, last_at=now, **again)
    return True


def _window(kind: str, rule: AlertRule | None) -> timedelta:
    return timedelta(minutes=kind_of(kind).repeat_minutes if rule is None else rule.repeat_minutes)
