"""The form with which an operator opens a company and its first owner."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from merchants.models import User


class OpenForm(forms.Form):
    """The company's name, and who fills in the application."""

    name = forms.CharField(label=_("Company name"), max_length=128)
    username = forms.CharField(
        label=_("Owner's sign-in name"), max_length=150, validators=[User.username_validator]
    )
    last_name = forms.CharField(label=_("Owner's name"), max_length=64)
    email = forms.EmailField(label=_("Owner's e-mail"))

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exists():
            raise ValidationError(_("This name is taken."))
        return name

    @property
    def owner(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("username", "last_name", "email")}
