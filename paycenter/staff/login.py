"""Signing in: name, password and, for who has one, the second factor's code in the same form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm
from unfold.widgets import BASE_INPUT_CLASSES

from paycenter.staff import security
from paycenter.staff.codes import TYPED_LENGTH, has_device, matching_device
from paycenter.staff.throttle import code_refused, flooded


class LoginForm(AuthenticationForm):  # type: ignore[misc]
    """A wrong or missing code says so at its own field, and only after the password was right."""

    otp_token = forms.CharField(
        label=_("Verification code"), required=False, max_length=TYPED_LENGTH,
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
        if self.request is not None and flooded(self.request, self.cleaned_data.get("username") or ""):
            self.request.axes_locked_out = True  # its middleware answers as after too many tries from one address
            raise self.get_invalid_login_error()
        cleaned: dict[str, Any] = super().clean()
        user = self.get_user()
        if user is not None and has_device(user):
            token = self.cleaned_data.get("otp_token") or ""
            device = matching_device(user, token)
            if device is None:
                code_refused(self.request, user, "wrong" if token else "missing")
                wrong = _("Wrong code, or one already used. Wait for the next one.")
                text = wrong if token else _("Enter the code from your authenticator app.")
                raise ValidationError({"otp_token": text})
            user.otp_device = device  # the user_logged_in receiver of django_otp puts it into the session
        return cleaned
