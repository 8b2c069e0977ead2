"""Tables as files: lines of CSV, and XLSX written a sheet's row at a time.

A cell that a spreadsheet would take for a formula is text: nobody's order number runs in finance's Excel. That holds
also for what a spreadsheet with another list separator in its country's settings would take for a cell.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

SHEET_ROWS = 1_000_000  # an Excel sheet has 1,048,576
_FLUSH = 64 * 1024
_NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
Row = Sequence[Any]
SEPARATORS = {"csv": ",", "csv2": ";"}  # by the kind of a file that is not a sheet
# What begins a formula: at a cell's beginning, or behind what ends one somewhere.
_FORMULA = re.compile(r"(^[\t\r]|(?:^|(?<=[,;\t\r\n|]))[=+\-@])")


def csv_line(row: Row, separator: str = ",") -> str:
    """One row with its line end; nothing in it is a formula."""
    line = _Line()
    csv.writer(line, delimiter=separator).writerow([_harmless(value) for value in row])
    return line.text


class _Line:
    """What the csv module wrote."""

    text = ""

    def write(self, text: str) -> int:
        self.text = text
        return len(text)


def _harmless(value: Any) -> Any:
    text = "" if value is None else value
    return _FORMULA.sub(r"'\1", text) if isinstance(text, str) else text


class _Pipe:
    """What was written and not taken yet. It cannot be sought in, which is what makes zipfile stream."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Whoever takes, flushes."""

    def take(self) -> bytes:
        found = b"".join(self.parts)
        self.parts, self.size = [], 0
        return found


def xlsx_stream(heads: Row, rows: Iterable[Row]) -> Iterator[bytes]:
    """Office Open XML with texts in their cells, so that no table of them has to be kept; further sheets for more
    than SHEET_ROWS rows."""
    pipe, rest, sheets, more = _Pipe(), iter(rows), 0, True
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        while more or sheets == 0:
            sheets += 1
            count = 0
            with archive.open(f"xl/worksheets/sheet{sheets}.xml", "w") as sheet:
                sheet.write(f"{_HEAD}<worksheet {_NS}><sheetData>{_xml_row(heads)}".encode())
                for row in rest:
                    sheet.write(_xml_row(row).encode())
                    count += 1
                    if pipe.size >= _FLUSH:
                        yield pipe.take()
                    if count >= SHEET_ROWS:
                        break
                sheet.write(b"</sheetData></worksheet>")
            more = count >= SHEET_ROWS
        for path, text in _frame(sheets).items():
            archive.writestr(path, _HEAD + text)
    yield pipe.take()


def _xml_row(row: Row) -> str:
    return f"<row>{''.join(_xml_cell(value) for value in row)}</row>"


def _xml_cell(value: Any) -> str:
    if value is None or value == "":
        return "<c/>"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**15:
        return f"<c><v>{value}</v></c>"
    text = "".join(char if char >= " " or char in "\t\n" else " " for char in str(value))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def _frame(sheets: int) -> dict[str, str]:
    """The parts around the sheets."""
    numbers = range(1, sheets + 1)
    listed = "".join(f'<sheet name="{n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{_REL}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    typed = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPES}.worksheet+xml"/>' for n in numbers
    )
    package = "http://schemas.openxmlformats.org/package/2006"
    return {
        "xl/workbook.xml": f'<workbook {_NS} xmlns:r="{_REL}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{related}</Relationships>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1"'
        f' Type="{_REL}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml"'
        f' ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
        f"{typed}</Types>",
    }
