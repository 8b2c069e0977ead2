"""`/c/theme/<rrggbb>.css`: the business line's colour. A file of its own because pages allow no inline style."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.http import require_safe

from cashier.layout import layout_problems, on_dark

_CSS = """:root{{--accent:{accent};--accent-text:{accent}}}
@media (prefers-color-scheme:dark){{:root{{--accent-text:{light}}}}}
"""


@require_safe
def theme(request: HttpRequest, colour: str) -> HttpResponse:
    accent = f"#{colour.lower()}"
    if layout_problems({"accent": accent}):
        return HttpResponseNotFound("unknown colour", content_type="text/plain")
    css = _CSS.format(accent=accent, light=on_dark(accent))
    response = HttpResponse(css, content_type="text/css; charset=utf-8")
    response.headers["Cache-Control"] = "public, max-age=86400, immutable"
    return response
