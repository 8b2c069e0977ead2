"""Where alerts go: group robots and mailboxes, with a test message."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import translation
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from channels.base.config import MASK
from notifications.models import AlertRoute
from notifications.receivers.base import Message, RobotRefused
from notifications.routes import Held, post
from paycenter.errors import ConfigError, EgressRefused, NotSent, UnknownOutcome
from paycenter.masking import mask_text
from paycenter.outbound import client
from paycenter.staff.display import chip
from paycenter.staff.reasons import reason_word
from paycenter.staff.tenancy import TenantAdmin, actor_of
from paycenter.transitions import record_event

MOST_ADDRESSES = 20


class AlertRouteForm(forms.ModelForm):  # type: ignore[type-arg]
    """Address and secret are credentials: stored encrypted, never shown again; blank keeps them."""

    url = forms.CharField(
        label=_("webhook address"), required=False, max_length=1024,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "off"}),
        help_text=_("Of a robot, as its group shows it. Stored ones are kept when left empty."),
    )  # fmt: skip
    secret = forms.CharField(
        label=_("signing secret"), required=False, max_length=256,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "new-password"}),
        help_text=_("Of DingTalk (begins with SEC) and Feishu robots. Stored ones are kept when left empty."),
    )  # fmt: skip
    addresses = forms.CharField(
        label=_("mail addresses"), required=False, max_length=2000, widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text=_("For e-mail only: one a line."),
    )  # fmt: skip
    language = forms.ChoiceField(label=_("language"), required=False, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = AlertRoute
        fields = ["name", "kind", "url", "secret", "addresses", "language", "is_active"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored = (self.instance.url, self.instance.secret)
        self.initial["url"] = self.initial["secret"] = ""
        language: Any = self.fields["language"]
        language.choices = [("", _("the installation's")), *settings.LANGUAGES]
        for field in self.fields.values():
            field.label = capfirst(str(field.label))

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip() or self._stored[0]
        if url:
            try:
                client().policy.check_url(url)
            except EgressRefused as exc:
                why = {"why": reason_word(str(exc))}
                raise ValidationError(_("This address cannot be called: %(why)s") % why) from exc
        return url

    def clean_secret(self) -> str:
        return self.cleaned_data["secret"].strip() or self._stored[1]

    def clean_addresses(self) -> str:
        found = self.cleaned_data["addresses"].replace(",", " ").replace(";", " ").split()
        if len(found) > MOST_ADDRESSES:
            raise ValidationError(_("At most %(limit)d addresses.") % {"limit": MOST_ADDRESSES})
        for address in found:
            validate_email(address)
        return "\n".join(found)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        needed = "addresses" if cleaned.get("kind") == AlertRoute.Kind.EMAIL else "url"
        if not cleaned.get(needed) and needed not in self.errors:
            self.add_error(needed, ValidationError(_("Where should alerts go?")))
        return cleaned


@admin.register(AlertRoute)
class AlertRouteAdmin(TenantAdmin):
    form = AlertRouteForm
    read_as = {"url": "url_kept", "secret": "secret_kept", "addresses": "addresses_kept", "language": "language_label"}
    can_add = can_change = True
    empty_text = _("Nobody is told of alerts yet.")
    empty_next = _("Add a group robot or a mailbox, then send a test message.")
    list_display = ["name", "kind", "language_label", "is_active", "answer_label"]
    change_form_outer_after_template = "admin/pc/alert_receiver_after.html"

    @display(description=_("webhook address"))
    def url_kept(self, obj: AlertRoute) -> str:
        return _kept(obj.url)

    @display(description=_("signing secret"))
    def secret_kept(self, obj: AlertRoute) -> str:
        return _kept(obj.secret)

    @display(description=_("mail addresses"))
    def addresses_kept(self, obj: AlertRoute) -> str:
        return _kept(obj.addresses)

    @display(description=_("language"))
    def language_label(self, obj: AlertRoute) -> str:
        return dict(settings.LANGUAGES).get(obj.language) or gettext("the installation's")

    @display(description=_("last answer"))
    def answer_label(self, obj: AlertRoute) -> str:
        if obj.answered_at is None:
            return "–"
        return chip(reason_word(obj.answer), "good" if _is_good(obj.answer) else "bad")

    def save_model(self, request: HttpRequest, obj: AlertRoute, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        detail = {"name": obj.name, "active": obj.is_active, "changed": sorted(form.changed_data)}
        record_event(obj, "alertroute.saved", actor=actor_of(request.user), detail=detail)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.test_view)
        return [path("<path:object_id>/test/", view, name=self.view_name("test")), *super().get_urls()]

    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send a test message and show the receiver's own answer. POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        route = self.fetch(request, object_id, change=True)
        good, answer = send_test(route)
        record_event(route, "alertroute.tested", actor=actor_of(request.user), detail={"answer": answer})
        say = messages.success if good else messages.error
        say(request, gettext("The receiver's answer: %(answer)s") % {"answer": reason_word(answer)})
        return HttpResponseRedirect(reverse(f"admin:{self.view_name('change')}", args=[route.pk]))


def _kept(value: str) -> str:
    """That there is one, for people who may not change it."""
    return MASK if value else "–"


def send_test(route: AlertRoute) -> tuple[bool, str]:
    """Whether a test message was taken, and the answer in the receiver's words, masked."""
    with translation.override(route.language or settings.LANGUAGE_CODE):
        message = Message(
            gettext("Test message"),
            f"#### {gettext('Test message')}\n\n"
            + gettext("Alerts of the payment center arrive here. There is nothing to do."),
        )
    try:
        return True, post(route, message)
    except (Held, NotSent, UnknownOutcome, RobotRefused, ConfigError) as exc:
        return False, mask_text(str(exc), limit=300)


def _is_good(answer: str) -> bool:
    return answer.startswith("0:") or answer.endswith("SMTP 250")
