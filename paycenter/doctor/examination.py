"""All checks in order, each guarded: one that fails itself is a finding and no end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from paycenter.doctor import broker, clocks, configuration, database, machine, postgres, secrets
from paycenter.doctor.finding import Check, Finding, Level, unreachable

CHECKS: Mapping[str, tuple[object, Check]] = {
    "configuration": (gettext_lazy("Configuration"), configuration.configuration),
    "machine": (gettext_lazy("This machine"), machine.machine),
    "database": (gettext_lazy("Database"), database.database),
    "postgres": ("PostgreSQL", postgres.postgres),
    "clocks": (gettext_lazy("Clocks"), clocks.clocks),
    "keys": (gettext_lazy("Keys and certificates"), secrets.secrets),
    "broker": (gettext_lazy("Broker, workers, beats"), broker.broker),
    "redis": ("Redis", broker.redis_server),
    "channels": (gettext_lazy("Channels"), clocks.channel_clocks),
}
# Asks somebody outside.
OUTSIDE = ("channels",)
# Pointless where the database does not answer, or has not got its tables.
_NEED_TABLES = ("keys", "channels")
_UNUSABLE = ("database.reachable", "database.migrations")


def examine(names: Sequence[str]) -> Iterator[tuple[str, list[Finding]]]:
    """The findings of the named checks, in the order of CHECKS."""
    unusable = False
    for name, (_title, check) in CHECKS.items():
        if name not in names or (unusable and name in _NEED_TABLES):
            continue
        found = _guarded(name, check)
        unusable |= any(one.code in _UNUSABLE and one.level == Level.ERROR for one in found)
        yield name, found


def _guarded(name: str, check: Check) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check())
    except Exception as exc:
        found.append(unreachable(f"{name}.examined", name, exc, _("Mend what is named above first, then ask again.")))
        if not connection.in_atomic_block:
            connection.close()
    return found


def exit_status(findings: Sequence[Finding]) -> int:
    """0: nothing to do; 1: warnings; 2: something does not work."""
    worst = max((one.level for one in findings), default=Level.OK)
    return {Level.WARNING: 1, Level.ERROR: 2}.get(worst, 0)
