"""What to do about a difference, in a sentence, for whoever opens its case."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from reconciliation.models import Case, CaseKind, Subject

_ADVICE: dict[tuple[str, str], Any] = {
    (CaseKind.STATUS, Subject.PAYMENT): _(
        "The channel is asked by itself; when it says paid, the trade is repaired on the normal path. If it goes on "
        "answering otherwise, send the channel this page."
    ),
    (CaseKind.STATUS, Subject.REFUND): _("The channel is asked by itself, and the refund ends as it answers."),
    (CaseKind.MISSING_AT_CHANNEL, Subject.PAYMENT): _(
        "Compare the channel's live answer. Known there: wait for the next bill. Unknown there: do not deliver, the "
        "notification may have been forged."
    ),
    (CaseKind.MISSING_AT_CHANNEL, Subject.REFUND): _("Look for the refund at the channel; a later bill may have it."),
    (CaseKind.MISSING_HERE, Subject.PAYMENT): _(
        "No payment of ours has this number. Another system may use the same merchant at the channel; if not, find the "
        "payer and give the money back from the channel's own pages."
    ),
    (CaseKind.MISSING_HERE, Subject.REFUND): _("The refund is of a payment that is not booked here: find that first."),
}
_BY_KIND = {
    CaseKind.AMOUNT: _("Ask the channel which amount is right; the bill decides what is settled."),
    CaseKind.CURRENCY: _("Ask the channel in which currency it settles this payment."),
    CaseKind.EXCESS: _(
        "The bank or the channel's console gave back what was given back here, too. Find out who did, and get the "
        "money back from the payer or the channel."
    ),
    CaseKind.FEE: _("Compare the contract's rate with the fee rate set for this account and method."),
}


def advice(case: Case) -> Any:
    """The suggested next step."""
    kind = CaseKind(case.kind)
    return _BY_KIND.get(kind) or _ADVICE[kind, Subject(case.subject)]
