"""Retry schedules: seconds, typed as a list, checked before they are stored."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from paycenter.models import RetrySchedule
from paycenter.schedules import DEFAULTS
from paycenter.staff.tenancy import TenantAdmin, actor_of
from paycenter.staff.words import party
from paycenter.transitions import record_event

MAX_DELAYS = 50
MAX_DELAY = 30 * 24 * 3600  # seconds


_WORDS = {
    "query": _("asking about payments"), "refund_query": _("asking about refunds"), "refund_send": _("sending refunds"),
    "delivery": _("telling apps"), "bill": _("fetching bills"), "case": _("asking about differences"),
    "alert": _("sending alerts"),
}  # fmt: skip


def schedule_word(name: str) -> str:
    """What a schedule is of: `query:wechat` is of one channel only."""
    kind, _colon, channel = name.partition(":")
    word = str(_WORDS.get(kind, kind))
    return f"{word} · {party(f'channel:{channel}')}" if channel else word


class DelaysField(forms.CharField):
    """`5, 10, 30` ↔ [5, 10, 30]. Whole seconds from 1 to 30 days; only the first may be 0, "at once"."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[int]:
        parts = [p for p in re.split(r"[\s,，、;]+", super().clean(value) or "") if p]
        if not all(p.isascii() and p.isdigit() and len(p) < 9 for p in parts):
            raise ValidationError(_("Whole seconds, separated by commas."))
        delays = [int(p) for p in parts]
        if not delays or len(delays) > MAX_DELAYS:
            raise ValidationError(_("Between 1 and %(limit)d delays.") % {"limit": MAX_DELAYS})
        if any(d < (0 if index == 0 else 1) or d > MAX_DELAY for index, d in enumerate(delays)):
            raise ValidationError(_("Each delay is from 1 second to 30 days; only the first may be 0, at once."))
        return delays


class RetryScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    delays = DelaysField(
        label=_("delays (seconds)"), widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text=_("In this order, for example 5, 10, 30, 60."),
    )  # fmt: skip

    class Meta:
        model = RetrySchedule
        fields = ["name", "delays", "repeat_last"]
        help_texts = {
            "name": _("query, refund_query, refund_send, delivery, bill, case or alert; of one channel only, for"
                      " example query:wechat."),
            "repeat_last": _("Otherwise nothing is tried again after the last delay."),
        }  # fmt: skip

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip()
        if name.partition(":")[0] not in DEFAULTS or not re.fullmatch(r"[a-z_]+(:[a-z0-9_]{3,32})?", name):
            known = ", ".join(sorted(n for n in DEFAULTS if ":" not in n))
            text = _("Nothing uses this name. Known: %(known)s; for one channel, for example query:wechat.")
            raise ValidationError(text % {"known": known})
        return name


@admin.register(RetrySchedule)
class RetryScheduleAdmin(TenantAdmin):
    form = RetryScheduleForm
    read_as = {"delays": "delays_label"}
    can_add = can_change = True
    list_display = ["of_what", "name", "delays_label", "repeat_last", "updated_at"]

    empty_text = _("Without a schedule of your own the built-in delays count.")
    empty_next = _("Add one to wait longer or shorter.")

    def name_of(self, obj: RetrySchedule) -> str:
        return schedule_word(obj.name)

    @display(description=_("retries of"), ordering="name")
    def of_what(self, obj: RetrySchedule) -> str:
        return self.name_of(obj)

    @display(description=_("delays (seconds)"))
    def delays_label(self, obj: RetrySchedule) -> str:
        return ", ".join(map(str, obj.delays))

    def save_model(self, request: HttpRequest, obj: RetrySchedule, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        detail = {"name": obj.name, "delays": obj.delays, "repeat_last": obj.repeat_last}
        record_event(obj, "retryschedule.saved", actor=actor_of(request.user), detail=detail)
