"""Error reports (Django's mails to ADMINS, and whatever else uses its reporter) tell where, never with which values."""

from __future__ import annotations

from collections.abc import ItemsView
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from paycenter.masking import mask_mapping


class QuietReporterFilter(SafeExceptionReporterFilter):
    """Leaves out everything that was posted and every local variable, where DEBUG is off.

    Django's own filter leaves out what each view names; a form of this center holds passwords, codes, keys or
    personal data almost everywhere, and a view that forgot to name them would be noticed too late.
    """

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        if request is None or not self.is_active(request):
            return super().get_post_parameters(request)
        return dict.fromkeys(request.POST, self.cleansed_substitute)

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> ItemsView[str, Any]:
        if not self.is_active(request):
            return super().get_traceback_frame_variables(request, tb_frame)
        return dict.fromkeys(tb_frame.f_locals, self.cleansed_substitute).items()

    def get_safe_request_meta(self, request: Any) -> dict[str, Any]:
        return mask_mapping(super().get_safe_request_meta(request))

    def get_safe_cookies(self, request: Any) -> dict[str, Any]:
        return {} if request is None else dict.fromkeys(request.COOKIES, self.cleansed_substitute)
