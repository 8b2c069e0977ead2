"""Model fields that Django lacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.expressions import Func

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField  # not subscriptable at run time


class ExactJSONField(_TextField):
    """JSON kept as text, so that key order and numbers come back as they were given (jsonb keeps neither)."""

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> Any:
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        return value


class NumberIn(Func):
    """The whole number that an ExactJSONField's object has under a name; NULL where it has none."""

    output_field = models.BigIntegerField()

    def __init__(self, field: str, name: str) -> None:
        if not name.isidentifier():
            raise ValueError(f"{name!r} would have to be quoted")
        super().__init__(field, name=name)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="JSON_EXTRACT(%(expressions)s, '$.%(name)s')", **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "((%(expressions)s)::json ->> '%(name)s')::bigint"
        return self.as_sql(compiler, connection, template=template, **context)
