"""The flat XML of API v2: one level of fields below `<xml>`, nothing else.

https://pay.weixin.qq.com/doc/v2/merchant/4011986811
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

MAX_BYTES = 64 * 1024
_ROOT = "xml"


def read_xml(body: bytes) -> dict[str, str]:
    """The fields, without the blanks that WeChat Pay's own examples put around values.

    Raises ValueError: too long, not well-formed UTF-8, nested, a field twice, or with a document type.
    Without one no entity can be defined, so none is ever expanded or fetched.
    """
    if len(body) > MAX_BYTES:
        raise ValueError("the XML is too long")
    reader = _Reader()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)
    except expat.ExpatError as exc:
        raise ValueError("not well-formed XML") from exc
    return reader.fields


def write_xml(fields: Mapping[str, str]) -> bytes:
    """Without line ends: WeChat Pay refuses acknowledgements that hold any."""
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return f"<{_ROOT}>{inner}</{_ROOT}>".encode()


class _Reader:
    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._open: list[str] = []
        self._parts: list[str] = []

    def doctype(self, *_declaration: Any) -> None:
        raise ValueError("a document type is refused")

    def start(self, name: str, _attributes: Mapping[str, str]) -> None:
        if len(self._open) > 1 or (not self._open and name != _ROOT):
            raise ValueError("not the flat XML of WeChat Pay")
        if self._open and name in self.fields:
            raise ValueError("a field is there twice")
        self._open.append(name)
        self._parts.clear()

    def end(self, name: str) -> None:
        self._open.pop()
        if self._open:
            self.fields[name] = "".join(self._parts).strip()
        self._parts.clear()

    def text(self, data: str) -> None:
        self._parts.append(data)
