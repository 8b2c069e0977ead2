"""Who may use the internal entrance, by source address."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from merchants.api.endpoint import error_response
from merchants.api.errors import AddressNotAllowed
from paycenter.middleware import client_ip, in_networks, is_below
from paycenter.views import page_not_found

INTERNAL_PATHS = ("/v1", "/admin", "/docs", "/metrics")


class EntranceMiddleware:
    """Refuses internal paths to addresses outside `PAYCENTER_INTERNAL_NETWORKS` (empty: anybody).

    Apps are told 40301; a page looks as if it did not exist. Health checks are open to anybody.
    The portal's `/admin/` is meant for the outside and not limited.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not _is_refused(request):
            return self.get_response(request)
        if is_below(request.path_info, "/v1"):
            return error_response(AddressNotAllowed())
        return page_not_found(request)


def _is_refused(request: HttpRequest) -> bool:
    return (
        settings.ENTRANCE in ("internal", "all")
        and bool(settings.INTERNAL_NETWORKS)
        and is_below(request.path_info, *INTERNAL_PATHS)
        and not in_networks(client_ip(request), settings.INTERNAL_NETWORKS)
    )

