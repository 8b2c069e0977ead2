"""A person's own exports: how far they are, to be downloaded until they are deleted."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from paycenter import trail
from paycenter.errors import TransitionRefused
from paycenter.staff.display import state_chip
from paycenter.staff.exports import export_cancel, export_path, reader_of
from paycenter.staff.list_models import UNFINISHED, ExportState, ListExport
from paycenter.staff.lists import BoundedPaginator
from paycenter.staff.tenancy import ReadOnlyAdmin, actor_of
from paycenter.transitions import record_event


@admin.register(ListExport)
class ListExportAdmin(ReadOnlyAdmin):
    empty_text = _("Ask for an export above a list; its file is fetched here once it is written.")
    list_display = ["what", "state_label", "progress", "created_at", "expires_at", "buttons"]
    list_display_links = None
    ordering = ["-id"]
    paginator = BoundedPaginator
    list_before_template = "admin/pc/exports_head.html"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Everybody has exports of their own, and sees no others."""
        return bool(request.user.is_staff) and (obj is None or obj.owner_id == request.user.pk)

    def scope(self, user: Any, rows: Any) -> Any:
        return rows.filter(owner=user)

    @display(description=_("list"))
    def what(self, obj: ListExport) -> str:
        page = next((p for m, p in admin.site._registry.items() if m._meta.label_lower == obj.page), None)
        name = page.opts.verbose_name_plural if page else obj.page
        chosen = format_html_join(" · ", "{}: <b>{}</b>", obj.words)
        return format_html(
            '<div><b>{}</b> <span class="pc-chip">{}</span><div class="pc-sub">{}</div></div>', name,
            obj.get_kind_display(), chosen or gettext("without a filter"),
        )  # fmt: skip

    @display(description=_("state"))
    def state_label(self, obj: ListExport) -> str:
        return format_html("<div>{}<div class='pc-sub'>{}</div></div>", state_chip(obj), obj.error)

    @display(description=_("rows"))
    def progress(self, obj: ListExport) -> str:
        if obj.state in UNFINISHED:
            return format_html(
                '<progress class="pc-progress" max="100" value="{0}" aria-label="{2}">{0} %</progress>'
                '<div class="pc-sub">{1}</div>', obj.percent, f"{obj.rows:,}", gettext("Progress"),
            )  # fmt: skip
        cut = gettext("cut at the limit") if obj.cut else ""
        size = filesizeformat(obj.size) if obj.state == ExportState.DONE else ""
        return format_html(
            '<div>{}<div class="pc-sub">{}</div></div>', f"{obj.rows:,}", " · ".join(filter(None, (size, cut)))
        )

    @display(description=_("actions"))
    def buttons(self, obj: ListExport) -> str:
        """They post with the form that the list stands in."""
        ready, stoppable = obj.state == ExportState.DONE, obj.state in UNFINISHED
        context = {"export": obj, "ready": ready, "stoppable": stoppable}
        return render_to_string("admin/pc/export_buttons.html", context)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        busy = ListExport.objects.filter(owner=request.user, state__in=UNFINISHED).exists()  # type: ignore[misc]
        return super().changelist_view(request, {
            **(extra_context or {}), "busy": busy, "most": f"{settings.EXPORT_ROWS:,}",
            "days": settings.EXPORT_KEEP_DAYS,
        })  # fmt: skip

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """There is nothing more to see than in the list."""
        self.fetch(request, object_id)
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('changelist')}"))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<path:object_id>/file/", wrap(self.file_view), name=self.view_name("file")),
            path("<path:object_id>/cancel/", wrap(self.cancel_view), name=self.view_name("cancel")),
        ]
        return [*own, *super().get_urls()]

    def file_view(self, request: HttpRequest, object_id: str) -> FileResponse:
        """The file, to who asked for it and may still see the list; taking it is noted."""
        export = self.fetch(request, object_id)
        page = next((p for m, p in admin.site._registry.items() if m._meta.label_lower == export.page), None)
        if page is None or not page.has_view_permission(request) or reader_of(request.user) != export.reader:
            raise PermissionDenied
        over = export.expires_at is not None and export.expires_at <= timezone.now()
        place = export_path(export)
        if export.state != ExportState.DONE or over or not place.is_file():
            raise Http404
        trail.remember(export)  # taking a copy changes nothing
        record_event(export, "listexport.downloaded", actor=actor_of(request.user))
        day = timezone.localtime(export.created_at).strftime("%Y%m%d-%H%M")
        name = f"{page.opts.model_name}-{day}.{export.ending_of(export.kind)}"
        response = FileResponse(place.open("rb"), as_attachment=True, filename=name)
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stop one that is being written. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        export = self.fetch(request, object_id)
        try:
            export_cancel(export)
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        else:
            messages.success(request, gettext("Cancelled."))
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('changelist')}"))
