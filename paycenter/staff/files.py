"""Private files on staff pages: no browser takes them for anything else, nothing in them runs, nothing keeps them."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.utils.http import content_disposition_header

from paycenter.uploads import UploadFolder


def private_file(folder: UploadFolder, path: str, name: str, *, inline: bool = False) -> HttpResponse:
    """A stored file as a download, or `inline` to be looked at. Raises Http404 where there is no such file."""
    try:
        content, content_type = folder.read(path)
    except FileNotFoundError as exc:
        raise Http404 from exc
    response = HttpResponse(content, content_type=content_type)
    response.headers["Content-Disposition"] = content_disposition_header(not inline, name) or "inline"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cache-Control"] = "private, no-store"
    return response
