"""Too many wrong passwords, or codes after a right one: per name and address together (axes), and per name and per
address over an hour.

The wide limits never lock out people where they usually work: who has signed in from an address before may go on
trying there, whatever others do with the name or from the same office.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_credentials
from axes.models import AccessAttempt
from axes.utils import reset
from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest
from django.utils import timezone

from paycenter.middleware import client_ip
from paycenter.staff.models import KnownAddress

_WINDOW = timedelta(hours=1)
_REMEMBERED = timedelta(days=90)  # how long an address counts as somebody's


def flooded(request: HttpRequest, username: str) -> bool:
    """Whether this try is refused without looking at the password, alike for names that exist and others."""
    address = client_ip(request)
    over = (
        _failures(username=username) >= settings.SIGN_IN_FAILURES_PER_NAME
        or _failures(ip_address=address) >= settings.SIGN_IN_FAILURES_PER_ADDRESS
    )
    return over and not _is_known(username, address)


def code_refused(request: Any, user: Any, why: str) -> None:
    """Count a try whose password was right and whose code was `wrong` or `missing` like a wrong password."""
    request.refused_code = why
    credentials = get_credentials(user.get_username())
    AxesProxyHandler.user_login_failed(sender=__name__, credentials=credentials, request=request)


def refused_code(request: Any) -> str:
    """Why the code of this try was refused though the password was right; empty where that was not so."""
    return str(getattr(request, "refused_code", ""))


def _failures(**of: str) -> int:
    rows = AccessAttempt.objects.filter(attempt_time__gt=timezone.now() - _WINDOW, **of)
    return rows.aggregate(n=Sum("failures_since_start"))["n"] or 0


def _is_known(username: str, address: str) -> bool:
    since = timezone.now() - _REMEMBERED
    return KnownAddress.objects.filter(user__username=username, address=address, seen_at__gt=since).exists()


def locked_places(user: Any) -> list[str]:
    """The addresses from which this person cannot sign in for the moment."""
    since = timezone.now() - timedelta(hours=settings.AXES_COOLOFF_TIME)
    rows = AccessAttempt.objects.filter(username=user.get_username(), attempt_time__gt=since)
    sums = rows.values("ip_address").annotate(n=Sum("failures_since_start")).order_by("ip_address")
    return [str(row["ip_address"]) for row in sums if row["n"] >= settings.AXES_FAILURE_LIMIT]


def unlock(user: Any) -> None:
    """Forget the wrong passwords given with this person's name."""
    reset(username=user.get_username())
