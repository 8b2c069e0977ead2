"""Channel health (渠道健康): which accounts are shed just now, and the switch by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from paycenter.staff.display import chip
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import ReadOnlyAdmin, actor_of
from trades.models import ChannelHealth, ChannelSwitch
from trades.shedding import SHED, switch_set


class SwitchForm(forms.Form):
    """By hand, with a reason that is kept."""

    switch = forms.ChoiceField(
        label=_("switch"), choices=ChannelSwitch.choices,
        help_text=_("By itself, an account is shed while its channel does not answer, and used again once it does."),
    )  # fmt: skip
    reason = forms.CharField(label=_("Reason"), min_length=2, max_length=300)


class ShedFilter(admin.SimpleListFilter):
    title = _("in use")
    parameter_name = "shed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", _("shed or out of use"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(SHED) if self.value() == "1" else queryset


@admin.register(ChannelHealth)
class ChannelHealthAdmin(ReadOnlyAdmin):
    empty_text = _("An account appears here once its channel was asked for the first time.")
    list_display = ["account", "health_label", "switch", "failures", "opened_at", "next_probe_at", "error_label"]
    list_filter = ["switch", ShedFilter]
    ordering = ["-opened_at", "id"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("account__merchant").defer("account__config")

    @display(description=_("state"))
    def health_label(self, obj: ChannelHealth) -> str:
        if obj.switch == ChannelSwitch.ALWAYS_OFF:
            return chip(_("out of use"), "bad")
        shed = obj.opened_at is not None and obj.switch != ChannelSwitch.ALWAYS_ON
        return chip(_("shed"), "bad") if shed else chip(_("in use"), "good")

    @display(description=_("last error"))
    def error_label(self, obj: ChannelHealth) -> str:
        return reason_word(obj.last_error) or "–"

    def _facts(self, health: ChannelHealth) -> list[tuple[Any, Any]]:
        return [
            (_("state"), self.health_label(health)), (_("switch"), health.get_switch_display()),
            (_("unknown outcomes in a row"), str(health.failures)), (_("shed since"), _moment(health.opened_at)),
            (_("next probe"), _moment(health.next_probe_at)), (_("last error"), self.error_label(health)),
        ]  # fmt: skip

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        """The switch. What it was changed to takes effect in every process within seconds."""
        health = self.fetch(request, object_id)
        if request.method == "POST":
            self.require(request, "trades.change_channelhealth")
        form = SwitchForm(request.POST or None, initial={"switch": health.switch})
        if request.method == "POST" and form.is_valid():
            switch_set(account=health.account, actor=actor_of(request.user), **form.cleaned_data)
            messages.success(request, gettext("Saved."))
            return HttpResponseRedirect(reverse(f"admin:{self.view_name('changelist')}"))
        may = request.user.has_perm("trades.change_channelhealth")
        context = self.page_context(
            request, health, title=str(health.account), forms=[form] if may else [], cancel="../../",
            submit=gettext("Save") if may else "", facts=self._facts(health),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/form.html", context)


def _moment(at: datetime | None) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}" if at else "–"
