"""The admin site: who is let in, the second factor, the landing page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.i18n import set_language
from django_otp import DEVICE_ID_SESSION_KEY
from unfold.sites import UnfoldAdminSite

from paycenter.staff import security, sessions, stepup
from paycenter.staff.landing import elsewhere, landing_context, staff_pages
from paycenter.staff.login import LoginForm
from paycenter.staff.tenancy import TenantAdmin, actor_of
from paycenter.transitions import record_event


class PaycenterAdminSite(UnfoldAdminSite):  # type: ignore[misc]
    """Admits staff whose role fits the entrance and whose second factor is verified where it is needed."""

    site_url = None
    index_title = _("Overview")
    index_template = "admin/landing.html"
    enable_nav_sidebar = True

    def __init__(self, name: str = "admin") -> None:
        self.login_form = LoginForm
        super().__init__(name)

    def register_list(self, model: type[Model], page: type[TenantAdmin]) -> None:
        """A page that is a list only, of records whose key is made of several columns. Django registers no such
        model, because the addresses of one record's pages could not name it; these pages have none."""
        self._registry[model] = page(model, self)

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
        if request.method == "POST" and answer.status_code == 302 and DEVICE_ID_SESSION_KEY in request.session:
            stepup.note_code(request)
        return answer

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        sessions.end(request.session.session_key or "")
        answer: HttpResponse = super().logout(request, extra_context)
        return answer

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Another password of one's own; every other session of the person ends."""
        answer: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and answer.status_code == 302:
            record_event(request.user, "user.password_changed", actor=actor_of(request.user))  # type: ignore[arg-type]
            sessions.end_all(request.user, keep=request)
        return answer

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        """As Django's; a view that is marked sensitive asks for a fresh code before it runs. What is posted to any of
        them may hold a password, a key or a held form, and is left out of error reports."""
        quiet = sensitive_post_parameters()(stepup.guarded(view))
        wrapped: Callable[..., Any] = super().admin_view(quiet, cacheable)
        return wrapped

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if url := elsewhere(request):
            return HttpResponseRedirect(url)
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
            path("security/sessions/end/", self.admin_view(security.end_session), name="security_end_session"),
            path("security/sessions/end-others/", self.admin_view(security.end_others), name="security_end_others"),
        ]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "entrance": settings.ENTRANCE}
