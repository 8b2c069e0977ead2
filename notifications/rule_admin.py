"""What an operator sets about alerts: the rules of each kind, and how late work may be."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from notifications.backlogs import WORK, work_label
from notifications.kinds import KINDS, kind_label
from notifications.models import AlertRule, AlertSeverity, BacklogLimit
from notifications.quiet import zone_of
from paycenter.staff.display import TONES, chip
from paycenter.staff.tenancy import TenantAdmin, actor_of
from paycenter.transitions import record_event

LONGEST_MINUTES = 7 * 24 * 60
MOST_PER_HOUR = 600
LONGEST_SECONDS = 7 * 24 * 3600


class _SavedWithEvent(TenantAdmin):
    can_add = can_change = True
    name_field = ""

    def record_saved(self, request: HttpRequest, obj: Any, form: Any, *, add: bool) -> None:
        detail = {self.name_field: str(obj), "changed": sorted(form.changed_data)}
        record_event(obj, f"{obj._meta.model_name}.saved", actor=actor_of(request.user), detail=detail)


class AlertRuleForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = AlertRule
        fields = [
            "kind", "is_active", "severity", "receivers", "repeat_minutes", "per_hour", "quiet_from", "quiet_until",
            "quiet_zone", "critical_passes",
        ]  # fmt: skip
        widgets = {"receivers": UnfoldAdminCheckboxSelectMultipleWidget}
        help_texts = {
            "severity": _("As reported unless you choose one."),
            "receivers": _("All active ones unless you choose some."),
            "repeat_minutes": _("A trouble that goes on is only counted for so long, then told once more."),
            "per_hour": _("What comes above it is told together in the first message after."),
            "quiet_zone": _("For example Asia/Shanghai."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        severity: Any = self.fields.get("severity")
        if severity is not None:  # who may only look has no fields
            severity.choices = [("", _("as reported")), *AlertSeverity.choices]
        if "kind" in self.fields:
            taken = set(AlertRule.objects.values_list("kind", flat=True))
            choices = [(kind, kind_label(kind)) for kind in KINDS if kind not in taken]
            self.fields["kind"] = forms.ChoiceField(
                label=_("kind"), choices=choices, widget=UnfoldAdminSelectWidget
            )

    def clean_repeat_minutes(self) -> int:
        return _within(self.cleaned_data["repeat_minutes"], 1, LONGEST_MINUTES)

    def clean_per_hour(self) -> int:
        return _within(self.cleaned_data["per_hour"], 1, MOST_PER_HOUR)

    def clean_quiet_zone(self) -> str:
        name: str = self.cleaned_data["quiet_zone"].strip()
        if zone_of(name) is None:
            raise ValidationError(_("There is no such time zone."))
        return name

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if (cleaned.get("quiet_from") is None) != (cleaned.get("quiet_until") is None):
            self.add_error("quiet_until", ValidationError(_("Quiet hours need both times, or none.")))
        return cleaned


def _within(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValidationError(_("Between %(least)d and %(most)d.") % {"least": least, "most": most})
    return value


@admin.register(AlertRule)
class AlertRuleAdmin(_SavedWithEvent):
    form = AlertRuleForm
    name_field = "kind"
    read_as = {"severity": "severity_label", "receivers": "receiver_names"}
    list_display = ["kind_name", "is_active", "severity_label", "receiver_names", "repeat_minutes", "per_hour", "quiet"]
    ordering = ["id"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("receivers")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.as_read(request, obj, [
            (None, {"fields": [self._first(obj), "is_active", "severity", "receivers"]}),
            (_("How often"), {"fields": ["repeat_minutes", "per_hour"]}),
            (_("Quiet hours"), {"fields": ["quiet_from", "quiet_until", "quiet_zone", "critical_passes"]}),
        ])  # fmt: skip

    def _first(self, obj: Any) -> str:
        return "kind" if obj is None else "kind_name"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["kind_name"] if obj is not None else []

    def name_of(self, obj: AlertRule) -> str:
        return kind_label(obj.kind)

    @display(description=_("kind"))
    def kind_name(self, obj: AlertRule) -> str:
        return self.name_of(obj)

    @display(description=_("severity"))
    def severity_label(self, obj: AlertRule) -> str:
        if not obj.severity:
            return str(_("as reported"))
        return chip(AlertSeverity(obj.severity).label, TONES[obj.severity])

    @display(description=_("receivers"))
    def receiver_names(self, obj: AlertRule) -> str:
        return ", ".join(route.name for route in obj.receivers.all()) or str(_("all active ones"))

    @display(description=_("quiet hours"))
    def quiet(self, obj: AlertRule) -> str:
        if obj.quiet_from is None or obj.quiet_until is None:
            return "–"
        return f"{obj.quiet_from:%H:%M}–{obj.quiet_until:%H:%M} {obj.quiet_zone}"


class BacklogLimitForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = BacklogLimit
        fields = ["name", "seconds", "is_active"]
        widgets = {"seconds": UnfoldAdminTextInputWidget}
        help_texts = {"seconds": _("An alert is raised once the oldest work of this kind waits longer than this.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "name" in self.fields:
            taken = set(BacklogLimit.objects.values_list("name", flat=True))
            choices = [(name, work_label(name)) for name in WORK if name not in taken]
            self.fields["name"] = forms.ChoiceField(
                label=_("work"), choices=choices, widget=UnfoldAdminSelectWidget
            )

    def clean_seconds(self) -> int:
        return _within(self.cleaned_data["seconds"], 5, LONGEST_SECONDS)


@admin.register(BacklogLimit)
class BacklogLimitAdmin(_SavedWithEvent):
    form = BacklogLimitForm
    name_field = "name"
    list_display = ["work_name", "seconds", "is_active", "updated_at"]
    ordering = ["id"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [(None, {"fields": ["name" if obj is None else "work_name", "seconds", "is_active"]})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["work_name"] if obj is not None else []

    def name_of(self, obj: BacklogLimit) -> str:
        return work_label(obj.name)

    @display(description=_("work"))
    def work_name(self, obj: BacklogLimit) -> str:
        return self.name_of(obj)
