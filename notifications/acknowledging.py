"""A person takes note of an alert."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from notifications.models import Alert
from paycenter.transitions import lock, record_event


@transaction.atomic
def alert_acknowledge(*, alert: Alert, actor: str, note: str = "") -> Alert:
    """Mark it as taken care of; the first to do so stays named."""
    row = lock(Alert, pk=alert.pk)
    if row.acknowledged_at is None:
        row.acknowledged_at, row.acknowledged_by = timezone.now(), actor[:150]
        row.save(update_fields=["acknowledged_at", "acknowledged_by"])
        record_event(
            row, "alert.acknowledged", actor=actor, reason=note, merchant_no=row.merchant_no, trade_no=row.trade_no
        )
    return row
