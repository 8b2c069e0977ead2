"""Celery's entry points to the sweeps. The rows are the truth; running twice does nothing twice."""

from __future__ import annotations

from celery import shared_task

from trades import shedding, sweeps


@shared_task
def query_due() -> None:
    """Query attempts whose time has come."""
    sweeps.query_due()


@shared_task
def close_due() -> None:
    """Close trades whose expiry has come."""
    sweeps.close_due()


@shared_task
def close_superseded() -> None:
    """Close attempts that another one replaced or outran."""
    sweeps.close_superseded()


@shared_task
def query_contracts() -> None:
    """Ask about contracts that are being signed or ended."""
    sweeps.query_contracts()


@shared_task
def probe_channels() -> None:
    """Ask shed channels whether they answer again."""
    shedding.probe_due()
