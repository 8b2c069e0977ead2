"""Staff of one merchant or one app see that merchant's or app's rows and nothing else.

Every admin page derives from `TenantAdmin`, which scopes lists, object pages, histories, actions,
autocompletes and the choices of related fields through one method, `get_queryset`. A page that names no
lookup shows tenants nothing at all, so a forgotten one fails closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from paycenter import trail
from paycenter.staff import stepup
from paycenter.staff.acts import added_views
from paycenter.staff.exports import Column
from paycenter.staff.filter_words import filter_words
from paycenter.staff.history import history_rows
from paycenter.staff.keyset import KeysetChangeList
from paycenter.staff.list_tools import ListTools, list_urls, tell_ready
from paycenter.staff.lists import BoundedPaginator
from paycenter.staff.words import party
from paycenter.transitions import record_event

# Role → whose rows.
TENANT_ROLES = {"merchant": "merchant", "owner": "merchant", "app": "app"}


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose rows a staff member may see. `kind` is `merchant` or `app`; `number` is merchant_no or app_id."""

    kind: str
    pk: int | None
    number: str | None


def tenant_of(user: Any) -> Tenant | None:
    """None for staff of the center itself, who see every merchant."""
    kind = None if user.is_superuser else TENANT_ROLES.get(user.role)
    if kind == "merchant":
        return Tenant("merchant", user.merchant_id, user.merchant.merchant_no if user.merchant else None)
    if kind == "app":
        return Tenant("app", user.app_id, user.app.app_id if user.app else None)
    return None


def is_foreign(user: Any, record: Any) -> bool:
    """Whether a record with `merchant_id` and `app_id` belongs to another tenant than this staff member's."""
    tenant = tenant_of(user)
    if tenant is None:
        return False
    return bool(tenant.pk != (record.merchant_id if tenant.kind == "merchant" else record.app_id))


def name_for(reader: Any, person: Any) -> str:
    """How a staff member is named to another one: tenants are not told which of the center's staff it was."""
    return party("staff") if is_foreign(reader, person) else str(person.get_username())


def actor_of(user: Any) -> str:
    """How events name a staff member."""
    return f"staff:{user.get_username()}"


class Named:
    """A record under another name: all else of it is the record's."""

    def __init__(self, record: Any, name: str) -> None:
        self._record, self._name = record, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)

    def __str__(self) -> str:
        return self._name


