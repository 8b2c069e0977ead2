"""Where the application is reached from: the landing page, the merchant's page."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from merchants.models import Merchant
from merchants.states import MerchantState
from onboarding.models import Application
from onboarding.services import application_open
from onboarding.versions import REVIEW
from paycenter.staff.acts import Act, Section, adds_to_page
from paycenter.staff.landing import Card, Panel, contributes, leads_elsewhere
from paycenter.staff.tenancy import tenant_of

_BEFORE_ACTIVE = (MerchantState.DRAFT, MerchantState.REVIEW)
_FILL = "onboarding.change_application"


@leads_elsewhere
def own_application(request: HttpRequest) -> str:
    """Staff of a company that is not active yet have one thing to do here."""
    user = request.user
    tenant = tenant_of(user)
    if tenant is None or tenant.kind != "merchant" or not user.has_perm("onboarding.view_application"):
        return ""
    merchant = Merchant.objects.filter(user=user, state__in=_BEFORE_ACTIVE).first()  # type: ignore[misc]
    if merchant is None:
        return ""
    application = Application.objects.filter(merchant=merchant).first()
    if application is None and merchant.state == MerchantState.DRAFT and user.has_perm(_FILL):
        application = application_open(merchant=merchant, user=user)  # type: ignore[arg-type]
    return reverse("admin:onboarding_application_change", args=[application.pk]) if application else ""


@contributes
def to_review(request: HttpRequest) -> Iterable[Card | Panel]:
    """How many applications wait."""
    if not request.user.has_perm(REVIEW) or tenant_of(request.user) is not None:
        return
    count = Application.objects.filter(merchant__state=MerchantState.REVIEW).count()
    yield Card(
        title=_("Applications to review"), value=str(count), icon="assignment", tone="warn" if count else "calm",
        link=reverse("admin:onboarding_application_changelist") + "?state=review", order=45,
    )  # fmt: skip


@adds_to_page(Merchant)
def application_of_merchant(request: HttpRequest, merchant: Merchant) -> Iterable[Act | Section]:
    """A way from the merchant to its application; a draft without one can begin it."""
    if not request.user.has_perm("onboarding.view_application"):
        return
    application = Application.objects.filter(merchant=merchant).first()
    if application is not None:
        url = reverse("admin:onboarding_application_change", args=[application.pk])
        yield Act(_("Application"), url=url, icon="assignment")
    elif merchant.state == MerchantState.DRAFT and request.user.has_perm(_FILL):
        url = reverse("admin:onboarding_application_of", args=[merchant.pk])
        yield Act(_("Begin the application"), url=url, post=True, icon="assignment")
