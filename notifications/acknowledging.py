"""A person takes note of alerts."""

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
        row.acknowledged_at, row.acknowledged_by, row.note = timezone.now(), actor[:150], note[:300]
        row.next_send_at = None  # who is not told yet need not be
        row.save(update_fields=["acknowledged_at", "acknowledged_by", "note", "next_send_at"])
        record_event(
            row, "alert.acknowledged", actor=actor, reason=note, merchant_no=row.merchant_no, trade_no=row.trade_no
        )
    return row


@transaction.atomic
def alerts_acknowledge_kind(*, alert: Alert, actor: str, note: str = "") -> int:
    """Mark this alert and every older open one of its kind as taken care of; how many. Newer ones stay open."""
    same = Alert.objects.filter(kind=alert.kind, pk__lte=alert.pk, acknowledged_at__isnull=True)
    count = same.update(
        acknowledged_at=timezone.now(), acknowledged_by=actor[:150], note=note[:300], next_send_at=None
    )
    if count:
        detail = {"kind": alert.kind, "count": count}
        record_event(alert, "alert.kind_acknowledged", actor=actor, reason=note, detail=detail)
    return count
