"""The application page: one page for the whole path, each step stored by itself. Every rule is in the services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext

from merchants.admin.states import history_of
from merchants.models import Merchant, PaymentAccount
from merchants.states import OPEN_STATES
from onboarding import facts
from onboarding.accounts import Typed, account_save, account_take_away, draft_begin
from onboarding.admin.accounts import account_form
from onboarding.admin.opening import OpenForm
from onboarding.admin.page import Failed, next_step, page_of, told_at
from onboarding.admin.reviewing import ReviewingAdmin
from onboarding.connections import check_ask, progress_of
from onboarding.errors import StaleStep, StepProblems
from onboarding.models import AccountDraft, Application, ApplicationDocument
from onboarding.services import (
    DOCUMENTS,
    application_open,
    company_open,
    document_seen,
    document_store,
    document_take_away,
    step_save,
)
from onboarding.steps import FACT_STEPS, KINDS
from onboarding.versions import application_submit
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.staff.files import private_file
from paycenter.staff.stepup import sensitive
from paycenter.staff.tenancy import registered, tenant_of
from paycenter.uploads import UploadRefused

_View = Callable[..., HttpResponse]


@admin.register(Application)
class ApplicationAdmin(ReviewingAdmin):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        views: tuple[tuple[str, _View, str], ...] = (
            ("of/<int:merchant_pk>/", self.of_view, "of"),
            ("<path:object_id>/step/<slug:step>/", self.step_view, "step"),
            ("<path:object_id>/document/<slug:kind>/", self.document_view, "document"),
            ("<path:object_id>/file/<int:document_id>/", self.file_view, "file"),
            ("<path:object_id>/begin/", self.begin_view, "begin"),
            ("<path:object_id>/account/<slug:place>/", self.account_view, "account"),
            ("<path:object_id>/checks/", self.checks_view, "checks"),
            ("<path:object_id>/submit/", self.submit_view, "submit"),
            *self.review_views(),
        )
        own = [path(route, wrap(view), name=self.view_name(name)) for route, view, name in views]
        return [*own, *super().get_urls()]

    # ---- opening ----------------------------------------------------------------------------
    @sensitive
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Open a company as a draft with its first owner."""
        self.require(request, "onboarding.add_application")
        form = OpenForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            user: Any = request.user
            try:
                _application, person = company_open(name=form.cleaned_data["name"], owner=form.owner, user=user)
            except TransitionRefused as exc:
                raise PermissionDenied(str(exc)) from exc
            return HttpResponseRedirect(reverse("admin:merchants_user_change", args=[person.pk]))
        context = self.page_context(
            request, title=gettext("Open a company"), forms=[form], submit=gettext("Open the company"), cancel="../",
            intro=gettext("It starts as a draft. Its first owner signs in, fills in the application and submits it; "
                          "on the next page you let the owner choose a password."),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/form.html", context)

    def of_view(self, request: HttpRequest, merchant_pk: int) -> HttpResponse:
        """The application of a merchant, begun where it is a draft without one. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self.require(request, "onboarding.change_application")
        merchants = registered(Merchant)
        merchant = merchants.get_queryset(request).filter(pk=merchant_pk).first() if merchants else None
        if merchant is None:
            raise Http404
        try:
            application = application_open(merchant=merchant, user=request.user)  # type: ignore[arg-type]
        except TransitionRefused as exc:
            raise PermissionDenied(str(exc)) from exc
        return self._to(application)

    # ---- the page ---------------------------------------------------------------------------
    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        return self._page(request, self.fetch(request, object_id))

    def _page(
        self, request: HttpRequest, application: Application, failed: Failed | None = None, problem: str = ""
    ) -> HttpResponse:
        """`failed` and `problem` are what could not be stored, and why."""
        application = Application.objects.select_related("merchant").get(pk=application.pk)
        page = page_of(
            application, request.user, may_fill=self.has_change_permission(request, application), failed=failed,
            at=request.GET.get("at", ""),
        )  # fmt: skip
        context = self.page_context(
            request, application, title=page.merchant.name, page=page, problem=problem, failed=failed,
            sees_files=request.user.has_perm("onboarding.view_applicationdocument"),
            may_review=self.may_review(request), decided_at=told_at(page.version.decided_at if page.version else None),
            history=history_of(application, with_staff=tenant_of(request.user) is None),
            base=reverse(f"admin:{self.view_name('changelist')}") + f"{application.pk}/",
        )  # fmt: skip
        response = TemplateResponse(request, "admin/pc/onboarding/application.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _to(self, application: Application, at: str = "") -> HttpResponse:
        url = reverse(f"admin:{self.view_name('change')}", args=[application.pk])
        return HttpResponseRedirect(f"{url}?at={at}#step-{at}" if at else url)

    def _posted(self, request: HttpRequest, object_id: str) -> Application:
        """The application that a form of the page is about. Raises Http404, PermissionDenied."""
        application: Application = self.fetch(request, object_id, change=True)
        return application

    # ---- the steps --------------------------------------------------------------------------
    def step_view(self, request: HttpRequest, object_id: str, step: str) -> HttpResponse:
        """Store the facts of one step. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        application = self._posted(request, object_id)
        if step not in FACT_STEPS:
            raise Http404
        chosen = FACT_STEPS[step]
        values = {
            fact.name: request.POST.getlist(fact.name) if fact.many else request.POST.get(fact.name, "")
            for fact in chosen.facts
        }
        try:
            application = step_save(
                application=application, step=chosen, values=values, mark=request.POST.get("mark", ""),
                user=request.user,  # type: ignore[arg-type]
            )  # fmt: skip
        except StepProblems as exc:
            return self._page(request, application, Failed(step, problems=exc.problems, values=values))
        except StaleStep as exc:
            return self._page(request, application, Failed(step, values=values, stale=exc))
        except TransitionRefused as exc:
            return self._page(request, application, Failed(step, values=values), str(exc))
        return self._to(application, next_step(application, step))

    def document_view(self, request: HttpRequest, object_id: str, kind: str) -> HttpResponse:
        """Upload a document, or leave it out. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        application = self._posted(request, object_id)
        if kind not in KINDS:
            raise Http404
        upload, mark = request.FILES.get("file"), request.POST.get("mark", "")
        user: Any = request.user
        try:
            if "remove" in request.POST:
                document_take_away(application=application, kind=kind, mark=mark, user=user)
            elif upload is None:
                raise UploadRefused(gettext("Please choose a file."))
            else:
                document_store(application=application, kind=kind, name=upload.name or "", chunks=upload.chunks(),
                               mark=mark, user=user)  # fmt: skip
        except UploadRefused as exc:
            return self._page(request, application, Failed(f"doc-{kind}", problems={"file": [str(exc)]}))
        except StaleStep as exc:
            return self._page(request, application, Failed(f"doc-{kind}", stale=exc))
        except TransitionRefused as exc:
            return self._page(request, application, problem=str(exc))
        return self._to(application, "documents")

    @sensitive(looking=True)
    def file_view(self, request: HttpRequest, object_id: str, document_id: int) -> HttpResponse:
        """A document to be looked at, or taken along with `?download=1`; each look is written down."""
        application = self.fetch(request, object_id)
        self.require(request, "onboarding.view_applicationdocument")
        document = ApplicationDocument.objects.filter(application=application, pk=document_id).first()
        if document is None:
            raise Http404
        response = private_file(DOCUMENTS, document.path, document.name, inline="download" not in request.GET)
        document_seen(document=document, user=request.user)  # type: ignore[arg-type]
        return response

    # ---- payment accounts -------------------------------------------------------------------
    def begin_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Begin an account at a channel. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        application = self._posted(request, object_id)
        try:
            draft_begin(application=application, channel=request.POST.get("channel", ""), user=request.user)  # type: ignore[arg-type]
        except KeyError as exc:
            raise Http404 from exc
        except TransitionRefused as exc:
            return self._page(request, application, problem=str(exc))
        return self._to(application, "accounts")

    def account_view(self, request: HttpRequest, object_id: str, place: str) -> HttpResponse:
        """Store, check or leave out one account. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        application = self._posted(request, object_id)
        target = _target(application, place)
        user: Any = request.user
        try:
            if "remove" in request.POST:
                account_take_away(application=application, target=target, user=user)
            elif "check" in request.POST and isinstance(target, PaymentAccount):
                check_ask(application=application, account=target, user=user)
            else:
                return self._save_account(request, application, place, target)
        except StaleStep as exc:
            return self._page(request, application, Failed(place, stale=exc))
        except TransitionRefused as exc:
            return self._page(request, application, problem=str(exc))
        return self._to(application, "accounts")

    def _save_account(
        self, request: HttpRequest, application: Application, place: str, target: AccountDraft | PaymentAccount
    ) -> HttpResponse:
        form = account_form(target, request.POST, request.FILES)
        if form is None:
            raise Http404
        if not form.is_valid():
            return self._page(request, application, Failed(place, form=form))
        name, methods = form.cleaned_data["name"], tuple(form.cleaned_data["methods"])
        try:
            saved = account_save(
                application=application, target=target, typed=Typed(name, methods, form.raw_config()),
                mark=request.POST.get("mark", ""), user=request.user,  # type: ignore[arg-type]
            )  # fmt: skip
        except StaleStep as exc:
            return self._page(request, application, Failed(place, stale=exc, form=form))
        except ChannelConfigInvalid as exc:
            form.add_problems(exc)
            return self._page(request, application, Failed(place, form=form))
        if isinstance(saved, PaymentAccount) and saved.check_ok is None:
            check_ask(application=application, account=saved, user=request.user)  # type: ignore[arg-type]
        return self._to(application, "accounts")

    def checks_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How far the connection checks are, for the page to ask again and again."""
        application = self.fetch(request, object_id)
        now = timezone.now()
        found = {f"account-{a.pk}": progress_of(a, now) for a in facts.accounts_of(application.merchant)}
        answer = {place: {"state": p.state, "text": p.text, "running": p.running} for place, p in found.items()}
        response = JsonResponse(answer)
        response.headers["Cache-Control"] = "no-store"
        return response

    # ---- submitting -------------------------------------------------------------------------
    def submit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Freeze a version and hand it over. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        application = self._posted(request, object_id)
        self.require(request, "onboarding.submit_application")
        if request.POST.get("true") != "on":
            words = gettext("Please confirm that everything is true and complete.")
            return self._page(request, application, Failed("review"), words)
        try:
            application_submit(application=application, mark=request.POST.get("mark", ""), user=request.user)  # type: ignore[arg-type]
        except TransitionRefused as exc:
            return self._page(request, application, Failed("review"), str(exc))
        return self._to(application)


def _target(application: Application, place: str) -> AccountDraft | PaymentAccount:
    """The account or draft that a part of the page is about. Raises Http404."""
    kind, _dash, number = place.partition("-")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise Http404
    found: AccountDraft | PaymentAccount | None = None
    if kind == "draft":
        found = AccountDraft.objects.filter(application=application, pk=number).first()
    elif kind == "account":
        rows = application.merchant.accounts.filter(pk=number, state__in=OPEN_STATES)
        account = rows.prefetch_related("methods").first()
        found = AccountDraft.objects.filter(account=account).first() or account if account else None
    if found is None:
        raise Http404
    return found
