"""The number a channel gets to see: our attempt number, or one in the channel's own format."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext_noop

from channels.base import NumberRule
from merchants.api.errors import ChannelShed
from merchants.channels import provider_of
from merchants.models import PaymentAccount
from notifications.alerts import alert
from trades.models import ChannelCounter


class NumbersUsedUp(ChannelShed):
    default_msg = "this account's order numbers for today are used up"


def used_up_alert(account: PaymentAccount) -> None:
    """Tell people; to be called after the transaction that met NumbersUsedUp was rolled back."""
    alert(
        kind="channel", key=f"numbers:{account.payment_no}", severity="critical",
        title=gettext_noop("A channel's order numbers for today are used up"),
        text=gettext_noop("%(channel)s account %(payment_no)s takes no more payments until tomorrow."),
        context={"channel": account.channel, "payment_no": account.payment_no},
        merchant_no=account.merchant.merchant_no, record=account,
    )  # fmt: skip


def numbers_are_counted(account: PaymentAccount) -> bool:
    """Whether the channel wants numbers in a format of its own, which are given out under a lock."""
    return provider_of(account).number_rule() is not None


def channel_order_number(account: PaymentAccount, attempt_no: str, at: datetime) -> tuple[str, str]:
    """`(number, day)` for a new attempt; `day` is empty where our own number is used.

    Takes the next number of the account's day under a row lock, so that two never get the same one.
    Raises NumbersUsedUp when the day's numbers are used up.
    """
    rule = provider_of(account).number_rule()
    if rule is None:
        return attempt_no, ""
    day = at.astimezone(ZoneInfo(rule.zone)).strftime("%Y%m%d")
    return _next(account, rule, day), day


def _next(account: PaymentAccount, rule: NumberRule, day: str) -> str:
    with transaction.atomic():
        scope = f"{account.channel}:{account.identity or account.payment_no}"
        rows = ChannelCounter.objects.filter(scope=scope, day=day)
        if not rows.update(last=F("last") + 1) and not _start_day(scope, day):
            rows.update(last=F("last") + 1)
        number = rows.values_list("last", flat=True).get()
    if number >= 10**rule.digits:
        raise NumbersUsedUp(retry_after=3600)
    return str(number).zfill(rule.digits)


def _start_day(scope: str, day: str) -> bool:
    try:
        with transaction.atomic():
            ChannelCounter.objects.create(scope=scope, day=day, last=1)
    except IntegrityError:
        return False
    return True
