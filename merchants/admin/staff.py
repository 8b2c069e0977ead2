"""Staff. Who may confirm changes or move money is kept by superusers, since whoever adds such a person could
add the second person of an own change; operators keep the others."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_static.admin import StaticDevice
from django_otp.plugins.otp_totp.admin import TOTPDevice
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from merchants.models import Role, User
from paycenter.staff.display import chip
from paycenter.staff.security import forget_devices, has_device
from paycenter.staff.tenancy import TenantAdmin, actor_of
from paycenter.transitions import record_event

# Groups play no part; the devices' pages would show their keys.
for hidden in (Group, StaticDevice, TOTPDevice):
    if admin.site.is_registered(hidden):
        admin.site.unregister(hidden)


# Neither confirms anything nor moves money (a test compares this with what the roles may do).
KEPT_BY_OPERATORS = (Role.MERCHANT, Role.APP, Role.SERVICE, Role.AUDITOR)


class _TenantMatchesRole:
    """Merchant staff need a merchant, app staff an app, everybody else neither."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}  # type: ignore[misc]
        role = cleaned.get("role")
        for name, wanted in (("merchant", Role.MERCHANT), ("app", Role.APP)):
            if role == wanted and not cleaned.get(name):
                self.add_error(name, ValidationError(_("This role needs one.")))  # type: ignore[attr-defined]
            elif role and role != wanted:
                cleaned[name] = None
        return cleaned


class StaffCreationForm(_TenantMatchesRole, UserCreationForm):
    class Meta:
        model = User
        fields = ("username", "role", "merchant", "app")


class StaffChangeForm(_TenantMatchesRole, UserChangeForm):
    class Meta:
        model = User
        fields = "__all__"
        field_classes = {"username": forms.CharField}


@admin.register(User)
class StaffAdmin(UserAdmin, TenantAdmin):  # type: ignore[type-arg]
    form = StaffChangeForm
    add_form = StaffCreationForm
    change_password_form = AdminPasswordChangeForm
    can_add = can_change = True
    list_display = ["username", "role_label", "tenant", "factor_label", "is_active", "last_login"]
    list_filter = ["role", "is_active"]
    search_fields = ["username", "first_name", "last_name", "email"]
    readonly_fields = ["last_login", "date_joined"]
    filter_horizontal = ()
    fieldsets = [
        (None, {"fields": ["username", "password", "role", "merchant", "app"]}),
        (_("Person"), {"fields": ["last_name", "first_name", "email"]}),
        (_("Access"), {"fields": ["is_active", "is_staff", "is_superuser", "last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["username", "role", "merchant", "app", "password1", "password2"]})]
    change_form_outer_after_template = "admin/pc/staff_after.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("merchant", "app")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        kept = obj is None or (obj.role in KEPT_BY_OPERATORS and not obj.is_superuser)
        return bool(request.user.is_superuser or (kept and super().has_change_permission(request, obj)))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Superusers alone make superusers."""
        if obj is None or request.user.is_superuser:
            return super().get_fieldsets(request, obj)
        shown = ("is_active", "last_login", "date_joined")
        return [*self.fieldsets[:2], (_("Access"), {"fields": list(shown)})]

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "role" and not request.user.is_superuser:
            kwargs["choices"] = [(role.value, role.label) for role in KEPT_BY_OPERATORS]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    @display(description=_("role"), ordering="role")
    def role_label(self, obj: User) -> str:
        return chip(_("superuser"), "warn") if obj.is_superuser else obj.get_role_display()

    @display(description=_("belongs to"))
    def tenant(self, obj: User) -> str:
        return str(obj.merchant or obj.app or "–")

    @display(description=_("two-step verification"), boolean=True)
    def factor_label(self, obj: User) -> bool:
        return has_device(obj)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if not change:
            obj.is_staff = True
        super().save_model(request, obj, form, change)
        detail = {"changed": sorted(form.changed_data), "username": obj.username, "role": obj.role}
        word = "user.updated" if change else "user.created"
        record_event(obj, word, actor=actor_of(request.user), detail=detail)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.reset_factor_view)
        return [path("<path:object_id>/reset-factor/", view, name=self.view_name("reset_factor")), *super().get_urls()]

    def reset_factor_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Forget a person's second factor (lost phone). POST only, not for oneself."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        user = self.fetch(request, object_id, change=True)
        if user.pk == request.user.pk:
            raise PermissionDenied
        forget_devices(user)
        record_event(user, "user.second_factor_reset", actor=actor_of(request.user), detail={"username": user.username})
        messages.success(request, gettext("The second factor is reset; it is set up anew at the next sign-in."))
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[user.pk]))
