"""The forms of an HTML page as a browser would send them, for tests that walk pages without knowing them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_IGNORED_TYPES = ("submit", "button", "image", "reset", "file")


@dataclass
class Form:
    """`values` are what a browser would send untouched; `editable` names the boxes a person can type into."""

    action: str
    values: dict[str, list[str]] = field(default_factory=dict)
    editable: list[str] = field(default_factory=list)
    ticks: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def put(self, name: str, value: str) -> None:
        self.values.setdefault(name, []).append(value)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._area: tuple[str, list[str]] | None = None
        self._select: tuple[str, list[str], list[str], bool] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        got = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(got.get("action", "")) if got.get("method", "").lower() == "post" else None
        elif self._form is not None:
            self._box(tag, got)

    def _box(self, tag: str, got: dict[str, str]) -> None:
        form, name = self._form, got.get("name", "")
        assert form is not None
        if tag == "option" and self._select is not None:
            self._select[1].append(got.get("value", ""))
            if "selected" in got:
                self._select[2].append(got.get("value", ""))
        elif not name:
            return
        elif tag == "textarea":
            self._area = (name, [])
        elif tag == "select":
            self._select = (name, [], [], "multiple" in got)
        elif tag == "button":
            form.buttons.append((name, got.get("value", "")))
        elif tag == "input" and got.get("type") in ("checkbox", "radio"):
            if "checked" in got:
                form.put(name, got.get("value", "on"))
            if got["type"] == "checkbox":
                form.ticks.append((name, got.get("value", "on")))
        elif tag == "input" and got.get("type") not in _IGNORED_TYPES:
            form.put(name, got.get("value", ""))
            if got.get("type", "text") in ("text", "number"):
                form.editable.append(name)

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._form is not None:
            self.forms.append(self._form)
            self._form = None
        elif tag == "textarea" and self._area is not None and self._form is not None:
            self._form.put(self._area[0], "".join(self._area[1]).strip())
            self._form.editable.append(self._area[0])
            self._area = None
        elif tag == "select" and self._select is not None and self._form is not None:
            name, options, chosen, many = self._select
            for value in chosen or ([] if many else options[:1]):
                self._form.put(name, value)
            self._select = None


def post_forms(html: str) -> list[Form]:
    """Every form of the page that is posted."""
    reader = _Reader()
    reader.feed(html)
    return reader.forms
