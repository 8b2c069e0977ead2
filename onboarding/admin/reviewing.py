"""The reviewer's page: a version side by side with the one before it, and the decision. Rules are in the services."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext

from merchants.admin.states import history_of
from merchants.models import App
from merchants.states import MerchantState
from onboarding.admin.listing import ApplicationListing
from onboarding.comparing import compare
from onboarding.models import Application, ApplicationVersion, Outcome
from onboarding.steps import SECTIONS
from onboarding.versions import REVIEW, application_approve, application_return
from paycenter import trail
from paycenter.errors import TransitionRefused
from paycenter.staff import stepup
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import actor_of, tenant_of
from paycenter.transitions import record_event

_MAX_APPS = 200


class ReviewingAdmin(ApplicationListing):
    def review_views(self) -> Any:
        return (
            ("<path:object_id>/review/", self.review_view, "review"),
            ("<path:object_id>/numbers/<int:number>/", self.numbers_view, "numbers"),
            ("<path:object_id>/decide/", self.decide_view, "decide"),
        )

    def may_review(self, request: HttpRequest) -> bool:
        return tenant_of(request.user) is None and bool(request.user.has_perm(REVIEW))

    def review_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The newest version, or the one asked for, next to the one before it; for staff of the center."""
        application = self._reviewed(request, object_id)
        return self._review(request, application, self._version(application, request.GET.get("version", "")))

    @sensitive
    def numbers_view(self, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        """The same with identity and account numbers in full, to compare with the documents. POST only; noted."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        application = self._reviewed(request, object_id)
        self.require(request, REVIEW)
        version = self._version(application, str(number))
        detail = {"version": version.number}
        trail.remember(application)  # looking changes nothing
        record_event(application, "application.numbers_shown", actor=actor_of(request.user), detail=detail)
        return self._review(request, application, version, whole=True)

    @sensitive(when=lambda _page, request, **_more: request.POST.get("decision") == "approve")
    def decide_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Approve or return the version that was looked at. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        application = self._reviewed(request, object_id)
        self.require(request, REVIEW)
        version = self._version(application, request.POST.get("version", ""))
        try:
            word = self._decide(request, application, version)
        except TransitionRefused as exc:
            return self._review(request, application, version, problem=str(exc))
        messages.success(request, word)
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('review')}", args=[application.pk]))

    def _decide(self, request: HttpRequest, application: Application, version: ApplicationVersion) -> str:
        comment = request.POST.get("comment", "").replace("\x00", "")
        user: Any = request.user
        if request.POST.get("decision") == "approve":
            apps = App.objects.filter(is_active=True, pk__in=_numbers(request.POST.getlist("apps")))
            application_approve(application=application, number=version.number, user=user, comment=comment, apps=apps)
            return gettext("Approved. The company can take payments now.")
        application_return(
            application=application, number=version.number, user=user, comment=comment, comments=_comments(request)
        )
        return gettext("Returned. The company sees your comments at the steps.")

    def _reviewed(self, request: HttpRequest, object_id: str) -> Application:
        application: Application = self.fetch(request, object_id)
        if tenant_of(request.user) is not None:
            raise Http404  # a company looks at its own page; comments not sent yet are none of its business
        return application

    def _version(self, application: Application, number: str) -> ApplicationVersion:
        rows = application.versions.select_related("submitted_by", "decided_by")
        if number.isascii() and number.isdigit() and len(number) < 9:
            rows = rows.filter(number=int(number))
        version = rows.first()
        if version is None:
            raise Http404
        return version

    def _review(
        self, request: HttpRequest, application: Application, version: ApplicationVersion, *, whole: bool = False,
        problem: str = "",
    ) -> HttpResponse:  # fmt: skip
        """`problem` is why a decision was not possible; what was written for it stays."""
        application = Application.objects.select_related("merchant").get(pk=application.pk)
        versions = list(application.versions.select_related("submitted_by", "decided_by"))
        before = next((v for v in versions if v.number == version.number - 1), None)
        waiting = version == versions[0] and not version.outcome and application.merchant.state == MerchantState.REVIEW
        said = _comments(request) if problem else version.comments
        context = self.page_context(
            request, application, title=gettext("Review: %(name)s") % {"name": application.merchant.name},
            application=application, merchant=application.merchant, version=version, before=before, versions=versions,
            sections=[(s, said.get(s.step.code, "")) for s in compare(
                before.snapshot if before else None, version.snapshot, whole=whole)],
            deciding=waiting and self.may_review(request), problem=problem, whole=whole,
            own=request.user.pk in {version.submitted_by_id, *version.editors},
            comment=request.POST.get("comment", "") if problem else version.comment, apps=self._apps(request, waiting),
            looks=stepup.is_fresh(request),
            sees_files=request.user.has_perm("onboarding.view_applicationdocument"), outcome=Outcome(version.outcome),
            history=history_of(application, with_staff=True),
            base=reverse(f"admin:{self.view_name('changelist')}") + f"{application.pk}/",
        )  # fmt: skip
        response = TemplateResponse(request, "admin/pc/onboarding/review.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _apps(self, request: HttpRequest, waiting: bool) -> list[tuple[App, bool]]:
        chosen = set(_numbers(request.POST.getlist("apps")))
        rows = App.objects.filter(is_active=True).order_by("name")[:_MAX_APPS] if waiting else []
        return [(app, app.pk in chosen) for app in rows]


def _comments(request: HttpRequest) -> dict[str, str]:
    names = {step.code: request.POST.get(f"comment-{step.code}", "") for step in SECTIONS}
    return {code: text.replace("\x00", "").strip()[:500] for code, text in names.items() if text.strip()}


def _numbers(texts: list[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]
