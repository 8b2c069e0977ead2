"""Forms about staff."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from merchants.models import App, Merchant, User
from merchants.people.reach import kept_roles, needs_second, tenant_values
from paycenter.staff.tenancy import TENANT_ROLES, tenant_of


class _PersonForm(forms.Form):
    """Role, merchant or app, name and e-mail, as far as `by` may give them."""

    role = forms.ChoiceField(label=_("Role"))
    merchant = forms.ModelChoiceField(
        label=_("Merchant"), queryset=Merchant.objects.none(), required=False,
        help_text=_("Only for staff of a merchant: whose figures and payments they see."),
    )  # fmt: skip
    app = forms.ModelChoiceField(
        label=_("App"), queryset=App.objects.none(), required=False,
        help_text=_("Only for staff of an app: whose payments they see."),
    )  # fmt: skip
    last_name = forms.CharField(label=_("Last name"), max_length=150, required=False)
    first_name = forms.CharField(label=_("First name"), max_length=150, required=False)
    email = forms.EmailField(label=_("E-mail"), required=False)
    reason = forms.CharField(
        label=_("Reason"), max_length=300, required=False,
        help_text=_("Needed for everybody but merchant clerks: a second person reads it and confirms."),
    )  # fmt: skip

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.by = by
        roles = [(role.value, role.label) for role in kept_roles(by)]
        self.fields["role"].choices = roles  # type: ignore[attr-defined]
        if tenant_of(by) is not None:
            del self.fields["merchant"], self.fields["app"]
        else:
            self.fields["merchant"].queryset = Merchant.objects.order_by("name")  # type: ignore[attr-defined]
            self.fields["app"].queryset = App.objects.order_by("name")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        wanted = TENANT_ROLES.get(cleaned.get("role") or "")
        if wanted in self.fields and not cleaned.get(wanted):
            self.add_error(wanted, ValidationError(_("This role needs one.")))
        return cleaned

    def tenant(self) -> dict[str, Any]:
        """Merchant and app that go with the role."""
        cleaned = self.cleaned_data
        return tenant_values(self.by, cleaned["role"], cleaned.get("merchant"), cleaned.get("app"))


class InviteForm(_PersonForm):
    """Somebody new."""

    username = forms.CharField(label=_("User name"), max_length=150, validators=[AbstractUser.username_validator])
    field_order = ("username", "role", "merchant", "app")

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exists():
            raise ValidationError(_("This user name is taken."))
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        role = cleaned.get("role")
        if role and needs_second(role) and not cleaned.get("reason"):
            self.add_error("reason", ValidationError(_("Please give a reason: a second person has to confirm this.")))
        return cleaned

    def person(self) -> dict[str, Any]:
        """The arguments of `staff_invite`."""
        plain = ("username", "role", "first_name", "last_name", "email", "reason")
        return {**{n: self.cleaned_data[n] for n in plain}, **self.tenant()}


class StaffForm(_PersonForm):
    """Somebody who is there already."""

    is_active = forms.BooleanField(label=_("May sign in"), required=False)
    is_superuser = forms.BooleanField(
        label=_("Superuser"), required=False, help_text=_("May everything, except confirm their own changes.")
    )
    field_order = ("last_name", "first_name", "email", "role", "merchant", "app", "is_active", "is_superuser")

    def __init__(self, *args: Any, person: User, by: User, **kwargs: Any) -> None:
        initial = {n: getattr(person, n) for n in ("role", "merchant", "app", "last_name", "first_name", "email",
                                                   "is_active", "is_superuser")}  # fmt: skip
        super().__init__(*args, by=by, initial=initial, **kwargs)
        if not by.is_superuser:
            del self.fields["is_superuser"]
        if not person.is_active and not person.has_usable_password():
            del self.fields["is_active"]  # an invited person comes in by the link

    def values(self) -> dict[str, Any]:
        """The arguments of `staff_update`."""
        cleaned, tenant = self.cleaned_data, self.tenant()
        plain = ("role", "first_name", "last_name", "email", "is_active", "is_superuser")
        keys = {f"{name}_id": value.pk if value else None for name, value in tenant.items()}
        return {**{n: cleaned[n] for n in plain if n in cleaned}, **keys}
