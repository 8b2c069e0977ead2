"""Two versions side by side: one row per field, those that differ marked. Works on snapshots alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from channels.base.discovery import providers
from merchants.forms import method_label, say
from onboarding import facts
from onboarding.steps import KINDS, SECTIONS, Step


@dataclass(frozen=True, slots=True)
class Row:
    """`before` and `after` are fit to show; `changed` compares what is stored, not what is shown."""

    label: str
    before: str
    after: str
    changed: bool


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """Snapshots' entries of one kind of document, each None where there is none."""

    label: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    changed: bool


@dataclass(frozen=True, slots=True)
class Section:
    step: Step
    rows: list[Row]
    documents: list[DocumentRow]

    @property
    def changes(self) -> int:
        return sum(row.changed for row in self.rows) + sum(document.changed for document in self.documents)


Snapshot = Mapping[str, Mapping[str, Any]]


def compare(before: Snapshot | None, after: Snapshot, *, whole: bool = False) -> list[Section]:
    """The sections of `after` next to `before`; without one nothing counts as changed.

    `whole` shows numbers unmasked.
    """
    return [_section(step, before, after, whole) for step in SECTIONS]


def _section(step: Step, before: Snapshot | None, after: Snapshot, whole: bool) -> Section:
    old, new = (before or {}).get(step.code, {}), after.get(step.code, {})
    compared = before is not None
    if step.code == "documents":
        return Section(step, [], _documents(old, new, compared))
    if step.code == "accounts":
        return Section(step, _accounts(old, new, compared), [])
    rows = []
    for fact in step.facts:
        was, now = old.get(fact.name, ""), new.get(fact.name, "")
        texts = [str(v) if whole and fact.sensitive else facts.shown(fact, v) for v in (was, now)]
        rows.append(Row(str(fact.label), texts[0], texts[1], compared and was != now))
    return Section(step, rows, [])


def _documents(old: Mapping[str, Any], new: Mapping[str, Any], compared: bool) -> list[DocumentRow]:
    rows = []
    for code, kind in KINDS.items():
        was, now = old.get(code), new.get(code)
        if was or now:
            differs = (was or {}).get("sha256") != (now or {}).get("sha256")
            rows.append(DocumentRow(str(kind.label), was, now, compared and differs))
    return rows


def _accounts(old: Mapping[str, Any], new: Mapping[str, Any], compared: bool) -> list[Row]:
    rows: list[Row] = []
    for number in sorted({*old, *new}):
        was, now = _lines(old.get(number)), _lines(new.get(number))
        name = (new.get(number) or old.get(number) or {}).get("name", number)
        for label in dict.fromkeys([*was, *now]):
            before, after = was.get(label, ""), now.get(label, "")
            rows.append(Row(f"{name} · {label}", before, after, compared and before != after))
    return rows


def _lines(account: Mapping[str, Any] | None) -> dict[str, str]:
    """(label, text) of one account in a snapshot."""
    if account is None:
        return {}
    provider = providers().get(account["channel"])
    return {
        _("Channel"): say(provider.name) if provider else account["channel"],
        _("Name"): account["name"],
        _("Pay methods"): _(", ").join(method_label(code) for code in account["methods"]),
        **{facts.field_label(account["channel"], n): text for n, text in account["parameters"].items()},
    }
