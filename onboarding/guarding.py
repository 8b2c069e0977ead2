"""A merchant with an application moves with it: the single buttons of its page are closed for these steps, and until
it is approved its names, contact and accounts are filled in there, so that who filled them in is known."""

from __future__ import annotations

from django.utils.translation import gettext as _

from merchants.guards import EDIT, guards_merchant
from merchants.models import Merchant
from merchants.states import OPEN_STATES
from onboarding.models import Application

_WITH_APPLICATION = ("submit", "send_back", "activate")


@guards_merchant
def has_application(merchant: Merchant, step: str) -> str:
    """Why not by itself; empty where there is no application."""
    if step == EDIT and merchant.state in OPEN_STATES and _applies(merchant):
        return _("This company has an application: until that is approved, changes are made there.")
    if step in _WITH_APPLICATION and _applies(merchant):
        return _("This company has an application: it is submitted, returned and approved there.")
    return ""


def _applies(merchant: Merchant) -> bool:
    return Application.objects.filter(merchant=merchant).exists()
