"""Celery's entry point to the sums. The mark is the truth; running twice does nothing twice."""

from __future__ import annotations

from celery import shared_task

from dashboards import keeping


@shared_task
def keep_sums() -> None:
    """Fold in what happened since."""
    keeping.fold_events()
