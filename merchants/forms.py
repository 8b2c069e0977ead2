"""Forms of the onboarding pages. The account form is drawn from the provider's declared fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from channels.base.discovery import methods, methods_of
from channels.base.fields import Field, FieldKind, Label
from channels.base.guides import GuideStep, steps_with_rest
from channels.base.keys import KeyProblem, parse_public_key
from channels.base.provider import Provider
from merchants.models import Merchant
from merchants.onboarding import keeps_when_blank
from paycenter.egress import EgressPolicy
from paycenter.errors import ChannelConfigInvalid, EgressRefused
from paycenter.middleware import parse_network
from paycenter.staff.reasons import reason_word

PREFIX = "config-"
FILE_PREFIX = "file-"
MAX_FILE_BYTES = 64 * 1024
_KEYS = (FieldKind.PRIVATE_KEY, FieldKind.PUBLIC_KEY, FieldKind.CERTIFICATE, FieldKind.CERTIFICATE_CHAIN)


def say(label: Any) -> str:
    """A provider's label in the reader's language."""
    return label.text(get_language()) if isinstance(label, Label) else str(label)


def method_label(code: str | None) -> str:
    """A pay method's name in the reader's language. Where a channel's methods share one name, which is all a
    payer needs, staff are told the scene, too; a dash for none, the code where no file defines it any more."""
    found = methods().get(code or "")
    if found is None:
        return code or "–"
    name = say(found.name)
    shared = sum(say(other.name) == name for other in methods().values()) > 1
    return f"{name} · {found.code.partition('_')[2].upper()}" if shared else name


@dataclass(frozen=True)
class Row:
    """One parameter on the page: its field, the file box beside it, and when it is shown."""

    declared: Field
    box: forms.BoundField
    file: forms.BoundField | None
    when: str
    kept: bool
    errors: list[str]


class AccountForm(forms.Form):
    """Name, methods and the channel's parameters. `stored` are the present parameters of an account.

    Keys and certificates can be pasted or uploaded; what is stored and left blank stays as it is.
    """

    name = forms.CharField(label=_("Name"), max_length=64, help_text=_("For staff: which contract this is."))
    methods = forms.MultipleChoiceField(
        label=_("Pay methods"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("What the contract with the channel covers."),
    )  # fmt: skip

    def __init__(
        self, *args: Any, provider: type[Provider], stored: Mapping[str, Any] | None = None,
        with_methods: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        self.provider, self.stored = provider, dict(stored or {})
        if with_methods:
            choices = [(m.code, method_label(m.code)) for m in methods_of(provider.code)]
            self.fields["methods"].choices = choices  # type: ignore[attr-defined]
            self.fields["methods"].initial = [code for code, _name in choices]
        else:
            del self.fields["methods"]
        for declared in provider.fields:
            self.fields[PREFIX + declared.name] = _form_field(declared, self.stored)
            if declared.kind in _KEYS:
                self.fields[FILE_PREFIX + declared.name] = forms.FileField(required=False, label=say(declared.label))

    def raw_config(self) -> dict[str, Any]:
        """What was filled in, by parameter name; an uploaded file wins over pasted text."""
        raw: dict[str, Any] = {}
        for declared in self.provider.fields:
            upload = self.cleaned_data.get(FILE_PREFIX + declared.name)
            raw[declared.name] = upload.read() if upload else self.cleaned_data.get(PREFIX + declared.name)
        return raw

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for declared in self.provider.fields:
            upload = cleaned.get(FILE_PREFIX + declared.name)
            if upload and upload.size > MAX_FILE_BYTES:
                self.add_error(PREFIX + declared.name, _("The file is too large to be a key or a certificate."))
        return cleaned

    def add_problems(self, exc: ChannelConfigInvalid) -> None:
        """Show the service's problems at the boxes they are about."""
        for name, reasons in exc.problems.items():
            box = next((n for n in (PREFIX + name, name) if n in self.fields), None)
            for reason in reasons:
                self.add_error(box, say(reason) if box else f"{name}: {say(reason)}")

    def groups(self) -> list[tuple[Any, list[Row], bool]]:
        """(title, rows, folded) in the order a merchant fills them in."""
        identity = [f for f in self.provider.fields if f.identity]
        technical = [f for f in self.provider.fields if f.kind in (FieldKind.URL, FieldKind.INTEGER) and not f.identity]
        rest = [f for f in self.provider.fields if f not in identity and f not in technical]
        groups = ((_("Identity at the channel"), identity, False), (_("Keys and certificates"), rest, False),
                  (_("Addresses and time limits"), technical, True))  # fmt: skip
        return [
            (title, rows, folded and not any(r.errors for r in rows))
            for title, fields, folded in groups
            if (rows := [self._row(f) for f in fields])
        ]

    def guided(self, problems: Mapping[str, list[str]]) -> list[tuple[GuideStep | None, list[Row]]]:
        """The rows by the steps of the provider's guide, what no step names last; `problems` by parameter."""
        return [
            (step, [self._row(f, problems.get(f.name, ())) for f in fields])
            for step, fields in steps_with_rest(self.provider.guide, self.provider.fields)
        ]

    def _row(self, declared: Field, problems: Sequence[str] = ()) -> Row:
        name = declared.name
        file = self[FILE_PREFIX + name] if FILE_PREFIX + name in self.fields else None
        errors = [*self[PREFIX + name].errors, *(file.errors if file else []), *problems]
        when = json.dumps({k: list(v) for k, v in (declared.when or {}).items()})
        kept = keeps_when_blank(declared.kind) and name in self.stored
        return Row(declared, self[PREFIX + name], file, when if declared.when else "", kept, errors)


