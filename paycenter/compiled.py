"""Statements of the hot paths, compiled once per process.

Django's ORM builds every statement anew, which costs more than running it. Here the ORM builds a statement once and
only its values change; on PostgreSQL it is then prepared on the server too. For the few statements that every payment
runs; everything else is plain ORM.
"""

from __future__ import annotations

import datetime
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Generic, TypeVar

from django.db import connection, connections, models
from django.db.models.expressions import Col, RawSQL
from django.db.models.query import get_related_populators
from django.db.models.signals import post_save, pre_save
from django.db.transaction import TransactionManagementError
from django_fsm import FSMField

from paycenter.cursors import default_db, execute, first_row, reads_binary

M = TypeVar("M", bound=models.Model)
_read_json: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_STAND_IN = -(2**40)  # and below: numbers that no query fixes


class Select(Generic[M]):
    """A query with values that are given at each run, by name: `types` says of which type each is.

    `make` builds it, called with a stand-in for each; it may select related rows, lock and limit. A list of keys is
    used through `among` (PostgreSQL).
    """

    def __init__(self, make: Callable[..., models.QuerySet[M]], **types: type[int | str | list[int]]) -> None:
        self._make = make
        self._stand_ins = {n: _STAND_IN - at if of is int else f"<{n}>" for at, (n, of) in enumerate(types.items())}
        self._lock = threading.Lock()
        self._plan: _ValuesPlan | None = None

    def rows(self, **values: int | str | list[int]) -> list[M]:
        """The rows found with these values. Raises TransactionManagementError where it locks them for nothing."""
        plan = self._plan or self._compile()
        db = default_db()
        if plan.locks and not db.in_atomic_block:
            raise TransactionManagementError("rows are locked inside a transaction only")
        cursor = execute(db, plan.sql, [values[name] for name in plan.parameters], binary=plan.binary)
        return [plan.instance(row, db) for row in cursor.fetchall()]

    def first(self, **values: int | str) -> M | None:
        """The first row, None where there is none."""
        found = self.rows(**values)
        return found[0] if found else None

    def alone(self, *, wait: float | None = None, **values: int | str) -> M | None:
        """As `first`, for a thread that asks the database nothing else: without a connection of its own, for which
        it waits so many seconds."""
        plan = self._plan or self._compile()
        if plan.locks:
            raise TransactionManagementError("rows are locked inside a transaction only")
        db = default_db()
        row = first_row(db, plan.sql, [values[name] for name in plan.parameters], binary=plan.binary, wait=wait)
        return None if row is None else plan.instance(row, db)

    def get(self, **values: int | str) -> M:
        """The only row. Raises the model's DoesNotExist."""
        found = self.first(**values)
        if found is None:
            model: Any = self._make(**self._stand_ins).model
            raise model.DoesNotExist
        return found

    def _compile(self) -> _ValuesPlan:
        with self._lock:
            if self._plan is None:
                self._plan = self._plan_of(self._make(**self._stand_ins))
            return self._plan

    def _plan_of(self, query: models.QuerySet[Any]) -> _ValuesPlan:
        return _SelectPlan(query, self._stand_ins)


class SelectValues(Select[Any]):
    """The same for a queryset of `values_list`: rows are tuples, in its order."""

    def _plan_of(self, query: models.QuerySet[Any]) -> _ValuesPlan:
        return _ValuesPlan(query, self._stand_ins)


class _ValuesPlan:
    """The statement, and what makes its values those of their fields."""

    def __init__(self, query: models.QuerySet[Any], stand_ins: Mapping[str, int | str]) -> None:
        self.compiler = query.query.get_compiler(using=query.db)
        self.locks = query.query.select_for_update
        sql, parameters = self.compiler.as_sql()
        names = {stand_in: name for name, stand_in in stand_ins.items()}
        self.parameters = [names[value] for value in parameters if value in names]
        if set(self.parameters) != set(stand_ins):
            raise TypeError(f"the query does not use {set(stand_ins)}, each as it is")
        # What the query itself fixes becomes part of the text: a prepared statement uses a partial index only then.
        words = iter("%s" if value in names else _literal(value) for value in parameters)
        self.sql = re.sub("%s", lambda _found: next(words), sql)
        self.select = self.compiler.select or []
        columns = [column[0] for column in self.select]
        self.binary = reads_binary(columns, connections[query.db])
        self._converters = [
            (at, _decoded if _is_plain_json(expression) else converter, expression)
            for at, (converters, expression) in self.compiler.get_converters(columns).items()
            for converter in converters
        ]

    def instance(self, row: Sequence[Any], db: Any) -> Any:
        if not self._converters:
            return row
        values = list(row)
        for at, converter, expression in self._converters:
            values[at] = converter(values[at], expression, db)
        return values


