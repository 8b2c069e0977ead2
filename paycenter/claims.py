"""Claiming due rows. Moving a row's due time into the future is the claim; it expires by itself.

Two workers never hold one row: PostgreSQL skips locked rows, SQLite serialises writers. A worker that
dies leaves its rows due again when the lease is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction


def claim_due(
    model: type[models.Model], field: str, *, now: datetime, lease: float, limit: int, **also: Any
) -> list[int]:
    """Claim up to `limit` rows whose `field` is due for `lease` seconds; their ids, longest due first.

    `also` are further filters. Runs in its own short transaction.
    """
    with transaction.atomic():
        due = (
            model._default_manager.select_for_update(skip_locked=True, of=("self",))
            .filter(**{f"{field}__lte": now}, **also)
            .order_by(field)
            .values_list("pk", flat=True)[:limit]
        )
        ids = list(due)
        if ids:
            later = now + timedelta(seconds=lease)
            model._default_manager.filter(pk__in=ids).update(**{field: later})
    return ids
