"""What a center does once after it was restored from a backup, before it meets channels and apps again.

What happened after the backup is unknown here and may have happened: decisions taken back, amounts changed, numbers
given out. Payments that were open are asked about; refunds that were not sent wait for people; numbers are left out.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_noop

from notifications.models import Notification, NotificationState
from refunds import sums
from refunds.holding import refund_hold_by_system
from refunds.models import Refund, RefundRoute, RefundSource
from refunds.states import RefundState
from trades.models import Attempt, ChannelCounter
from trades.states import AttemptState

ACTOR = "system:restore"
_BECAUSE = gettext_noop("restored from a backup: compare it with the channel, it may have been decided otherwise since")
_LIVE = (AttemptState.CREATED, AttemptState.SUBMITTED, AttemptState.UNKNOWN)


def everything_due_now() -> tuple[int, int]:
    """Have what is open asked about and what was not acknowledged sent again at once; answers how many of each."""
    now = timezone.now()
    asked = Attempt.objects.filter(state__in=_LIVE).update(next_query_at=now)
    sent = Refund.objects.filter(state=RefundState.PROCESSING, route=RefundRoute.ORIGINAL)
    asked += sent.exclude(source=RefundSource.EXTERNAL).update(next_query_at=now)
    return asked, Notification.objects.filter(state=NotificationState.PENDING).update(next_delivery_at=now)


def refunds_hold() -> int:
    """Put every approved refund that was not sent yet on hold; answers how many."""
    held = 0
    waiting = Refund.objects.filter(state=RefundState.APPROVED).exclude(source=RefundSource.EXTERNAL)
    for pk in list(waiting.values_list("pk", flat=True)):
        with transaction.atomic():
            _source, refund = sums.lock_refund(pk)
            if refund.state == RefundState.APPROVED:
                refund_hold_by_system(refund, _BECAUSE, ACTOR)
                held += 1
    return held


def numbers_skip(count: int) -> int:
    """Leave out so many order numbers of every day that may still go on, where a channel has a format of its own; a
    number is never given out twice in a day. Answers how many counters were moved on."""
    yesterday = (timezone.localdate() - timedelta(days=1)).strftime("%Y%m%d")
    return ChannelCounter.objects.filter(day__gte=yesterday).update(last=F("last") + count)
