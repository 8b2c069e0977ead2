"""Many small questions in one statement, none of which reads further than it has to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet

from paycenter.replica import report_alias

COUNT_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class HowMany:
    """How many rows there are, counted up to COUNT_LIMIT."""

    rows: QuerySet[Any]


@dataclass(frozen=True, slots=True)
class First:
    """A column of the first row by `order`, the column itself unless given; None where there is no row."""

    rows: QuerySet[Any]
    column: str
    order: str = ""


def ask(**questions: HowMany | First) -> dict[str, Any]:
    """The answers by name, from one statement on the database of reports."""
    alias = report_alias()
    parts, parameters = [], []
    for question in questions.values():
        sql, given = _part(question, alias)
        parts.append(sql)
        parameters += given
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", parameters)
        row = cursor.fetchone()
    return dict(zip(questions, row, strict=True))


def _part(question: HowMany | First, alias: str) -> tuple[str, list[Any]]:
    rows = question.rows.using(alias).order_by()
    if isinstance(question, HowMany):
        sql, given = _sql(rows.values("pk")[:COUNT_LIMIT], alias)
        return (f"(SELECT COUNT(*) FROM ({sql}) found)" if sql else "0"), given  # noqa: S608
    ordered = rows.order_by(question.order or question.column)
    sql, given = _sql(ordered.values(question.column)[:1], alias)
    return (f"({sql})" if sql else "NULL"), given


def _sql(rows: QuerySet[Any], alias: str) -> tuple[str, list[Any]]:
    try:
        sql, given = rows.query.get_compiler(alias).as_sql()
    except EmptyResultSet:
        return "", []
    return sql, list(given)


def moment(value: Any) -> datetime | None:
    """A time from `ask`: SQLite answers text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value if isinstance(value, datetime) else None


def at_most(count: int) -> str:
    """`1,000+` where counting stopped."""
    return f"{count:,}+" if count >= COUNT_LIMIT else f"{count:,}"
