"""State buttons and history, shared by merchants and payment accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import FieldDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_fsm import can_proceed

from channels.base.discovery import providers
from merchants.forms import ReasonForm, field_errors, method_label, say
from merchants.states import ChangeState, MerchantState
from paycenter.errors import TransitionRefused
from paycenter.models import Event
from paycenter.staff.acts import written_reason
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import TenantAdmin, tenant_of
from paycenter.staff.words import actor_word, event_word, names_states

names_states([*ChangeState.choices, *MerchantState.choices])


@dataclass(frozen=True, slots=True)
class StateButton:
    """A transition as people see it. `needs_reason` opens a dialog that asks why."""

    transition: str
    label: Any
    explanation: Any
    tone: str = ""
    needs_reason: bool = False


BUTTONS = (
    StateButton("submit", _("Submit for review"), _("Everything is filled in; an operator may look at it."), "primary"),
    StateButton("activate", _("Activate"), _("Payments can be taken from now on."), "primary"),
    StateButton("send_back", _("Send back"), _("Back to draft, because something has to be mended."), "", True),
    StateButton("resume", _("Resume"), _("Payments can be taken again."), "primary", True),
    StateButton(
        "suspend", _("Suspend"),
        _("No new payments. Queries, refunds, notifications and bills go on."), "danger", True,
    ),
    StateButton("close", _("Close for good"), _("This cannot be undone."), "danger", True),
)  # fmt: skip


def steps_of(record: Any) -> list[tuple[str, str]]:
    """(label, css class) of the states on the way, the present one marked."""
    path_ = [MerchantState.DRAFT, MerchantState.REVIEW, MerchantState.ACTIVE]
    if record.state in (MerchantState.SUSPENDED, MerchantState.CLOSED):
        path_.append(MerchantState(record.state))
    here = path_.index(MerchantState(record.state))
    return [
        (str(state.label), "now" if index == here else "done" if index < here else "")
        for index, state in enumerate(path_)
    ]


def history_of(record: Any, *, with_staff: bool, limit: int = 30) -> list[dict[str, Any]]:
    """The record's own events, newest first; tenants are not told which of our staff it was."""
    rows = Event.objects.of(record).order_by("-id")[:limit]
    return [
        {"word": event_word(e.type), "at": e.created_at, "actor": actor_word(e.actor, with_staff=with_staff),
         "reason": reason_word(e.reason),
         "detail": _detail(e, record)}
        for e in rows
    ]  # fmt: skip


def _detail(event: Event, record: Any) -> str:
    """What was changed, by the names the forms use."""
    changed = [_label(record, name) for name in event.detail.get("changed") or []]
    names = changed or [method_label(code) for code in event.detail.get("methods") or []]
    return gettext(", ").join(names) or str(event.detail.get("message", ""))


def _label(record: Any, name: str) -> str:
    """A parameter's or a column's name; the code where neither the record, the provider
    nor the model knows it."""
    if (known := getattr(record, "field_label", None)) is not None:
        return str(known(name))
    provider = providers().get(getattr(record, "channel", ""))
    for field in provider.fields if provider else ():
        if field.name == name:
            return say(field.label)
    try:
        return str(record._meta.get_field(name).verbose_name)
    except FieldDoesNotExist:
        return name


class StateButtonsAdmin(TenantAdmin):
    """A page whose record goes draft → review → active → suspended → closed."""

    asks: Mapping[str, Any] = {}  # steps that a second person confirms, with what is said about them

    def guarded(self, record: Any, transition: str) -> bool:
        """Whether the step is taken elsewhere, so that no button for it stands here."""
        return False

    def advance_record(self, request: HttpRequest, record: Any, transition: str, reason: str) -> None:
        """Run the transition, or ask for one of `asks`. Raises TransitionRefused."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.advance_view)
        own = path("<path:object_id>/advance/<slug:transition>/", view, name=self.view_name("advance"))
        return [own, *super().get_urls()]

    def state_context(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        may = self.has_change_permission(request, record)
        buttons = [
            (replace(b, explanation=self.asks.get(b.transition, b.explanation)),
             reverse(f"admin:{self.view_name('advance')}", args=[record.pk, b.transition]))
            for b in BUTTONS
            if may and can_proceed(getattr(record, b.transition)) and not self.guarded(record, b.transition)
        ]  # fmt: skip
        history = history_of(record, with_staff=tenant_of(request.user) is None)
        return {"state_buttons": buttons, "steps": steps_of(record), "history": history}

    def advance_view(self, request: HttpRequest, object_id: str, transition: str) -> HttpResponse:
        """Run a transition. POST only; a reason is demanded on the server, too."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        record = self.fetch(request, object_id, change=True)
        button = next((b for b in BUTTONS if b.transition == transition), None)
        if button is None:
            raise Http404
        form = ReasonForm(request.POST)
        if button.needs_reason and not form.is_valid():
            messages.error(request, gettext("Please give a reason.") + " " + " ".join(field_errors(form)))
        else:
            reason = written_reason(request)
            self._run(request, record, transition, reason)
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[record.pk]))

    def _run(self, request: HttpRequest, record: Any, transition: str, reason: str) -> None:
        try:
            self.advance_record(request, record, transition, reason)
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        else:
            asked = gettext("Asked for. It takes effect once somebody else confirms it.")
            messages.success(request, asked if transition in self.asks else gettext("Done."))
