"""Celery's entry points. The rows are the truth; running twice does nothing twice."""

from __future__ import annotations

from celery import shared_task

from onboarding import connections


@shared_task
def check_connections() -> int:
    """Ask channels whose accounts are to be checked; how many were asked."""
    return connections.run_due_checks()
