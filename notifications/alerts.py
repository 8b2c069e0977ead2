"""Telling people. One `alert()` for everybody; routes such as a DingTalk robot carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone, translation
from django.utils.translation import gettext

from notifications.models import Alert
from paycenter.masking import mask_text
from paycenter.staff.reasons import reason_word

log = structlog.get_logger(__name__)
REPEAT_WINDOW = timedelta(minutes=10)


def alert(
    *,
    kind: str,
    key: str,
    title: str,
    text: str = "",
    severity: str = "warning",
    merchant_no: str = "",
    trade_no: str = "",
    context: Mapping[str, object] | None = None,
) -> None:
    """Raise an alert, or count it up when the same `key` was raised within ten minutes.

    Safe inside a transaction (it becomes visible with the commit, and its own failure is logged and
    does not spoil the caller's work) and outside one. It never waits for another transaction.

    `title` and `text` are message ids (mark them with `gettext_noop`), told in the installation's language
    whatever the present request speaks; `context` fills their `%(name)s` places, with known reasons in
    that language, too.
    """
    now = timezone.now()
    with translation.override(settings.LANGUAGE_CODE):
        title, text = _told(title, context), _told(text, context)
    title, text, key = mask_text(title)[:160], mask_text(text), key[:160]
    try:
        with transaction.atomic():
            if not _counted_up(key, now):
                Alert.objects.create(
                    kind=kind[:32], key=key, severity=severity, title=title, text=text, merchant_no=merchant_no[:32],
                    trade_no=trade_no[:32], created_at=now, last_at=now, next_send_at=now,
                )  # fmt: skip
    except (DatabaseError, ValueError) as exc:
        log.error("alert not recorded", kind=kind, key=key, title=title, error=type(exc).__name__)


def _told(message: str, context: Mapping[str, object] | None) -> str:
    if not message:
        return ""
    if context is None:
        return gettext(message)
    told = {name: reason_word(value) if isinstance(value, str) else value for name, value in context.items()}
    return gettext(message) % told


def _counted_up(key: str, now: datetime) -> bool:
    """Whether an unacknowledged alert of the window stands for this one too.

    The window starts with the first of them, so that a lasting trouble is told again every ten
    minutes. A row another transaction is just counting is left alone: one count is worth no waiting.
    """
    recent = Alert.objects.filter(key=key, created_at__gt=now - REPEAT_WINDOW, acknowledged_at__isnull=True)
    found = recent.order_by("-id").values_list("pk", flat=True).first()
    if found is None:
        return False
    mine = Alert.objects.select_for_update(skip_locked=True).filter(pk=found).values_list("pk", flat=True)
    if list(mine):
        Alert.objects.filter(pk=found).update(count=F("count") + 1, last_at=now)
    return True
