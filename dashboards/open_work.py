"""What operators and finance both see open: money that settles nothing, and differences to the channels."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from dashboards.bounded import at_most
from dashboards.look import Look
from dashboards.parts import Figure
from reconciliation.models import Case
from reconciliation.states import UNRESOLVED_CASE_STATES
from trades.models import AbnormalPayment
from trades.states import AbnormalState


def abnormal_payments() -> QuerySet[AbnormalPayment]:
    """Money that nobody has decided on yet."""
    return AbnormalPayment.objects.filter(state__in=(AbnormalState.OPEN, AbnormalState.UNVERIFIED))


def differences() -> QuerySet[Case]:
    """Differences that are not explained yet."""
    return Case.objects.filter(state__in=UNRESOLVED_CASE_STATES)


def abnormal_figure(look: Look, count: int) -> Figure:
    link = look.link("trades.abnormalpayment", state="waiting")
    return Figure(_("Open abnormal payments"), at_most(count), "", link, bad_if(count), "report")


def differences_figure(look: Look, count: int) -> Figure:
    link = look.link("reconciliation.case")
    return Figure(_("Open differences"), at_most(count), "", link, bad_if(count), "balance")


def bad_if(count: int) -> str:
    """The tone of something of which there should be none."""
    return "bad" if count else "calm"
