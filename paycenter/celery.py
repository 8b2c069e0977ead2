"""The Celery application. Messages only make work sooner: what is due stands in the database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_init, worker_ready
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paycenter.settings")

app = Celery("paycenter")


def _transport_options(url: str) -> dict[str, object]:
    if url.startswith("filesystem:"):
        root = Path(settings.VAR_DIR) / "broker"
        for name in ("queue", "processed", "control"):
            (root / name).mkdir(parents=True, exist_ok=True)
        return {
            "data_folder_in": str(root / "queue"), "data_folder_out": str(root / "queue"),
            "processed_folder": str(root / "processed"), "control_folder": str(root / "control"),
            "polling_interval": 0.2,
        }  # fmt: skip
    if url.startswith(("redis", "unix", "rediss")):
        # A task in flight at a crash returns within half a minute.
        return {"visibility_timeout": 300, "unacked_restore_interval": 5, "unacked_restore_throttle": 1,
                "socket_connect_timeout": 3}  # fmt: skip
    return {}


def every(task: str, seconds: float) -> dict[str, object]:
    """A beat entry whose message dies when the next one is due, so that none pile up."""
    return {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 2.0)}}


app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_transport_options=_transport_options(settings.CELERY_BROKER_URL),
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    timezone="Asia/Shanghai",
    beat_schedule_filename=str(Path(settings.VAR_DIR) / "celerybeat-schedule"),
    beat_max_loop_interval=1,
    beat_scheduler="paycenter.heartbeats:WatchedScheduler",
    worker_hijack_root_logger=False,
    beat_schedule={
        "close due trades": every("trades.tasks.close_due", 1),
        "query due attempts": every("trades.tasks.query_due", 1),
        "close superseded attempts": every("trades.tasks.close_superseded", 1),
        "query due contracts": every("trades.tasks.query_contracts", 2),
        "send due refunds": every("refunds.tasks.send_due", 1),
        "query due refunds": every("refunds.tasks.query_due", 1),
        "book refunds told of early": every("refunds.tasks.book_early", 5),
        "look again at refunds told of early": every("refunds.tasks.find_early", 3600),
        "void old approvals": every("refunds.tasks.expire_approvals", 30),
        "apply policies to stray money": every("refunds.tasks.apply_policies", 2),
        "probe shed channels": every("trades.tasks.probe_channels", 2),
        "deliver due notifications": every("notifications.tasks.deliver_due", 1),
        "send alerts": every("notifications.tasks.send_alerts", 5),
        "sequence events": every("paycenter.tasks.sequence_events", 1),
        "keep the dashboards' sums": every("dashboards.tasks.keep_sums", 2),
        "verify the audit chain": every("paycenter.tasks.verify_audit", 3600),
        "write exports": every("paycenter.tasks.write_exports", 3),
        "delete old exports": every("paycenter.tasks.forget_exports", 3600),
        "note the audit head": every("paycenter.tasks.write_audit_head", 3600),
        "forget ended sessions": every("paycenter.tasks.forget_sessions", 3600),
        "send mail to staff": every("merchants.tasks.send_letters", 5),
        "forget old nonces": every("merchants.tasks.forget_nonces", 60),
        "watch certificates": every("notifications.tasks.watch_certificates", 3600),
        "watch backlogs": every("notifications.tasks.watch_backlogs", 60),
        "keep partitions of logs": every("notifications.tasks.keep_partitions", 3600),
        "plan bills": every("reconciliation.tasks.plan_bills", 600),
        "fetch due bills": every("reconciliation.tasks.fetch_bills", 30),
        "read due bills": every("reconciliation.tasks.import_bills", 5),
        "compare due days": every("reconciliation.tasks.match_days", 5),
        "refresh settlement batches": every("reconciliation.tasks.refresh_batches", 300),
        "ask about differences": every("reconciliation.tasks.ask_cases", 10),
        "check connections": every("onboarding.tasks.check_connections", 2),
        "refresh channel certificates": every("merchants.tasks.refresh_certificates", 6 * 3600),
    },
)
app.autodiscover_tasks(
    ["paycenter", "merchants", "notifications", "trades", "refunds", "cashier", "onboarding", "reconciliation",
     "dashboards"]
)


@worker_init.connect
def _watch_tasks(sender: Any, **_kwargs: object) -> None:
    """Count what this worker does, and let its finished tasks be its sign of life."""
    from paycenter.working import Watch

    Watch(sender.hostname).start()


@worker_ready.connect
def _settle(**_kwargs: object) -> None:
    from paycenter.working import settled

    settled()


@setup_logging.connect
def _keep_our_logging(**_kwargs: object) -> None:
    """Leave logging as Django's settings configured it."""