class TenantScope:
    """Which column of a model says whose row it is; shared by pages and inlines.

    `tenant_keys` maps `merchant` and `app` to the lookup of the foreign key ("trade__merchant_id");
    `tenant_numbers` to a text column that holds the number ("merchant_no").
    """

    tenant_keys: ClassVar[Mapping[str, str]] = {}
    tenant_numbers: ClassVar[Mapping[str, str]] = {}

    def scope(self, user: Any, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows this user may see."""
        tenant = tenant_of(user)
        if tenant is None:
            return rows
        if tenant.pk is not None and tenant.kind in self.tenant_keys:
            return rows.filter(**{self.tenant_keys[tenant.kind]: tenant.pk})
        if tenant.number and tenant.kind in self.tenant_numbers:
            return rows.filter(**{self.tenant_numbers[tenant.kind]: tenant.number})
        return rows.none()


class TenantAdmin(TenantScope, ModelAdmin):  # type: ignore[misc]
    """Base of every admin page. Nothing can be added, changed or deleted unless the page says so."""

    empty_value_display = "–"
    list_fullwidth = True
    compressed_fields = True
    list_filter_submit = False
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count everything, once per choice
    actions: Any = None
    list_per_page = 50
    can_add = False
    can_change = False
    # What an empty list says, and what to do next where it is the reader's to do.
    empty_text: Any = _("Records appear here by themselves.")
    empty_next: Any = ""
    # Field → the column that says its value to people who may only look: what is secret, or not stored as it is said.
    read_as: ClassVar[Mapping[str, str]] = {}
    # What an export of the list holds; lists without columns cannot be exported.
    export_columns: ClassVar[Sequence[Column]] = ()

    def get_export_columns(self, request: HttpRequest) -> Sequence[Column]:
        """What an export holds for this reader."""
        return self.export_columns

    def export_source(self, request: HttpRequest) -> tuple[QuerySet[Any], list[list[str]]]:
        """What an export is made of: the rows as the list shows them to this reader, and their filter in words."""
        changelist = self.get_changelist_instance(request)
        return changelist.queryset, filter_words(changelist)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """As Django's, and never by a password's hash: what a filter finds tells it bit by bit."""
        return "password" not in lookup and bool(super().lookup_allowed(lookup, value, request))

    @property
    def list_before_template(self) -> str | None:
        """Saved filters and exports above lists that grow."""
        return "admin/pc/list_tools.html" if self.grows else None

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """With the tools above the list, and the files that its filters need."""
        files = [spec.files() for spec in self.get_list_filter(request) if hasattr(spec, "files")]
        if files:
            extra_context = {**(extra_context or {}), "media": sum(files, self.media)}
        if self.grows and self.has_view_permission(request):
            tell_ready(request)
            extra_context = {**(extra_context or {}), "tools": ListTools(self, request)}
        extra_context = {"empty_next": self.empty_next if self.is_for(request) else "", **(extra_context or {})}
        return super().changelist_view(request, extra_context)

    def is_for(self, request: HttpRequest) -> bool:
        """Whether it is the reader's to fill the list."""
        return self.has_add_permission(request) or self.has_change_permission(request)

    @admin.display(description=_("Created"), ordering="created_at")
    def created_time(self, obj: Any) -> Any:
        """A column: when the record was made."""
        return obj.created_at

    def get_urls(self) -> list[URLPattern]:
        """With the views that other apps add below the page of one record."""
        wrap = self.admin_site.admin_view
        added = [
            path(f"<path:object_id>/{name}/", wrap(partial(view, self)), name=self.view_name(name))
            for name, view in added_views(self.model)
        ]
        tools = list_urls(self) if self.grows else []
        return [*added, *tools, *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        """Lists that grow without end come in pages by key."""
        return KeysetChangeList if self.grows else super().get_changelist(request, **kwargs)

    @property
    def grows(self) -> bool:
        """Whether the list grows with the payments. Nothing may be ordered or counted that no index serves."""
        return self.paginator is BoundedPaginator

    def get_sortable_by(self, request: HttpRequest) -> Any:
        """What the page names; of a list that grows nothing else."""
        return () if self.grows and self.sortable_by is None else super().get_sortable_by(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.scope(request.user, super().get_queryset(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.can_add and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.can_change and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """A bulk action that is marked sensitive asks for a fresh code first."""
        chosen = self.get_actions(request).get(request.POST.get("action", ""))
        asked = stepup.asked_again(request) if chosen and stepup.action_wants_code(chosen[0]) else None
        return asked or super().response_action(request, queryset)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """No bulk actions: deleting is nobody's, and everything else is done on the object's page."""
        return {}

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs.setdefault("queryset", self._choices(db_field, request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs.setdefault("queryset", self._choices(db_field, request))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def _choices(self, db_field: Any, request: HttpRequest) -> QuerySet[Any]:
        """Rows of the related model that its own page would show; tenants get none where it has no page."""
        model = db_field.remote_field.model
        page = self.admin_site._registry.get(model)
        if page is not None:
            scoped: QuerySet[Any] = page.get_queryset(request)
            return scoped
        rows: QuerySet[Any] = model._default_manager.all()
        return rows if tenant_of(request.user) is None else rows.none()

    def fetch(self, request: HttpRequest, object_id: str, *, change: bool = False) -> Any:
        """The object of one of the page's own views. Raises Http404 outside the tenant, PermissionDenied."""
        obj = self.get_object(request, object_id)
        if obj is None:
            raise Http404
        allowed = self.has_change_permission if change else self.has_view_permission
        if not allowed(request, obj):
            raise PermissionDenied
        return obj

    def require(self, request: HttpRequest, permission: str) -> None:
        """Raises PermissionDenied unless the user's role has `app.codename`."""
        if not request.user.has_perm(permission):
            raise PermissionDenied

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        """The record's events; pages of our own show them themselves."""
        obj = self.fetch(request, object_id)
        if not self.can_change:
            return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[obj.pk]))
        history = history_rows(obj, center=tenant_of(request.user) is None)
        context = self.page_context(request, obj, title=gettext("History"), name=self.name_of(obj), history=history)
        return TemplateResponse(request, "admin/pc/history_page.html", context)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Remembered as it is now, for the event that tells what became of it."""
        found = super().get_object(request, object_id, from_field)
        trail.remember(found, many=request.method == "POST")
        return found

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Django asks for it once all of a form is saved, many-to-many fields and inlines too."""
        self.record_saved(request, form.instance, form, add=add)
        return super().construct_change_message(request, form, formsets, add)

    def record_saved(self, request: HttpRequest, obj: Model, form: Any, *, add: bool) -> None:
        """The event of a record that a form of this page added or changed; none where the page wrote one itself."""
        opened = trail.current()
        if opened is None or not opened.has_event_about(obj):
            word = "added" if add else "changed"
            detail = {"changed": sorted(form.changed_data)}
            record_event(obj, f"{obj._meta.model_name}.{word}", actor=actor_of(request.user), detail=detail)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Where a page saves without a form of its own (passwords), this is all that is told of it."""
        opened = trail.current()
        if opened is None or not opened.has_event_about(obj):
            record_event(obj, f"{obj._meta.model_name}.changed", actor=actor_of(request.user))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            trail.remember(obj)
            detail = {"name": str(obj)[:200], "was": trail.shown(obj)}
            record_event(obj, f"{obj._meta.model_name}.deleted", actor=actor_of(request.user), detail=detail)
        return super().log_deletions(request, queryset)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            trail.remember(obj, new=True)
        super().save_model(request, obj, form, change)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> Any:
        raise Http404

    def view_name(self, suffix: str) -> str:
        """Name of one of this model's views below `admin:`."""
        return f"{self.opts.app_label}_{self.opts.model_name}_{suffix}"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.as_read(request, obj, super().get_fieldsets(request, obj))

    def as_read(self, request: HttpRequest, obj: Any, sets: Any) -> Any:
        """The groups of fields, with `read_as` for people who may not change the record."""
        if obj is None or not self.read_as or self.has_change_permission(request, obj):
            return sets
        return [(title, {**rest, "fields": [self.read_as.get(name, name) for name in rest["fields"]]})
                for title, rest in sets]  # fmt: skip

    def name_of(self, obj: Any) -> str:
        """How the way to a record ends. Pages whose records are called by codes say them in words."""
        return str(obj)

    def _named(self, obj: Any) -> Any:
        name = self.name_of(obj) if obj is not None else ""
        return obj if obj is None or name == str(obj) else Named(obj, name)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        context["original"] = self._named(context.get("original"))
        return super().render_change_form(request, context, *args, **kwargs)

    def page_context(self, request: HttpRequest, obj: Model | None = None, **extra: Any) -> dict[str, Any]:
        """What a page of our own needs besides its content."""
        return {
            **self.admin_site.each_context(request), "opts": self.opts, "app_label": self.opts.app_label,
            "original": self._named(obj), "object": obj, "media": self.media, "is_popup": False, **extra,
        }  # fmt: skip


class ReadOnlyAdmin(TenantAdmin):
    """Records that only the center itself writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def registered(model: type[Model]) -> TenantAdmin | None:
    """The model's page, if it has one."""
    page = admin.site._registry.get(model)
    return page if isinstance(page, TenantAdmin) else None
