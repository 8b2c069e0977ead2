"""What both kinds of money movement have in common when they are compared with a bill."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from reconciliation.fees import Rate
from reconciliation.models import Case, Subject
from reconciliation.rules import Ours, Theirs

Keyed = dict[str, Ours]


@dataclass(frozen=True, slots=True)
class Word:
    """What the channel answered when it was asked about one: kept as evidence. `unknown`: it says explicitly that
    no such money moved."""

    shown: Mapping[str, Any]
    unknown: bool = False


class Side(ABC):
    """One kind of money movement. `window` is SQL, as it is read by the million; the others look up few."""

    subject: ClassVar[Subject]
    row_kind: ClassVar[str]  # of the bill's rows
    has_fees: ClassVar[bool]  # whether our rates say what the channel takes

    @abstractmethod
    def window(self, account_id: int, start: Any, end: Any) -> tuple[str, list[Any]]:
        """SELECT id, key, amount, currency, and with fees method, of everything that succeeded in [start, end). The
        bounds are values as the database takes them."""

    @abstractmethod
    def of_rows(self, account_id: int, rows: Collection[Theirs], rates: Mapping[str, Rate]) -> Keyed:
        """Ours by the key of the rows that name it, whatever its state and whenever it was."""

    @abstractmethod
    def of_ids(self, ids: Collection[int], rates: Mapping[str, Rate]) -> dict[int, Ours]:
        """Ours by record id."""

    @abstractmethod
    def own_number(self, ours: Ours) -> str:
        """The channel's number of it, by which a row that does not name ours is found."""

    @abstractmethod
    def ask(self, case: Case) -> Word:
        """Ask the channel about the case's record and do what it says, through the normal path. Never raises for a
        channel's failure. Must not be called inside a transaction."""

    def explain(self, account_id: int, theirs: Theirs, actor: str) -> bool:
        """Whether a row that names nothing of ours could be booked all the same."""
        return False
