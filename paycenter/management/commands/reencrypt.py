"""Re-encrypt everything with the first of PAYCENTER_ENCRYPTION_KEYS, so that older keys can go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography.fernet import InvalidToken
from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, models, transaction

from paycenter import crypto
from paycenter.errors import ConfigError

Fields = tuple["models.Field[Any, Any]", ...]


def encrypted_models() -> Iterator[tuple[type[models.Model], Fields]]:
    """Every table of ours with encrypted columns, found by the type of its fields."""
    for model in apps.get_models(include_auto_created=True):
        own = model._meta.concrete_fields if model._meta.managed and not model._meta.proxy else ()
        kinds = (crypto.EncryptedTextField, crypto.EncryptedJSONField)
        found = tuple(f for f in own if isinstance(f, kinds) and f.model is model)
        if found:
            yield model, found


class Command(BaseCommand):
    help = (
        "Re-encrypts all stored secrets with the first key of PAYCENTER_ENCRYPTION_KEYS. "
        "Safe to interrupt, to run twice and to run while the center works."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=500, help="rows in one transaction (default 500)")

    def handle(self, *, batch: int, **_options: Any) -> None:
        if batch < 1:
            raise CommandError("--batch must be at least 1")
        for model, fields in encrypted_models():
            try:
                rows = self._model(model, fields, batch)
            except ConfigError as exc:
                raise CommandError(str(exc)) from exc
            names = ", ".join(f.name for f in fields)
            self.stdout.write(f"{model._meta.label} ({names}): {rows} rows")

    def _model(self, model: type[models.Model], fields: Fields, batch: int) -> int:
        last, done = None, 0
        while True:
            count, last = rewrite_batch(model, fields, after=last, size=batch)
            done += count
            if count < batch:
                return done
            self.stdout.write(f"{model._meta.label}: {done} rows so far")


def rewrite_batch(model: type[models.Model], fields: Fields, *, after: Any, size: int) -> tuple[int, Any]:
    """Re-encrypt the next rows by primary key, under their lock; how many, and the last one's key.

    Works on the stored text itself: the values are not needed, and a model's own `save` would count
    versions. Raises ConfigError naming table, column and key when no configured key opens a value.
    """
    table, key = _quoted(model._meta.db_table), _quoted(model._meta.pk.column)
    columns = ", ".join(_quoted(f.column) for f in fields)
    where = f"WHERE {key} > %s" if after is not None else ""
    lock = "FOR UPDATE" if connection.features.has_select_for_update else ""
    parameters = [size] if after is None else [after, size]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {key}, {columns} FROM {table} {where} ORDER BY {key} LIMIT %s {lock}", parameters)  # noqa: S608
        rows = cursor.fetchall()
        assignments = ", ".join(f"{_quoted(f.column)} = %s" for f in fields)
        for pk, *stored in rows:
            fresh = [_reencrypted(model, f, pk, token) for f, token in zip(fields, stored, strict=True)]
            if fresh != stored:
                cursor.execute(f"UPDATE {table} SET {assignments} WHERE {key} = %s", [*fresh, pk])  # noqa: S608
    return len(rows), rows[-1][0] if rows else after


def _quoted(name: str | None) -> str:
    return str(connection.ops.quote_name(str(name)))


def _reencrypted(model: type[models.Model], field: models.Field[Any, Any], pk: Any, token: str | None) -> str | None:
    if not token:
        return token
    try:
        return crypto.reencrypt(token)
    except (ConfigError, ValueError, InvalidToken) as exc:
        where = f"{model._meta.label}.{field.name} of row {pk}"
        raise ConfigError(f"no key of PAYCENTER_ENCRYPTION_KEYS opens {where}") from exc
