"""What a stand-in implements. One folder below `sandbox` with one `Channel` class is a provider."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from aiohttp import web

import sandbox
from sandbox.bills import Bill
from sandbox.claims import Claim, Message, Subject
from sandbox.records import Account, Notice, Payment, Refund

if TYPE_CHECKING:
    from sandbox.agreements import Agreement, AgreementNotice
    from sandbox.context import Context


@dataclass(frozen=True, slots=True)
class Contract:
    """A signed contract: the merchant's form values, and what only the channel keeps."""

    key: str
    config: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)


class DeviceRefused(Exception):
    """The payer's device would not open what it was given; the text says why."""


class Channel(ABC):
    """One provider. `ladder` is its notification retry schedule: seconds between one send and the
    next, the first send being at once. `modes` are its kinds of contract, the default first.
    """

    code: ClassVar[str]
    names: ClassVar[tuple[str, str]]  # Chinese, English
    modes: ClassVar[tuple[str, ...]]
    ladder: ClassVar[tuple[float, ...]]
    # Whether a payment notification states the currency at all.
    states_currency: ClassVar[bool] = True
    # Whether it signs its answers; where it does not, TLS alone vouches for them.
    signs_answers: ClassVar[bool] = True
    # Whether a refund made in the channel's own console is notified.
    tells_console_refunds: ClassVar[bool] = False
    # Topics of what is told beside a payment's own notification (its payer was authenticated ...).
    preludes: ClassVar[tuple[str, ...]] = ()
    # Whether a bill says how a refund stands. Where it does not, it lists those that ended well, when they did.
    bills_refund_states: ClassVar[bool] = True
    # Whether a refund that failed is notified.
    tells_failed_refunds: ClassVar[bool] = True
    # Whether a refund is refused in words of its own while the merchant's balance is short.
    says_short_balance: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        self.context = context

    @classmethod
    @abstractmethod
    def sign_contract(cls, *, name: str, mode: str, base_url: str) -> Contract:
        """Generate the key material of both sides. Slow: never call it from the event loop."""

    @abstractmethod
    def routes(self) -> Sequence[web.RouteDef]:
        """The provider's own paths."""

    @abstractmethod
    def present(self, pay: Mapping[str, Any]) -> Payment | None:
        """What the payer's device does with the object that `gopay` answered; None if it is not
        this channel's. Raises DeviceRefused where the device would show an error."""

    @abstractmethod
    def open_code(self, text: str) -> Payment | None:
        """The order behind something scanned, pasted or opened; None if it is not this channel's."""

    @abstractmethod
    def message(self, account: Account, subject: Subject, claim: Claim, notice: Notice) -> Message:
        """A notification as it goes out now."""

    @abstractmethod
    def acknowledged(self, status: int, body: bytes) -> bool:
        """Whether the merchant's answer stops the retries."""

    @abstractmethod
    def other_identity(self, account: Account) -> tuple[str, str]:
        """(merchant id, app id) of some other merchant of this channel."""

    @abstractmethod
    def payer(self, payment: Payment) -> str:
        """Who the one person with the phone is to this order's merchant."""

    @abstractmethod
    def new_trade_no(self) -> str: ...

    @abstractmethod
    def new_refund_no(self) -> str: ...

    def present_agreement(self, pay: Mapping[str, Any]) -> Agreement | None:
        """What the payer's device does with the `pay` of a contract; None if it is not this channel's
        or the channel has no deduction. Raises DeviceRefused as `present`."""
        return None

    def agreement_message(self, account: Account, agreement: Agreement, told: AgreementNotice) -> Message:
        """A notification about a contract as it goes out now."""
        raise NotImplementedError(f"{self.code} has no contracts")

    def merchant_order_no(self, payment: Payment) -> str:
        """The number that the merchant sent, where the book names the order by more than that."""
        return payment.order_no

    def unused_order_no(self, payment: Payment) -> str:
        """The name of an order that nobody knows, in the same form, for a false notice."""
        return f"X{payment.order_no[1:]}"

    @abstractmethod
    def native_state(self, payment: Payment) -> str:
        """The provider's own word for the order's state."""

    @abstractmethod
    def native_refund_state(self, refund: Refund) -> str: ...

    @abstractmethod
    def back_url(self, payment: Payment, *, paid: bool) -> str | None:
        """Where the payer's browser goes after paying or cancelling; None to stay."""

    @abstractmethod
    def render_bill(self, account: Account, bill: Bill, kind: str) -> BillFile: ...


@dataclass(frozen=True, slots=True)
class BillFile:
    filename: str
    content_type: str
    content: bytes


@cache
def channel_classes() -> Mapping[str, type[Channel]]:
    """Every provider by code, found by folder. Raises RuntimeError where a folder defines none."""
    found: dict[str, type[Channel]] = {}
    for info in pkgutil.iter_modules(sandbox.__path__, "sandbox."):
        if not info.ispkg or not _has_channel(info.name):
            continue
        module = importlib.import_module(f"{info.name}.channel")
        own = [c for c in vars(module).values() if _is_channel(c, module.__name__)]
        if len(own) != 1 or own[0].code in found:
            raise RuntimeError(f"{module.__name__} must define exactly one Channel with a code of its own")
        found[own[0].code] = own[0]
    return found


def _has_channel(package: str) -> bool:
    path = importlib.import_module(package).__path__
    return any(info.name == "channel" for info in pkgutil.iter_modules(path))


def _is_channel(value: object, module: str) -> bool:
    return inspect.isclass(value) and issubclass(value, Channel) and value.__module__ == module
