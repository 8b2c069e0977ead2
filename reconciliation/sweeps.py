"""What is due, done in batches. The rows are the truth; running twice does nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import models
from django.utils import timezone

from paycenter.claims import claim_due
from paycenter.lanes import sweep
from reconciliation.actors import SYSTEM
from reconciliation.bills import LEASE_SECONDS, Overtaken, bill_fetch, bill_import
from reconciliation.models import Bill, Case, ReconciliationDay
from reconciliation.reconciling import day_match
from reconciliation.reviewing import case_ask

log = structlog.get_logger(__name__)
AT_MOST = 20  # pieces of work that one worker does before it looks for others


def bills_fetch_due() -> int:
    """Download bills whose time has come. Returns how many were asked for."""
    return _sweep(Bill, "next_fetch_at", LEASE_SECONDS, lambda pk: bill_fetch(bill_id=pk, actor=SYSTEM))


def bills_import_due() -> int:
    """Read bills whose file is there. Returns how many."""
    return _sweep(Bill, "next_import_at", LEASE_SECONDS, _import)


def days_match_due() -> int:
    """Compare days whose bill is there. Returns how many."""
    return _sweep(ReconciliationDay, "next_match_at", 1800.0, lambda pk: day_match(day_id=pk))


def cases_ask_due() -> int:
    """Ask channels about differences. Returns how many."""
    return sweep("cases", Case, "next_ask_at", "account__channel", case_ask)


def _import(bill_id: int) -> None:
    try:
        bill_import(bill_id=bill_id, actor=SYSTEM)
    except Overtaken:
        log.info("a bill is read by somebody else", bill=bill_id)


def _sweep(model: type[models.Model], due: str, lease: float, work: Callable[[int], object]) -> int:
    """One long piece of work after the other, so that other workers find the rest."""
    done = 0
    while done < AT_MOST and (ids := claim_due(model, due, now=timezone.now(), lease=lease, limit=1)):
        try:
            work(ids[0])
        except Exception:
            log.exception("sweep left a row for the next one", work=due, pk=ids[0])
        done += 1
    return done
