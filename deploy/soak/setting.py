"""What a run sets up beyond the demo's seed, before any program but the sandbox is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.soak import commits
from deploy.soak.apps import Receiver
from deploy.soak.desk import PEOPLE

# Retries span a day in production; here they have to be over when the run is.
SCHEDULES = {"delivery": [0, 1, 2, 3, 5], "query": [2, 4, 6], "refund_query": [1, 2, 4, 6], "refund_send": [0, 1, 3, 6]}
# Minor units. The plan's amounts (10 to 7300) need nobody, one person and two people, each often.
AUTOMATIC_UP_TO, ONE_APPROVAL_UP_TO = 500, 1500


def set_up(apps: Sequence[Mapping[str, Any]], receiver: Receiver, url: str) -> None:
    """Policies, people, schedules, the apps' addresses, and a watch on what is committed."""
    from django.db import connection

    from merchants.models import App
    from refunds.models import RefundPolicy

    with connection.cursor() as cursor:
        commits.watch(cursor)
    for app in apps:
        receiver.secrets[app["app_id"]] = app["webhook_secret"]
        App.objects.filter(app_id=app["app_id"]).update(notify_url=f"{url}/{app['app_id']}")
    RefundPolicy.objects.update(automatic_up_to=AUTOMATIC_UP_TO, one_approval_up_to=ONE_APPROVAL_UP_TO)
    _people()
    _schedules()


def _people() -> None:
    from merchants.models import Role, User

    known = set(User.objects.filter(username__in=PEOPLE).values_list("username", flat=True))
    for name in PEOPLE:
        if name not in known:
            user = User(username=name, role=Role.FINANCE, is_staff=True)
            user.set_unusable_password()
            user.save()


def _schedules() -> None:
    from channels.base.discovery import providers
    from paycenter.models import RetrySchedule

    for name, delays in SCHEDULES.items():
        for each in (name, *(f"{name}:{code}" for code in providers() if name != "delivery")):
            RetrySchedule.objects.update_or_create(name=each, defaults={"delays": delays, "repeat_last": True})
