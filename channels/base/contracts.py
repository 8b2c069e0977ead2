"""Deduction without password (免密代扣): the payer signs a contract once, later payments need no payer.

A scene that works so is a `ContractMethod`: its `pay` deducts under a signed contract and has nothing
for the payer to do.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from channels.base.methods import Method
from channels.base.orders import InboundRequest
from channels.base.results import PayResult, Refused


class ContractWord(StrEnum):
    """What a channel says of a contract. Only its explicit words make one active or terminated."""

    NOT_FOUND = "not_found"  # the payer has not signed (yet): most channels know nothing before
    UNSIGNED = "unsigned"  # it knows the contract and says that it is not signed
    ACTIVE = "active"
    TERMINATED = "terminated"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContractRef:
    """A contract as its channel knows it. `contract_no` is our number, the only one ever sent;
    `channel_contract_no` the channel's, once it is signed."""

    contract_no: str
    channel_contract_no: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SignOrder(ContractRef):
    """A contract the payer is about to sign. The addresses are the center's public ones for it;
    `display_name` is what the payer reads as its own name at the merchant."""

    notify_url: str
    return_url: str
    display_name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ContractAnswer:
    """A channel's verified word about one contract. `channel_contract_no` is set whenever it is ACTIVE.

    `state` is None in a notification that decides nothing and only makes a query due.
    """

    state: ContractWord | None
    contract_no: str
    channel_contract_no: str | None = None
    payer_id: str | None = None
    signed_at: datetime | None = None
    channel_state: str = ""


class ContractMethod(Method):
    """A scene that deducts under a contract: `instruction` is `none` and no device offers it."""

    instruction = "none"

    @abstractmethod
    def sign(self, provider: Any, order: SignOrder) -> PayResult:
        """Prepare signing; the instruction takes the payer there. Safe to repeat under the same number.

        Called outside any transaction. Raises NotSent or UnknownOutcome; a refusal is returned.
        """

    @abstractmethod
    def query_contract(self, provider: Any, contract: ContractRef) -> ContractAnswer:
        """Ask for the contract's state. Raises NotSent or UnknownOutcome, also for an answer about
        another contract."""

    @abstractmethod
    def terminate_contract(self, provider: Any, contract: ContractRef) -> ContractAnswer | Refused:
        """End a signed contract; one that has ended before counts as done. Raises NotSent or UnknownOutcome."""

    @abstractmethod
    def parse_contract_notify(self, provider: Any, request: InboundRequest) -> ContractAnswer:
        """Verify and normalise a notification about a contract. Makes no outbound call.

        Raises BadSignature, IdentityMismatch or MalformedInbound.
        """
