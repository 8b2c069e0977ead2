"""Whether the clocks agree: signatures, expiries and day limits depend on them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import redis
from django.conf import settings
from django.db import Error, connection
from django.utils.translation import gettext as _

from merchants.channels import provider_of
from merchants.models import PaymentAccount
from merchants.states import MerchantState
from paycenter.doctor.finding import Finding, error, note, ok, warning
from paycenter.http import recording, time_limit

WARN, FAIL = 1.0, 30.0  # seconds; channels refuse signatures that are minutes off
CHANNEL_SECONDS = 5.0


def clocks() -> Iterator[Finding]:
    """This machine's clock beside the database's and Redis'. Whether they answer at all is other checks' matter."""
    for code, name, ask in (("database", _("the database"), _database), ("redis", "Redis", _redis)):
        before = time.time()
        try:
            there = ask()
        except (Error, redis.RedisError, OSError):
            continue
        if there is not None:
            yield judged(f"clock.{code}", name, there - (before + time.time()) / 2)


def channel_clocks() -> Iterator[Finding]:
    """Ask one account of each channel something harmless: the answer's Date, and whether there is one."""
    accounts = PaymentAccount.objects.filter(state=MerchantState.ACTIVE).order_by("channel", "id")
    seen: set[str] = set()
    for account in accounts.iterator(100):
        if account.channel not in seen:
            seen.add(account.channel)
            yield _channel(account)


def judged(code: str, name: str, offset: float, precision: float = 0.0) -> Finding:
    """A finding about a clock that is `offset` seconds ahead of ours and known to `precision`."""
    text = _("The clock of %(name)s is %(offset)+.1f s off this machine's.") % {"name": name, "offset": offset}
    beyond = max(abs(offset) - precision, 0.0)
    if beyond > FAIL:
        return error(code, text, _("Set both clocks by NTP (timedatectl set-ntp true) and restart the center."))
    if beyond > WARN:
        return warning(code, text, _("Set both clocks by NTP (timedatectl set-ntp true)."))
    return ok(code, text)


def _database() -> float | None:
    if connection.vendor != "postgresql":
        return None  # in this process: the same clock
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def _redis() -> float | None:
    if not settings.REDIS_URL:
        return None
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
        seconds, micros = client.time()
    return float(seconds) + float(micros) / 1e6


def _channel(account: PaymentAccount) -> Finding:
    code, name = f"channel.{account.channel}", f"{account.channel} ({account.payment_no})"
    try:
        with recording() as calls, time_limit(CHANNEL_SECONDS):
            answered = provider_of(account).check().ok
    except Exception as exc:
        return warning(code, _("%(name)s could not be asked: %(error)s.") % {"name": name, "error": type(exc).__name__},
                       _("See keys above; its connection check in the admin says more."))  # fmt: skip
    dates = [call.response_headers["date"] for call in calls if "date" in call.response_headers]
    if not answered:
        return warning(code, _("%(name)s does not answer as it should.") % {"name": name},
                       _("Run the account's connection check in the admin: it says what to correct."))  # fmt: skip
    try:
        return judged(code, name, parsedate_to_datetime(dates[-1]).timestamp() - time.time(), precision=1.5)
    except (IndexError, TypeError, ValueError):
        return note(code, _("%(name)s answers; it tells no time.") % {"name": name})
