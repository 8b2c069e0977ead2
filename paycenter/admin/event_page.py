"""The page of one event: before and after side by side, and its place in the chain."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from paycenter.models import Event
from paycenter.staff.audit_words import changes_of, model_of, record_name, rest_of, trail_of
from paycenter.staff.event_details import data_of, details_of
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import TenantAdmin
from paycenter.staff.words import event_word, party


def event_page(page: TenantAdmin, request: HttpRequest, event: Event) -> TemplateResponse:
    """What happened, to what, by whom and from where."""
    previous = Event.objects.filter(seq=event.seq - 1).values_list("hash", flat=True).first() if event.seq else None
    context = page.page_context(
        request, event, title=event_word(event.type), event=event, record=record_name(event),
        actor=party(event.actor), trail=trail_of(event), changes=changes_of(event), rest=rest_of(event),
        details=details_of(event), data=data_of(event), data_text=_json(event.data),
        reason=reason_word(event.reason), previous=previous or "", record_url=_record_url(page, request, event),
    )  # fmt: skip
    return TemplateResponse(request, "admin/pc/event.html", context)


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1) if data else ""


def _record_url(page: TenantAdmin, request: HttpRequest, event: Event) -> str:
    """The page of the record it is about; empty where this person may not see it."""
    model = model_of(event.object_type)
    found = page.admin_site._registry.get(model) if model is not None else None
    if model is None or event.object_id is None or found is None or not found.has_view_permission(request):
        return ""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[event.object_id])