def _is_plain_json(expression: Any) -> bool:
    return type(expression) is Col and type(expression.target) is models.JSONField and expression.target.decoder is None


def _decoded(value: str | None, expression: Any, db: Any) -> Any:
    """As the field's own converter, which looks for space around the JSON first: PostgreSQL answers none."""
    try:
        return None if value is None else _read_json(value, 0)[0]
    except StopIteration:
        return expression.target.from_db_value(value, expression, db)


class _SelectPlan(_ValuesPlan):
    """How its columns become instances: as `django.db.models.query.ModelIterable` does it."""

    def __init__(self, query: models.QuerySet[Any], stand_ins: Mapping[str, int | str]) -> None:
        super().__init__(query, stand_ins)
        info = self.compiler.klass_info or {}
        own = info["select_fields"]
        self._model, self._db = info["model"], query.db
        self._own = slice(own[0], own[-1] + 1)
        self._names = [column[0].target.attname for column in self.select[self._own]]
        self._related = get_related_populators(info, self.select, query.db)  # type: ignore[call-arg]

    def instance(self, row: Sequence[Any], db: Any) -> Any:
        values = super().instance(row, db)
        record = self._model.from_db(self._db, self._names, values[self._own])
        for related in self._related:
            related.populate(values, record)
        return record


def among(keys: str) -> RawSQL:
    """What a query of `Select` asks a field to be `__in`: one of the keys that are given as a list (PostgreSQL)."""
    # How many they are is hidden: for few of them PostgreSQL would make a plan of its own each time.
    return RawSQL("SELECT unnest(ARRAY(SELECT unnest(%s::bigint[])))", [keys])


def _literal(value: object) -> str:
    """A number, a state or another word of ours, as SQL writes it. Raises TypeError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str) or not re.fullmatch(r"[a-z_]*", value):
        raise TypeError(f"not a value that a query may fix: {value!r}")
    return f"'{value!s}'"


class Gathered:
    """What `insert` and `update` were given inside `gathering`, to be written together with what others gathered."""

    def __init__(self, keys: Mapping[type[models.Model], int]) -> None:
        self._keys = dict(keys)
        self.new: dict[type[models.Model], list[models.Model]] = {}
        self._changed: dict[int, tuple[models.Model, set[str]]] = {}

    def insert(self, records: Iterable[models.Model]) -> None:
        for record in records:
            if type(record) in self._keys:
                record.pk = self._keys.pop(type(record))
            self.new.setdefault(type(record), []).append(record)

    def update(self, record: models.Model, names: Iterable[str]) -> None:
        """A row is written once, as it is in the end."""
        if all(record is not one for one in self.new.get(type(record), ())):
            self._changed.setdefault(id(record), (record, set()))[1].update(names)

    def write(self) -> None:
        """All of it in one statement (PostgreSQL). Raises the model's DoesNotExist where a row that changed is gone."""
        changed: dict[tuple[type[models.Model], tuple[str, ...]], list[models.Model]] = {}
        for record, names in self._changed.values():
            changed.setdefault((type(record), (record._meta.pk.name, *sorted(names))), []).append(record)
        if not changed and not self.new:
            return
        values = [_as_json(records, _fields(*what)) for what, records in changed.items()]
        values += [_as_json(records, _inserted_fields(model, ()), True) for model, records in self.new.items()]
        written = row(_write_sql(tuple(changed), tuple(self.new)), values)
        for ((model, _names), records), count in zip(changed.items(), written, strict=False):
            if count != len(records):
                raise model.DoesNotExist  # type: ignore[attr-defined]


_gathered: ContextVar[Gathered | None] = ContextVar("gathered", default=None)


@contextmanager
def gathering(keys: Mapping[type[models.Model], int] | None = None) -> Iterator[Gathered]:
    """Inside the block rows are not written but collected; the first new row of a model gets the key in `keys`."""
    found = Gathered(keys or {})
    token = _gathered.set(found)
    try:
        yield found
    finally:
        _gathered.reset(token)


def next_keys(model: type[models.Model], count: int) -> list[int]:
    """Keys for so many new rows of a model (PostgreSQL)."""
    values = [model._meta.db_table, model._meta.pk.column, count]
    return [key for (key,) in execute(default_db(), _KEYS, values).fetchall()]


_KEYS = "SELECT nextval(pg_get_serial_sequence(%s::text, %s::text)) FROM generate_series(1, %s::int)"