def _form_field(declared: Field, stored: Mapping[str, Any]) -> forms.Field:
    """A box for one parameter. Nothing is required here: the service names every problem at once."""
    initial = None if keeps_when_blank(declared.kind) else stored.get(declared.name, declared.default)
    shared: dict[str, Any] = {
        "label": say(declared.label), "required": False, "initial": initial, "help_text": say(declared.help),
    }  # fmt: skip
    quiet = {"autocomplete": "off", "spellcheck": "false"}
    if declared.kind in _KEYS:
        attrs = {**quiet, "class": "key", "rows": 5, "placeholder": "-----BEGIN …"}
        return forms.CharField(widget=forms.Textarea(attrs), **shared)
    if declared.kind is FieldKind.SECRET:
        return forms.CharField(widget=forms.PasswordInput({"autocomplete": "new-password"}), **shared)
    if declared.kind is FieldKind.CHOICE:
        return forms.ChoiceField(choices=[(code, say(label)) for code, label in declared.choices], **shared)
    if declared.kind is FieldKind.BOOLEAN:
        return forms.BooleanField(**shared)
    # Numbers and addresses stay text: the declared checks answer in the provider's own words.
    return forms.CharField(widget=forms.TextInput(quiet), **shared)


def _address(value: str) -> str:
    """An http(s) address that is not a private one as it stands; names are checked again when called."""
    value = value.strip()
    if value:
        try:
            EgressPolicy(tuple(settings.EGRESS_ALLOWED)).check_url(value)
        except EgressRefused as exc:
            raise ValidationError(_("This address cannot be called: %(why)s") % {"why": reason_word(str(exc))}) from exc
    return value


_RSA_HELP = _("Only for signing with RSA2: PEM or bare base64, 2048 bits or more.")


class AddressesForm(forms.Form):
    """Where an app is told and where its requests may come from."""

    notify_url = forms.CharField(
        label=_("Default notification address"), max_length=512, required=False,
        help_text=_("What happens to an order is told there, unless the order names another address."),
    )  # fmt: skip
    return_url = forms.CharField(
        label=_("Default return address"), max_length=512, required=False,
        help_text=_("Where the payer's browser goes after paying, unless the order names another address."),
    )  # fmt: skip
    allowed_ips = forms.CharField(
        label=_("Allowed source addresses"), required=False, widget=forms.Textarea({"rows": 4}),
        help_text=_("Networks such as 203.0.113.0/24, one per line. Empty: any address."),
    )  # fmt: skip

    def clean_notify_url(self) -> str:
        return _address(self.cleaned_data["notify_url"])

    def clean_return_url(self) -> str:
        return _address(self.cleaned_data["return_url"])

    def clean_allowed_ips(self) -> list[str]:
        lines = [line.strip() for line in self.cleaned_data["allowed_ips"].splitlines() if line.strip()]
        wrong = [line for line in lines if parse_network(line) is None]
        if wrong:
            raise ValidationError(_("Not a network: %(lines)s") % {"lines": ", ".join(wrong)})
        return list(dict.fromkeys(str(parse_network(line)) for line in lines))


class AppForm(AddressesForm):
    """A new app."""

    name = forms.CharField(label=_("Name"), max_length=64)
    merchants = forms.ModelMultipleChoiceField(
        label=_("May collect for"), queryset=Merchant.objects.none(), required=False,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    requests_per_second = forms.IntegerField(
        label=_("Requests per second"), min_value=1, max_value=100_000, initial=500
    )
    rsa_public_key = forms.CharField(
        label=_("RSA public key of the app"), required=False, widget=forms.Textarea({"class": "key", "rows": 5}),
        help_text=_RSA_HELP,
    )  # fmt: skip
    field_order = ("name", "merchants", "notify_url", "return_url", "allowed_ips", "requests_per_second")

    def __init__(self, *args: Any, merchants: QuerySet[Merchant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["merchants"].queryset = merchants  # type: ignore[attr-defined]

    def clean_rsa_public_key(self) -> str:
        return clean_public_key(self.cleaned_data["rsa_public_key"])


def clean_public_key(text: str) -> str:
    """The pasted text, once it is known to be a usable RSA public key; empty stays empty."""
    try:
        if text.strip():
            parse_public_key(text)
    except KeyProblem as exc:
        raise ValidationError(say(exc.label)) from exc
    return text.strip()


class RsaKeyForm(forms.Form):
    """Another RSA public key of an app."""

    public_key = forms.CharField(
        label=_("RSA public key of the app"), widget=forms.Textarea({"class": "key", "rows": 6}), max_length=8192,
        help_text=_RSA_HELP,
    )  # fmt: skip

    def clean_public_key(self) -> str:
        return clean_public_key(self.cleaned_data["public_key"])


class NameForm(forms.Form):
    """Another name of an account."""

    name = forms.CharField(label=_("Name"), max_length=64, help_text=_("For staff: which contract this is."))


class ReasonForm(forms.Form):
    """Why. Kept with the event."""

    reason = forms.CharField(label=_("Reason"), max_length=300, min_length=2, strip=True)


def field_errors(form: forms.Form) -> Iterable[str]:
    """Every error of a small form, for a message."""
    return (str(error) for errors in form.errors.values() for error in errors)
