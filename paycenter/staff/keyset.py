"""Pages of a list by where they begin instead of how many rows they skip: a page costs the same however far it is,
and rows that come in meanwhile neither repeat nor drop any.

The place of a page is the last row of the one before it, as the values it is ordered by.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR
from django.core import signing
from django.core.exceptions import EmptyResultSet, FieldDoesNotExist, ValidationError
from django.db import connections
from django.db.models import Model, Q, QuerySet
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual
from django.db.models.sql.where import AND, WhereNode
from django.http import HttpRequest
from unfold.views import ChangeList

from paycenter.staff.jumping import Jump, jump_of
from paycenter.staff.lists import COUNT_LIMIT

_NEXT, _BEFORE = "n", "b"
_SALT = "paycenter.staff.keyset"
_COMPARING = (GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual)


@dataclass(frozen=True, slots=True)
class Key:
    """One column that the rows are ordered by, of the row itself or of one it belongs to ("trade__trade_no"); `pk`
    where the primary key is made of several."""

    name: str
    descending: bool


def keys_of(rows: QuerySet[Any]) -> list[Key] | None:
    """The columns of an ordering that tells any two rows apart; None where it is made of expressions, or of a
    column that is empty in some of the rows."""
    model: type[Model] = rows.model
    found = []
    for part in rows.query.order_by:
        if not isinstance(part, str):
            return None
        way, _bar, name = part.removeprefix("-").rpartition("__")
        field = _field_of(model, way, name)
        if field is None or (field.is_relation and name != field.attname):
            return None
        if getattr(field, "null", False) and (way or not _never_null(rows.query.where, field)):
            return None
        found.append(Key(f"{way}__{field.attname}" if way else field.attname, part.startswith("-")))
    return found or None


def _never_null(where: Any, field: Any) -> bool:
    """Whether the condition compares the column with something, so that no row without a value is among them."""
    if where.negated or where.connector != AND:
        return False
    return any(
        _never_null(part, field)
        if isinstance(part, WhereNode)
        else isinstance(part, _COMPARING) and getattr(part.lhs, "target", None) is field
        for part in where.children
    )


def _field_of(model: type[Model], way: str, name: str) -> Any:
    """The field of a model, or of one that it belongs to in any case; None where there is no such."""
    try:
        for step in way.split("__") if way else ():
            link: Any = model._meta.get_field(step)
            if not link.many_to_one or link.null:
                return None
            model = link.related_model
        return model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        return None


def beyond(keys: Sequence[Key], values: Sequence[Any], *, backwards: bool = False) -> Q:
    """Rows behind (or before) the row with these values; begins with what an index range can take."""
    found = Q()
    for place in range(len(keys) - 1, -1, -1):
        key, value = keys[place], values[place]
        word = "lt" if key.descending != backwards else "gt"
        strictly, within = Q(**{f"{key.name}__{word}": value}), Q(**{f"{key.name}__{word}e": value})
        found = within & (strictly | found) if found else strictly
    return found


def token(keys: Sequence[Key], row: Any) -> str:
    """A row's place, fit for an address; signed, so that no values reach a query that no row ever had."""
    return signing.dumps([_plain(value_in(row, key)) for key in keys], salt=_SALT)


def value_in(row: Any, key: Key) -> Any:
    """A row's value of one column of the order."""
    for step in key.name.split("__"):
        row = getattr(row, step)
    return row


def values_of(keys: Sequence[Key], text: str, model: type[Model]) -> list[Any] | None:
    """The values in a place; None for one that is of another ordering or made up."""
    try:
        found = signing.loads(text, salt=_SALT)
        return [_value_of(model, key, value) for key, value in zip(keys, found, strict=True)]
    except (signing.BadSignature, ValueError, TypeError, ValidationError):
        return None


def _value_of(model: type[Model], key: Key, value: Any) -> Any:
    way, _bar, name = key.name.rpartition("__")
    field = _field_of(model, way, name)
    if name != "pk":
        return field.to_python(value)
    parts: Sequence[Any] = model._meta.pk_fields
    return tuple(part.to_python(one) for part, one in zip(parts, value, strict=True))


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | str | tuple) else value.isoformat()


