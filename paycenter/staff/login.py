"""Signing in: name, password and, for who has one, the second factor's code in the same form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django_otp import match_token
from unfold.forms import AuthenticationForm
from unfold.widgets import BASE_INPUT_CLASSES

from paycenter.staff import security


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """A wrong or missing code says so at its own field, and only after the password was right."""

    otp_token = forms.CharField(
        label=_("Verification code"), required=False, max_length=16,
        help_text=_("Six digits from your authenticator app, or a recovery code. Leave empty if you have none."),
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "text", "class": " ".join(BASE_INPUT_CLASSES)}
        ),
    )  # fmt: skip

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        if not security.entrance_admits(user):
            raise self.get_invalid_login_error()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        user = self.get_user()
        if user is not None and security.has_device(user):
            token = (self.cleaned_data.get("otp_token") or "").replace(" ", "")
            device = match_token(user, token) if token else None
            if device is None:
                wrong = _("Wrong code, or one already used. Wait for the next one.")
                text = wrong if token else _("Enter the code from your authenticator app.")
                raise ValidationError({"otp_token": text})
            user.otp_device = device  # the user_logged_in receiver of django_otp puts it into the session
        return cleaned
