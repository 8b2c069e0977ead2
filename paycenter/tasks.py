"""Background work of the center itself: numbering events, noting the head of the audit chain, verifying it."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from paycenter import audit, sequencer
from paycenter.models import AuditVerification
from paycenter.staff import exports, sessions


@shared_task(ignore_result=True)
def sequence_events() -> int:
    """Number committed events; several workers at once are harmless."""
    return sequencer.sequence_events()


@shared_task(ignore_result=True)
def write_audit_head() -> bool:
    """Note the head outside the database, so that a rewritten chain can be told from the true one."""
    sequencer.sequence_events()
    return audit.write_head()


@shared_task(ignore_result=True)
def forget_sessions() -> int:
    """Delete the rows of sessions of staff that can no longer be used; answers how many."""
    return sessions.forget_ended()


@shared_task(ignore_result=True)
def verify_audit() -> bool:
    """Verify what is new since the last time, once a day the whole chain; whether it holds."""
    day_ago = timezone.now() - timedelta(days=1)
    whole = not AuditVerification.objects.filter(ok=True, first_seq=1, finished_at__gte=day_ago).exists()
    return bool(audit.verify_and_keep(by="schedule", whole=whole).ok)


@shared_task(ignore_result=True)
def write_exports() -> int:
    """Write the exports that staff asked for; answers how many."""
    return exports.exports_write()


@shared_task(ignore_result=True)
def forget_exports() -> int:
    """Delete the files of exports whose time is over; answers how many."""
    return exports.exports_forget()
