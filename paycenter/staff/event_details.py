"""What an event says besides before and after, as names and values in the reader's language.

A name or a code that nobody has a word for stays itself: what apps send along is theirs to name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware, localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from paycenter.models import Event
from paycenter.staff.audit_words import model_of, rest_values
from paycenter.staff.display import money
from paycenter.staff.words import method_word, party, state_word

# What no column is called.
_NAMES = {
    "answer": _("answer"), "answered_as": _("answered as order"), "change": _("change"), "changed": _("what changed"),
    "code": _("code"), "currency": _("currency"), "document": _("document"), "draft": _("draft"),
    "error": _("error"), "file": _("file"), "kind": _("kind"), "message": _("message"), "method": _("pay method"),
    "methods": _("pay methods"), "new": _("new"), "notify_state": _("app was told"), "path": _("page"),
    "refundable_amount": _("refundable"), "rows": _("rows"), "scale": _("decimal places"), "sends": _("times sent"),
    "sha256": "SHA-256", "step": _("step"), "tries": _("tries"), "type": _("type"), "was": _("before"),
    "webhook_id": _("webhook id"), "word": _("channel's word"), "duplicate": _("paid twice"),
    "payment_no": _("payment number"), "merchant_no": _("merchant number"), "difference": _("difference"),
}  # fmt: skip
# Whose columns lend their names to records that have no such column themselves.
_LENDING = ("trade", "attempt", "refund", "user")
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def details_of(event: Event) -> list[tuple[str, str]]:
    """(name, value) of what the event itself says, without what it says was before and after."""
    return list(_named(rest_values(event), event.object_type))


def data_of(event: Event) -> list[tuple[str, str]]:
    """(name, value) of the record as the app sees it since."""
    return list(_named(event.data, event.object_type)) if isinstance(event.data, dict) else []


def _named(values: Mapping[str, Any], of: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if value in _EMPTY:
            continue
        field = _field(of, name)
        label = str(_NAMES.get(name) or getattr(field, "verbose_name", "") or name)
        if isinstance(value, dict):
            yield from ((f"{label} · {inner}", text) for inner, text in _named(value, of))
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            yield from _numbered(label, value, of)
        else:
            yield label, _text(value, name, field, values, of)


def _numbered(label: str, values: list[Any], of: str) -> Iterator[tuple[str, str]]:
    """A list of records, one after the other."""
    for number, value in enumerate(values, start=1):
        inner = value if isinstance(value, dict) else {"": value}
        yield from ((f"{label} {number} · {name}".rstrip(" ·"), text) for name, text in _named(inner, of))


def _field(of: str, name: str) -> Field[Any, Any] | None:
    """The column of this name: the record's own, else one that another kind of record lends."""
    for kind in (of, *_LENDING):
        model = model_of(kind)
        try:
            field = model._meta.get_field(name.removesuffix("_id")) if model is not None else None
        except FieldDoesNotExist:
            continue
        if isinstance(field, Field):
            return field
    return None


def _text(value: Any, name: str, field: Field[Any, Any] | None, values: Mapping[str, Any], of: str) -> str:
    if isinstance(value, list):
        return gettext(", ").join(_text(one, name, field, values, of) for one in value)
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, int):
        return _number(value, name, values)
    return _word(str(value), name, field, of)


def _number(value: int, name: str, values: Mapping[str, Any]) -> str:
    currency = values.get("currency")
    is_money = name.endswith("amount") or name in ("difference", "external_refunded")
    return money(value, currency) if is_money and isinstance(currency, str) and currency else str(value)


def _word(value: str, name: str, field: Field[Any, Any] | None, of: str) -> str:
    if name == "changed":
        return str(getattr(_field(of, value), "verbose_name", value))
    if name == "channel":
        return party(f"channel:{value}")
    if name in ("method", "methods"):
        return method_word(value)
    if name == "word" or name.endswith("state"):
        return state_word(value, of)
    choices = dict(field.flatchoices) if field is not None and field.choices else {}
    return str(choices.get(value) or _moment(value, name) or value)


def _moment(value: str, name: str) -> str:
    """A time as pages write it; empty for what is none."""
    try:
        found = parse_datetime(value) if name.endswith(("_at", "_until")) else None
    except ValueError:
        return ""
    return f"{localtime(found):%Y-%m-%d %H:%M:%S}" if found is not None and is_aware(found) else ""
