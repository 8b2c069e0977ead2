"""The admin site: who is let in, the second factor, the landing page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.i18n import set_language
from unfold.sites import UnfoldAdminSite

from paycenter.staff import security
from paycenter.staff.landing import landing_context, staff_pages
from paycenter.staff.login import LoginForm


class PaycenterAdminSite(UnfoldAdminSite):  # type: ignore[misc]
    """Admits staff whose role fits the entrance and whose second factor is verified where it is needed."""

    site_url = None
    index_title = _("Overview")
    index_template = "admin/landing.html"
    enable_nav_sidebar = True

    def __init__(self, name: str = "admin") -> None:
        self.login_form = LoginForm
        super().__init__(name)

    def has_permission(self, request: HttpRequest) -> bool:
        """Asked several times while one page is made; the answer is kept with the request."""
        user = request.user
        kept = getattr(request, "_staff_admitted", None)
        if kept is None or kept[0] != user.pk:
            kept = (user.pk, security.admits(user))
            request._staff_admitted = kept  # type: ignore[attr-defined]
        return bool(kept[1])

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The login page; who still has to set up a second factor is sent there first."""
        if request.method == "GET" and security.must_enrol(request.user):
            return HttpResponseRedirect(reverse("admin:security_enrol"))
        answer: HttpResponse = super().login(request, extra_context)
        return answer

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().index(request, {**landing_context(request), **(extra_context or {})})

    def extra_urls(self) -> list[URLPattern]:
        pages = [path(page.path, self.admin_view(page.view), name=page.name) for page in staff_pages()]
        return [
            *pages,
            path("language/", set_language, name="set_language"),
            path("security/", self.admin_view(security.overview), name="security"),
            path("security/enrol/", security.enrol, name="security_enrol"),
            path("security/recovery/", self.admin_view(security.renew_recovery), name="security_recovery"),
            path("security/remove/", self.admin_view(security.remove), name="security_remove"),
        ]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "entrance": settings.ENTRANCE}
