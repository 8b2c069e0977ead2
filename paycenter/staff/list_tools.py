"""What stands above a list that grows: filters with a name, and exports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext as _

from paycenter.errors import TransitionRefused
from paycenter.staff.exports import export_start
from paycenter.staff.list_models import ExportState, ListExport, SavedView

MOST = 30  # filters of one person for one list


@dataclass(frozen=True, slots=True)
class View:
    """A saved filter as it is shown."""

    id: int
    name: str
    query: str
    mine: bool
    shared: bool
    now: bool


class ListTools:
    """For one list and reader; asks the database when the template does."""

    def __init__(self, page: Any, request: HttpRequest) -> None:
        self._page, self._request = page, request
        self.query = present_query(request)
        self.exportable = bool(page.export_columns)
        self.view_name = page.view_name

    @cached_property
    def save_url(self) -> str:
        return reverse(f"admin:{self.view_name('save_view')}")

    @cached_property
    def export_url(self) -> str:
        return reverse(f"admin:{self.view_name('start_export')}") + (f"?{self.query}" if self.query else "")

    @cached_property
    def views(self) -> list[View]:
        """The reader's own, then what colleagues share."""
        user: Any = self._request.user
        rows = views_of(user, self._page.opts.label_lower).order_by("name", "pk")[: 2 * MOST]
        found = [View(v.pk, v.name, v.query, v.owner_id == user.pk, bool(v.role), v.query == self.query) for v in rows]
        return sorted(found, key=lambda view: not view.mine)


def present_query(request: HttpRequest) -> str:
    """The filters and the order in the address, without the page."""
    return urlencode(sorted((k, v) for k, values in request.GET.lists() for v in values if k not in ("p", "e")))


def views_of(user: Any, page: str) -> Any:
    """Saved filters of a list that this person sees."""
    shared = Q(role=user.role, owner__merchant=user.merchant_id, owner__app=user.app_id)
    if user.merchant_id is None:
        shared = Q(role=user.role, owner__merchant__isnull=True) & (
            Q(owner__app__isnull=True) if user.app_id is None else Q(owner__app=user.app_id)
        )
    return SavedView.objects.filter(Q(owner=user) | (shared & ~Q(role="")), page=page)


def list_urls(page: Any) -> list[URLPattern]:
    """Addresses of the tools, below the list's."""
    wrap = page.admin_site.admin_view
    return [
        path("views/save/", wrap(lambda request: _save(page, request)), name=page.view_name("save_view")),
        path("views/<int:view_id>/delete/", wrap(lambda request, view_id: _delete(page, request, view_id)),
             name=page.view_name("delete_view")),
        export_url(page),
    ]  # fmt: skip


def export_url(page: Any) -> URLPattern:
    """The address that starts an export of a page."""
    view: Any = page.admin_site.admin_view(lambda request: _start(page, request))
    start: URLPattern = path("exports/start/", view, name=page.view_name("start_export"))
    return start


def _refuse(page: Any, request: HttpRequest) -> HttpResponse | None:
    if not page.has_view_permission(request):
        raise Http404
    return None if request.method == "POST" else HttpResponseNotAllowed(["POST"])


def _back(page: Any, query: str) -> HttpResponseRedirect:
    url = reverse(f"admin:{page.view_name('changelist')}")
    return HttpResponseRedirect(f"{url}?{query}" if query else url)


def _one_line(text: str) -> str:
    """Without what no database, header or list can show."""
    return " ".join(text.replace("\x00", "").split())


def _save(page: Any, request: HttpRequest) -> HttpResponse:
    """Keep the present filter under a name. POST only."""
    refused = _refuse(page, request)
    if refused is not None:
        return refused
    name, query = (_one_line(request.POST.get(field, "")) for field in ("name", "query"))
    name = name[:40]
    user: Any = request.user
    mine = SavedView.objects.filter(owner=user, page=page.opts.label_lower)
    if not name or len(query) > 1000 or mine.count() >= MOST:
        messages.error(request, _("A name is needed; at most %(n)d filters are kept.") % {"n": MOST})
        return _back(page, query[:1000])
    values = {"query": query, "role": user.role if request.POST.get("shared") else "", "created_at": timezone.now()}
    try:
        with transaction.atomic():
            SavedView.objects.update_or_create(owner=user, page=page.opts.label_lower, name=name, defaults=values)
    except IntegrityError:  # saved twice at the same moment
        pass
    messages.success(request, _("The filter is kept."))
    return _back(page, query)


def _delete(page: Any, request: HttpRequest, view_id: int) -> HttpResponse:
    """Forget one of the reader's own. POST only."""
    refused = _refuse(page, request)
    if refused is not None:
        return refused
    done, _rows = SavedView.objects.filter(pk=view_id, owner=request.user, page=page.opts.label_lower).delete()  # type: ignore[misc]
    if not done:
        raise Http404
    messages.success(request, _("The filter is forgotten."))
    return _back(page, "")


def _start(page: Any, request: HttpRequest) -> HttpResponse:
    """Have the list written to a file. POST only; the filters stand in the address."""
    refused = _refuse(page, request)
    if refused is not None:
        return refused
    kind = request.POST.get("kind", "")
    if not page.export_columns or kind not in ListExport.Kind:
        raise Http404
    try:
        export_start(page, request, kind)
    except TransitionRefused as exc:
        messages.error(request, str(exc))
        return _back(page, present_query(request))
    messages.success(request, _("It is being written; you are told when it is ready."))
    return HttpResponseRedirect(reverse("admin:paycenter_listexport_changelist"))


def tell_ready(request: HttpRequest) -> None:
    """Say once that an export is ready."""
    rows = ListExport.objects.filter(owner=request.user, told_at=None, state=ExportState.DONE)  # type: ignore[misc]
    ready = list(rows.values_list("pk", flat=True)[:10])
    if ready and ListExport.objects.filter(pk__in=ready, told_at=None).update(told_at=timezone.now()):
        url = reverse("admin:paycenter_listexport_changelist")
        link = format_html('<a href="{}">{}</a>', url, _("To the exports"))
        messages.info(request, format_html("{} {}", _("An export is ready."), link))
