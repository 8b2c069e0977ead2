"""Celery's entry points to the sweeps. The rows are the truth; running twice does nothing twice."""

from __future__ import annotations

from celery import shared_task

from refunds import sweeps
from refunds.early import early_refunds_found


@shared_task
def send_due() -> None:
    """Send approved refunds whose time has come."""
    sweeps.send_due()


@shared_task
def query_due() -> None:
    """Ask about refunds that are under way."""
    sweeps.query_due()


@shared_task
def book_early() -> None:
    """Book refunds that were told of before their payment."""
    sweeps.book_early_due()


@shared_task
def find_early() -> None:
    """Look again at refunds told of early that were given up."""
    early_refunds_found()


@shared_task
def expire_approvals() -> None:
    """Void approvals that are too old."""
    sweeps.expire_due()


@shared_task
def apply_policies() -> None:
    """Apply the policy to abnormal payments that are new."""
    sweeps.apply_policies_due()
