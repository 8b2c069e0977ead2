"""The history of a record: its own events, with what each of them changed."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from paycenter.models import Event
from paycenter.staff.audit_words import changes_of
from paycenter.staff.reasons import reason_word
from paycenter.staff.words import actor_word, event_word

_NEWEST = 50


def history_rows(record: Model, *, center: bool) -> list[dict[str, Any]]:
    """Newest first. Tenants (`center` false) are told neither which of our staff it was nor what was there before."""
    rows = Event.objects.of(record).order_by("-id")[:_NEWEST]
    return [
        {"word": event_word(event.type), "at": event.created_at, "reason": reason_word(event.reason),
         "actor": actor_word(event.actor, with_staff=center), "changes": changes_of(event) if center else ()}
        for event in rows
    ]  # fmt: skip
