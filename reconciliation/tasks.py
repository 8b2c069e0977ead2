"""Celery's entry points. The rows are the truth; running twice does nothing twice."""

from __future__ import annotations

from celery import shared_task

from reconciliation import days, sweeps
from reconciliation.settlement.batches import batches_refresh_live


@shared_task
def plan_bills() -> None:
    """Make rows for days that are over, their bills due when the channels publish them."""
    days.bills_plan()


@shared_task
def fetch_bills() -> None:
    """Download bills whose time has come."""
    sweeps.bills_fetch_due()


@shared_task
def import_bills() -> None:
    """Read bills whose file is there."""
    sweeps.bills_import_due()


@shared_task
def match_days() -> None:
    """Compare days whose bill is there."""
    sweeps.days_match_due()


@shared_task
def ask_cases() -> None:
    """Ask channels about differences."""
    sweeps.cases_ask_due()


@shared_task
def refresh_batches() -> None:
    """Look again at settlement batches that are not finished."""
    batches_refresh_live()
