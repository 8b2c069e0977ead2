"""The address of an invitation, at the entrance its person uses."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from merchants.models import User
from paycenter.staff.tenancy import TENANT_ROLES


def link_for(request: HttpRequest, person: User, secret: str) -> str:
    """Staff of merchants and apps come through the portal where it has an address of its own."""
    place = reverse("admin:merchants_user_join", args=[secret])
    if person.role in TENANT_ROLES and settings.PORTAL_BASE_URL:
        return f"{settings.PORTAL_BASE_URL}{place}"
    return request.build_absolute_uri(place)