def insert_rows(records: Sequence[models.Model], *, keyed: bool = False, unless_there: bool = False) -> set[int]:
    """Insert new rows of one model in one statement, whose text is the same however many there are (PostgreSQL).

    `keyed`: they have their keys. `unless_there` leaves out rows that contradict a unique index. The stored keys.
    """
    if not records:
        return set()
    model = type(records[0])
    values = [_as_json(records, _all_fields(model, keyed), True)]
    return {key for (key,) in rows(_insert_rows_sql(model, keyed, unless_there), values)}


def insert(*records: models.Model, empty: tuple[str, ...] = ()) -> None:
    """Insert new rows of one model in one statement; each gets its key, in the order given.

    As `save(force_insert=True)`, for models without parents and without defaults made by the database. `empty` are
    fields that have no value yet; they stand in the statement itself, because psycopg keeps one parsed only while it
    has no more than 50 values.
    """
    gathered = _gathered.get()
    if gathered is not None:
        gathered.insert(records)
        return
    model, db = type(records[0]), default_db()
    if _is_listened_to(model):
        for record in records:
            record.save(force_insert=True)
        return
    fields = _inserted_fields(model, empty)
    values = [_value(field, record, True, db) for record in records for field in fields]
    keys = execute(db, _insert_sql(model, empty, len(records)), values).fetchall()
    for record, (key,) in zip(records, keys, strict=True):
        record.pk, record._state.adding, record._state.db = key, False, db.alias


def table_of(model: type[models.Model]) -> str:
    """The name of a model's table, as a statement written by hand has it."""
    return connection.ops.quote_name(model._meta.db_table)


def insert_sql(model: type[models.Model], source: str, columns: Mapping[str, str]) -> str:
    """The text of an INSERT of a row for each row of `source`, part of a statement written by hand."""
    table = table_of(model)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {source}"  # noqa: S608


def update(record: models.Model, names: Iterable[str]) -> None:
    """Write these fields of an existing row. As `save(update_fields=names)`.

    Raises the model's DoesNotExist where the row is gone.
    """
    model, db, wanted = type(record), default_db(), tuple(sorted(names))
    gathered = _gathered.get()
    if gathered is not None:
        gathered.update(record, wanted)
        return
    if _is_listened_to(model):
        record.save(update_fields=wanted)
        return
    values = [_value(field, record, False, db) for field in _fields(model, wanted)]
    if execute(db, _update_sql(model, wanted), [*values, record.pk]).rowcount != 1:
        raise model.DoesNotExist  # type: ignore[attr-defined]


def _is_listened_to(model: type[models.Model]) -> bool:
    """Whether saving has to be told to somebody: a history of changes is kept that way."""
    return pre_save.has_listeners(model) or post_save.has_listeners(model)


def row(sql: str, values: Sequence[object] | Mapping[str, object]) -> Sequence[Any]:
    """The only row that a statement answers, which is written by hand and always the same."""
    found: Sequence[Any] = execute(default_db(), sql, values).fetchone()
    return found


def rows(sql: str, values: Sequence[object] | Mapping[str, object]) -> list[tuple[Any, ...]]:
    """All rows that a statement answers, which is written by hand and always the same."""
    found: list[tuple[Any, ...]] = execute(default_db(), sql, values).fetchall()
    return found


def run(sql: str, values: Sequence[object] | Mapping[str, object]) -> int:
    """Run a statement that answers no rows, written by hand and always the same; answers how many rows it touched."""
    return int(execute(default_db(), sql, values).rowcount)


# Fields that hand these values to the database as they are. By exact type: their subclasses may not.
_PLAIN_FIELDS = frozenset((
    models.CharField, models.TextField, models.BooleanField, models.IntegerField, models.BigIntegerField,
    models.PositiveIntegerField, models.ForeignKey, models.OneToOneField, FSMField,
))  # fmt: skip
_PLAIN_VALUES = frozenset((str, int, bool, type(None)))


def _value(field: Any, record: models.Model, is_new: bool, db: Any) -> Any:
    """A field's value as the database takes it."""
    value = field.pre_save(record, is_new)
    if type(value) in _PLAIN_VALUES and type(field) in _PLAIN_FIELDS:
        return value
    return field.get_db_prep_save(value, db)


@lru_cache(maxsize=256)
def _inserted_fields(model: type[models.Model], empty: tuple[str, ...]) -> tuple[models.Field[Any, Any], ...]:
    return tuple(f for f in model._meta.concrete_fields if not f.primary_key and f.name not in empty)


@lru_cache(maxsize=256)
def _fields(model: type[models.Model], names: tuple[str, ...]) -> tuple[models.Field[Any, Any], ...]:
    return tuple(model._meta.get_field(name) for name in names)  # type: ignore[misc]


