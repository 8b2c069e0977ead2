"""A list's export as its reader gets it."""

from __future__ import annotations

import csv
from urllib.parse import urlencode

from django.test import Client

from paycenter.staff import exports
from paycenter.staff.list_models import ListExport

FILES = "/admin/paycenter/listexport/"


def exported(desk: Client, page: str, kind: str = "csv", **query: str) -> bytes:
    """Started above the list, written as the worker does, downloaded."""
    assert desk.post(f"{page}exports/start/?{urlencode(query)}", {"kind": kind}).status_code == 302
    assert exports.exports_write() == 1
    return downloaded(desk, ListExport.objects.latest("pk"))


def exported_rows(desk: Client, page: str, **query: str) -> list[dict[str, str]]:
    """The lines of a CSV export by their headings."""
    return list(csv.DictReader(exported(desk, page, **query).decode("utf-8-sig").splitlines()))


def downloaded(desk: Client, export: ListExport) -> bytes:
    response = desk.get(f"{FILES}{export.pk}/file/")
    assert response.status_code == 200
    return b"".join(response.streaming_content)  # type: ignore[attr-defined]
