"""Background work of the center itself: numbering events, noting the head of the audit chain."""

from __future__ import annotations

from celery import shared_task

from paycenter import audit, sequencer
from paycenter.staff import sessions


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