def estimated(rows: QuerySet[Any]) -> tuple[int, bool]:
    """How many rows there are, and whether that is exact. Never reads more than COUNT_LIMIT of them: what is more
    is the planner's guess (PostgreSQL), or just `more than that`."""
    plain = rows.order_by()
    if connections[rows.db].vendor == "postgresql":
        guess = _planned(plain)
        if guess > COUNT_LIMIT:
            return guess, False
    counted = plain[: COUNT_LIMIT + 1].count()
    return min(counted, COUNT_LIMIT), counted <= COUNT_LIMIT


def _planned(rows: QuerySet[Any]) -> int:
    try:
        sql, values = rows.values("pk").query.sql_with_params()
    except EmptyResultSet:
        return 0
    with connections[rows.db].cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", values)
        plan = cursor.fetchone()[0]
    return int((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"])


class KeysetPages:
    """What the pager's template shows. Stands where Django's admin keeps its paginator."""

    template_name = "admin/pc/keyset.html"
    num_pages = 1

    def __init__(self, *, count: int, exact: bool, first: str = "", before: str = "", after: str = "") -> None:
        self.count, self.exact = count, exact
        self.first, self.before, self.after = first, before, after

    @property
    def count_text(self) -> str:
        """Two digits of a guess are worth saying."""
        digits = max(len(str(self.count)) - 2, 0)
        return f"{self.count // 10**digits * 10**digits:,}"

    def get_elided_page_range(self, *_args: Any, **_kwargs: Any) -> list[int]:
        """There are no numbers."""
        return []


class KeysetChangeList(ChangeList):  # type: ignore[misc]
    """The admin's list, in pages by key. Only columns that the page names in `sortable_by` can be ordered by."""

    jump: Jump | None = None

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        allowed = set(self.model_admin.get_sortable_by(request))
        params: dict[str, Any] = self.params  # type: ignore[has-type]
        if ORDER_VAR in params:
            known = [part for part in str(params[ORDER_VAR]).split(".") if self._column(part) in allowed]
            self.params = {**params, ORDER_VAR: ".".join(known)}
        return list(super().get_ordering(request, queryset))

    def _column(self, part: str) -> Any:
        number = part.rpartition("-")[2]
        return self.list_display[int(number)] if number.isdecimal() and int(number) < len(self.list_display) else None

    def get_results(self, request: HttpRequest) -> None:
        keys = keys_of(self.queryset)
        if keys is None:
            super().get_results(request)
            return
        self.jump = jump_of(self, request)
        rows, backwards, place = self._page(request, keys)
        more = len(rows) > self.list_per_page
        rows = rows[: self.list_per_page]
        if backwards:
            rows.reverse()
        self._describe(keys, rows, has_before=more if backwards else place, has_after=place if backwards else more)

    def _page(self, request: HttpRequest, keys: list[Key]) -> tuple[list[Any], bool, bool]:
        """(rows and one more, whether they are in reverse order, whether they begin at a place)."""
        if self.jump and self.jump.day:
            return self._landing(keys, self.jump)
        direction, _dot, text = request.GET.get(PAGE_VAR, "").partition(".")
        values = values_of(keys, text, self.model) if direction in (_NEXT, _BEFORE) else None
        backwards = direction == _BEFORE and values is not None
        rows = self.queryset if values is None else self.queryset.filter(beyond(keys, values, backwards=backwards))
        if backwards:
            rows = rows.reverse()
        return list(rows[: self.list_per_page + 1]), backwards, values is not None

    def _landing(self, keys: list[Key], jump: Jump) -> tuple[list[Any], bool, bool]:
        """As `_page`, for a page that begins with a day; the list's end where it does not reach that day."""
        most = self.list_per_page + 1
        rows = list(jump.rows(self.queryset, descending=keys[0].descending)[:most])
        return (rows, False, True) if rows else (list(self.queryset.reverse()[:most]), True, False)

    def _describe(self, keys: list[Key], rows: list[Any], *, has_before: bool, has_after: bool) -> None:
        """The attributes that the admin's templates ask for."""
        whole = not has_before and not has_after
        count, exact = (len(rows), True) if whole else estimated(self.queryset)
        link = self.get_query_string
        self.paginator = KeysetPages(
            count=count, exact=exact, first=link(remove=[PAGE_VAR]) if has_before else "",
            before=link({PAGE_VAR: f"{_BEFORE}.{token(keys, rows[0])}"}) if has_before and rows else "",
            after=link({PAGE_VAR: f"{_NEXT}.{token(keys, rows[-1])}"}) if has_after and rows else "",
        )  # fmt: skip
        self.result_list, self.result_count, self.full_result_count = rows, count, count
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = True