@lru_cache(maxsize=256)
def _insert_sql(model: type[models.Model], empty: tuple[str, ...], rows: int) -> str:
    given, unset = _inserted_fields(model, empty), _fields(model, empty)
    columns = ", ".join(_quoted(field) for field in (*given, *unset))
    row = ", ".join(["%s"] * len(given) + ["NULL" if field.null else "''" for field in unset])
    return (
        f"INSERT INTO {table_of(model)} ({columns})"  # noqa: S608
        f" VALUES {', '.join([f'({row})'] * rows)} RETURNING {_quoted(model._meta.pk)}"
    )


@lru_cache(maxsize=64)
def _insert_rows_sql(model: type[models.Model], keyed: bool, unless_there: bool) -> str:
    fields = _all_fields(model, keyed)
    return (
        f"INSERT INTO {table_of(model)} ({', '.join(map(_quoted, fields))})"  # noqa: S608
        f" SELECT * FROM {_from_json(fields)}"
        f"{' ON CONFLICT DO NOTHING' if unless_there else ''} RETURNING {_quoted(model._meta.pk)}"
    )


@lru_cache(maxsize=64)
def _write_sql(
    changed: tuple[tuple[type[models.Model], tuple[str, ...]], ...], new: tuple[type[models.Model], ...]
) -> str:
    """Updates, whose first field is the key, and inserts; answers how many rows each of them touched."""
    given = [f"given{at} AS (SELECT * FROM {_from_json(_fields(*what))})" for at, what in enumerate(changed)]  # noqa: S608
    parts = [_update_rows_sql(*what, f"given{at}") for at, what in enumerate(changed)]
    parts += [_insert_rows_sql(model, False, False) for model in new]
    counts = ", ".join(f"(SELECT count(*) FROM w{at})" for at in range(len(parts)))  # noqa: S608
    return f"WITH {', '.join([*given, *(f'w{at} AS ({part})' for at, part in enumerate(parts))])} SELECT {counts}"


def _update_rows_sql(model: type[models.Model], names: tuple[str, ...], given: str) -> str:
    pairs = ", ".join(f"{_quoted(field)} = {given}.v{at}" for at, field in enumerate(_fields(model, names)) if at)
    table, key = table_of(model), _quoted(model._meta.pk)
    # Said twice, so that the few rows are found by their keys and no table is read for them.
    return (
        f"UPDATE {table} SET {pairs} FROM {given} WHERE {table}.{key} = {given}.v0"  # noqa: S608
        f" AND {table}.{key} = ANY(ARRAY(SELECT v0 FROM {given})) RETURNING 1"
    )


def _all_fields(model: type[models.Model], keyed: bool) -> tuple[Any, ...]:
    return (*((model._meta.pk,) if keyed else ()), *_inserted_fields(model, ()))


def _from_json(fields: Sequence[Any]) -> str:
    """What `_as_json` made, as a table. Types have no length: one that is too long is refused, not cut."""
    columns = (f"v{at} {re.sub(r'[(].*[)]', '', field.db_type(connection))}" for at, field in enumerate(fields))
    return f"json_to_recordset(%s::json) AS given({', '.join(columns)})"


def _as_json(records: Sequence[models.Model], fields: Sequence[Any], is_new: bool = False) -> str:
    """Rows as one value: as an array for each column they cost psycopg more than all the rest."""
    named = [(f"v{at}", field, type(field) in _PLAIN_FIELDS) for at, field in enumerate(fields)]
    rows: list[dict[str, Any]] = []
    for record in records:
        rows.append(row := {})
        for name, field, is_plain in named:
            value = field.pre_save(record, is_new)
            row[name] = value if is_plain and type(value) in _PLAIN_VALUES else _json_value(field, value)
    return _encode(rows)


def _json_value(field: Any, value: Any) -> Any:
    """What PostgreSQL reads as the same value."""
    if type(value) is datetime.datetime and value.tzinfo is not None:
        return value.isoformat()
    if value is not None and type(field) is models.JSONField and field.encoder is None:
        return value  # as a part of the whole
    value = field.get_db_prep_save(value, default_db())
    return str(value) if isinstance(value, datetime.date | IPv4Address | IPv6Address) else value


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@lru_cache(maxsize=256)
def _update_sql(model: type[models.Model], names: tuple[str, ...]) -> str:
    pairs = ", ".join(f"{_quoted(field)} = %s" for field in _fields(model, names))
    table = table_of(model)
    return f"UPDATE {table} SET {pairs} WHERE {_quoted(model._meta.pk)} = %s"  # noqa: S608


def _quoted(field: Any) -> str:
    return connection.ops.quote_name(field.column)
