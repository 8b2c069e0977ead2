"""What is due, done in batches. The rows are the truth; running twice does nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import models
from django.utils import timezone

from paycenter.claims import claim_due
from reconciliation.bills import LEASE_SECONDS, Overtaken, bill_fetch, bill_import
from reconciliation.models import Bill, Case, ReconciliationDay
from reconciliation.reconciling import day_match
from reconciliation.recording import SYSTEM
from reconciliation.reviewing import case_ask

log = structlog.get_logger(__name__)
# A worker takes one long piece of work at a time, so that others find the rest.
_LONG, _SHORT = 1, 20


def bills_fetch_due() -> int:
    """Download bills whose time has come. Returns how many were asked for."""
    return _sweep(Bill, "next_fetch_at", LEASE_SECONDS, _LONG, lambda pk: bill_fetch(bill_id=pk, actor=SYSTEM))


def bills_import_due() -> int:
    """Read bills whose file is there. Returns how many."""
    return _sweep(Bill, "next_import_at", LEASE_SECONDS, _LONG, _import)


def days_match_due() -> int:
    """Compare days whose bill is there. Returns how many."""
    return _sweep(ReconciliationDay, "next_match_at", 1800.0, _LONG, lambda pk: day_match(day_id=pk))


def cases_ask_due() -> int:
    """Ask channels about differences. Returns how many."""
    return _sweep(Case, "next_ask_at", 300.0, _SHORT, case_ask)


def _import(bill_id: int) -> None:
    try:
        bill_import(bill_id=bill_id, actor=SYSTEM)
    except Overtaken:
        log.info("a bill is read by somebody else", bill=bill_id)


def _sweep(model: type[models.Model], due: str, lease: float, limit: int, work: Callable[[int], object]) -> int:
    done = 0
    while ids := claim_due(model, due, now=timezone.now(), lease=lease, limit=limit):
        for pk in ids:
            try:
                work(pk)
            except Exception:
                log.exception("sweep left a row for the next one", work=due, pk=pk)
        done += len(ids)
        if done >= 20 * limit:
            break
    return done
