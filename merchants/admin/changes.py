"""Changes waiting for a second person: side by side, confirmed or rejected by somebody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from channels.base.discovery import providers
from merchants.changes import change_confirm, change_reject, change_withdraw
from merchants.forms import say
from merchants.models import ChangeRequest
from merchants.states import ChangeState
from paycenter.errors import ChannelConfigInvalid, TransitionRefused
from paycenter.staff.acts import written_reason
from paycenter.staff.display import state_chip
from paycenter.staff.landing import Card, contributes
from paycenter.staff.tenancy import ReadOnlyAdmin

_DECISIONS = {"confirm": change_confirm, "reject": change_reject, "withdraw": change_withdraw}
_FIELD_WORDS = {
    "notify_url": _("Default notification address"), "return_url": _("Default return address"),
    "allowed_ips": _("Allowed source addresses"), "secret": _("Secret"), "public_key": _("RSA public key of the app"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChangeWords:
    """How a kind of change is shown whose record this part of the center does not know (a refund policy).

    `rows` gives (field, before, after) in the reader's language, `about` says which record, `link` leads to it.
    """

    rows: Callable[[ChangeRequest], list[tuple[str, str, str]]]
    about: Callable[[ChangeRequest], str]
    link: Callable[[ChangeRequest], str]


_words: dict[str, ChangeWords] = {}


def words_of_change(kind: str, words: ChangeWords) -> None:
    """Register how changes of this kind are shown."""
    _words[ChangeRequest.Kind(kind)] = words


@admin.register(ChangeRequest)
class ChangeRequestAdmin(ReadOnlyAdmin):
    list_display = ["what", "target", "state_label", "requested_by", "requested_at", "decided_by", "decided_at"]
    list_filter = ["state", "kind"]

    def get_queryset(self, request: HttpRequest) -> Any:
        related = ("account__merchant", "app", "requested_by", "decided_by")
        return super().get_queryset(request).select_related(*related).defer("payload")

    @display(description=_("change"))
    def what(self, obj: ChangeRequest) -> str:
        return obj.get_kind_display()

    @display(description=_("concerns"))
    def target(self, obj: ChangeRequest) -> str:
        return " · ".join(filter(None, (str(obj.account or obj.app), obj.scope)))

    @display(description=_("state"))
    def state_label(self, obj: ChangeRequest) -> str:
        return state_chip(obj)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        own = path("<path:object_id>/decide/<slug:decision>/", view, name=self.view_name("decide"))
        return [own, *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        change = self.fetch(request, object_id)
        mine = change.requested_by_id == request.user.pk
        pending = change.state == ChangeState.PENDING
        words = _words.get(change.kind)
        context = self.page_context(
            request, change, title=change.get_kind_display(), change_request=change,
            rows=words.rows(change) if words else _rows(change),
            about=words.about(change) if words else str(change.account or change.app),
            about_url=words.link(change) if words else "",
            state_chip=state_chip(change), mine=mine, may_withdraw=pending and mine,
            may_decide=pending and not mine and request.user.has_perm("merchants.confirm_changerequest"),
        )  # fmt: skip
        return TemplateResponse(request, "admin/pc/change_request.html", context)

    def decide_view(self, request: HttpRequest, object_id: str, decision: str) -> HttpResponse:
        """Confirm, reject or withdraw. POST only; the service checks who."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        change = self.fetch(request, object_id)
        if decision not in _DECISIONS:
            raise Http404
        comment = written_reason(request)
        if decision == "reject" and not comment:
            messages.error(request, gettext("Please give a reason."))
        else:
            self._run(request, change, decision, comment)
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[change.pk]))

    def _run(self, request: HttpRequest, change: ChangeRequest, decision: str, comment: str) -> None:
        try:
            _DECISIONS[decision](change=change, user=request.user, comment=comment)  # type: ignore[arg-type]
        except TransitionRefused as exc:
            messages.error(request, str(exc))
        except ChannelConfigInvalid as exc:
            messages.error(request, "; ".join(say(r) for reasons in exc.problems.values() for r in reasons))
        else:
            messages.success(request, gettext("Done."))


def _rows(change: ChangeRequest) -> list[tuple[str, str, str]]:
    """(field, before, after) in the reader's language."""
    words: dict[str, str] = {name: str(word) for name, word in _FIELD_WORDS.items()}
    provider = providers().get(change.account.channel) if change.account else None
    if provider is not None:
        words |= {f.name: say(f.label) for f in provider.fields}
    return [(words.get(n, n), _text(change.before.get(n)), _text(change.after.get(n))) for n in change.after]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return "" if value is None else str(value)


@contributes
def waiting_changes(request: HttpRequest) -> list[Card]:
    """How many changes wait for somebody who may confirm them."""
    if not request.user.has_perm("merchants.view_changerequest"):
        return []
    count = ChangeRequest.objects.filter(state=ChangeState.PENDING).count()
    link = reverse("admin:merchants_changerequest_changelist") + "?state__exact=pending"
    return [Card(gettext("Changes to confirm"), str(count), link, tone="warn" if count else "calm", icon="rule")]
