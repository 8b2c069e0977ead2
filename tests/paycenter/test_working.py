"""What a worker does once it has started."""

from __future__ import annotations

import gc

from celery.signals import worker_ready

from paycenter import celery


def test_what_a_started_worker_holds_is_not_looked_through_for_garbage() -> None:
    assert celery.app.main == "paycenter"
    try:
        worker_ready.send(sender=None)
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()
