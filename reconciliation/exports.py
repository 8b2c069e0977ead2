"""Answers that are files: the tables of `paycenter.staff.sheets`, downloaded as they are written."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import StreamingHttpResponse

from paycenter.staff.sheets import SEPARATORS, TYPES, Row, csv_stream, xlsx_stream


def export_response(name: str, kind: str, heads: Row, rows: Iterable[Row]) -> StreamingHttpResponse:
    """An answer that downloads `name.csv` (kinds `csv` and, with semicolons, `csv2`) or `name.xlsx`."""
    if kind == "xlsx":
        body, content_type = xlsx_stream(heads, rows), f"{TYPES}.sheet"
    else:
        body, content_type = csv_stream(heads, rows, SEPARATORS[kind]), "text/csv; charset=utf-8"
    response = StreamingHttpResponse(body, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{"xlsx" if kind == "xlsx" else "csv"}"'
    return response
