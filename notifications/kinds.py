"""What alerts are about: every kind the center raises, how it is told where no rule says otherwise, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class AlertKind:
    """`advice` is the next step in one sentence; `repeat_minutes` and `per_hour` as in `AlertRule`."""

    label: Any
    advice: Any
    repeat_minutes: int = 10
    per_hour: int = 20


KINDS: Mapping[str, AlertKind] = {
    "security": AlertKind(
        _("security"),
        _("Treat it as an attack until you know better: look at the record, ask the channel, and rotate keys "
          "if the signature was right."),
    ),
    "anomaly": AlertKind(
        _("data anomaly"),
        _("Ask the channel about the record on its page, and settle what differs before money is moved again."),
    ),
    "abnormal_payment": AlertKind(
        _("abnormal payment"), _("Refund it or keep it, on the page of the abnormal payment."),
    ),
    "channel": AlertKind(
        _("channel failing"),
        _("Look at the channel's health and at its own notices; payers are offered the other ways meanwhile."),
        repeat_minutes=30,
    ),
    "refund": AlertKind(_("refund"), _("Open the refund: it can be sent again, paid out by hand, or closed there.")),
    "approval": AlertKind(
        _("refund waits for approval"), _("Somebody other than who asked for it decides on the refund's page."),
        repeat_minutes=240,
    ),
    "case": AlertKind(
        _("reconciliation case"), _("Take the case on, compare both sides, and close it with a reason."),
        repeat_minutes=720,
    ),
    "reconciliation": AlertKind(
        _("reconciliation"), _("Look at the bill: upload it by hand, or ask for it again."), repeat_minutes=720,
    ),
    "onboarding": AlertKind(
        _("application"), _("Review the application side by side with what was handed in before."), repeat_minutes=240,
    ),
    "give_up": AlertKind(
        _("notification given up"),
        _("Call who runs the app; once it answers again, send its notifications again from their list."),
        repeat_minutes=60,
    ),
    "certificate": AlertKind(
        _("certificate"), _("Get the new certificate from the channel and store it in the payment account."),
        repeat_minutes=1440,
    ),
    "backlog": AlertKind(
        _("backlog"), _("See that workers and the scheduler run and that the database answers quickly."),
        repeat_minutes=30,
    ),
    "audit": AlertKind(
        _("audit chain broken"),
        _("Keep the database and its backups as they are, and find out who had access to them."),
        repeat_minutes=1440,
    ),
    "fault": AlertKind(
        _("fault of the center"), _("Look up the request id in the logs and hand it to who maintains the center."),
        repeat_minutes=60,
    ),
}  # fmt: skip
_OTHER = AlertKind("", _("Open it in the admin and find out what happened."))
# Where the key of an alert says more than its kind.
_ADVICE_BY_KEY: Mapping[str, Any] = {
    "numbers": _("Close what is not paid, or give the account a wider number range with the bank."),
    "unverified": _("Do nothing yet: the channel is being asked, and money it does not know is dismissed."),
    "forged": _("Stop deliveries for this trade and ask the channel's support about the payment."),
    "partition": _("See in the workers' log why it could not be made, and run manage.py log_partitions --ahead."),
    "order-given-up": _("Read the reason, mend what it names, and run manage.py write_orders --again."),
    "bill-refused": _("Download the bill in the channel's console, compare it, and upload it by hand."),
}


def kind_of(kind: str) -> AlertKind:
    """The kind, or what is right for one that nobody knows."""
    return KINDS.get(kind, _OTHER)


def kind_label(kind: str) -> str:
    """What an alert is about, in words."""
    return str(kind_of(kind).label or kind)


def advice_of(kind: str, key: str) -> str:
    """What to do about an alert, in one sentence."""
    return str(_ADVICE_BY_KEY.get(key.partition(":")[0]) or kind_of(kind).advice)
