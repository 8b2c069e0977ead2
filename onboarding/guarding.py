"""A merchant with an application moves with it: the single buttons of its page are closed for these steps."""

from __future__ import annotations

from django.utils.translation import gettext as _

from merchants.guards import guards_merchant
from merchants.models import Merchant
from onboarding.models import Application

_WITH_APPLICATION = ("submit", "send_back", "activate")


@guards_merchant
def has_application(merchant: Merchant, transition: str) -> str:
    """Why not by itself; empty where there is no application."""
    if transition in _WITH_APPLICATION and Application.objects.filter(merchant=merchant).exists():
        return _("This company has an application: it is submitted, returned and approved there.")
    return ""
