"""The provider contract: one instance per payment account and process, keys parsed once.

A provider folder holds `gateway.py` (the wire: URL, signing, verifying, raw answers), `provider.py`
(normalises it to the shapes in `channels.base.results`), and one small file per scene.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

from channels.base.bills import BillKind, BillRow, BillRule, FetchedBill
from channels.base.fields import Field, Label
from channels.base.guides import GuideStep
from channels.base.orders import InboundRequest, NumberRule, OrderRef, PayOrder, Reply
from channels.base.refunds import RefundOrder, RefundRef, RefundResult
from channels.base.results import (
    CheckResult,
    CloseResult,
    Notice,
    PayResult,
    QueryResult,
    ReturnNotice,
)
from paycenter.errors import UnknownOutcome
from paycenter.http import HttpClient

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Provider(ABC):
    """Speaks one channel's protocol for one payment account.

    `config` holds the validated values of `fields` by name (see `channels.base.config.clean_config`,
    which runs before anything is stored). Instances are shared by threads and keep no per-order state.
    No method may touch a database or be called inside a transaction.
    """

    code: ClassVar[str]
    name: ClassVar[Label]
    fields: ClassVar[tuple[Field, ...]]
    # Where the merchant finds the parameters, step by step; without it the fields' own help is all there is.
    guide: ClassVar[tuple[GuideStep, ...]] = ()
    # Whether the payer's identity can be asked for by a web authorisation (JSAPI scenes).
    payer_authorization: ClassVar[bool] = False
    # Whether the channel can close an unpaid order at all.
    can_close: ClassVar[bool] = True
    # Whether the channel gives money back on a call; where it does not, refunds are paid out by hand.
    can_refund: ClassVar[bool] = False
    # Seconds after a refund call during which the channel's "no such refund" says nothing (Alipay: 10).
    refund_settling_seconds: ClassVar[int] = 0
    # Keys of the channel's messages that are secret or personal, masked wherever an exchange is logged.
    masked_keys: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self, config: Mapping[str, Any], *, http: HttpClient, clock: Clock = utc_now
    ) -> None:
        self.config = config
        self.http = http
        self.clock = clock

    @classmethod
    def check_config(cls, config: Mapping[str, Any], now: datetime) -> dict[str, list[Label]]:
        """Cross-field checks after each field passed its own (a key pair that does not match ...).

        Returns problems by field name; empty means fine. No network here.
        """
        return {}

    def number_rule(self) -> NumberRule | None:
        """The order-number format this account's channel insists on; None: it takes our attempt number."""
        return None

    @abstractmethod
    def check(self) -> CheckResult:
        """Ask the channel something harmless to prove that address, identity and keys work."""

    def pay(self, method_code: str, order: PayOrder) -> PayResult:
        """Send the attempt through one of the provider's scenes; raises as `Method.pay`."""
        from channels.base.discovery import method_for

        return method_for(method_code).pay(self, order)

    @abstractmethod
    def query(self, order: OrderRef) -> QueryResult:
        """Ask for the payment's state. Raises NotSent or UnknownOutcome; answers are verified and
        must be for `order.order_no` of this very account, else UnknownOutcome."""

    @abstractmethod
    def close(self, order: OrderRef) -> CloseResult:
        """Close the unpaid order at the channel. Raises NotSent or UnknownOutcome."""

    def refund(self, order: RefundOrder) -> RefundResult:
        """Give money back. Safe to repeat under the same `order.refund_no` after an unknown outcome, and only
        then: the number is the idempotency key, and the same order always gives the same request.

        A refusal is a FAILED result. Raises NotSent or UnknownOutcome.
        """
        raise UnknownOutcome(f"{self.code} gives nothing back through its API")

    def query_refund(self, refund: RefundRef) -> RefundResult:
        """Ask for a refund's state. NOT_FOUND only where the channel says explicitly that it has no such refund.

        Raises NotSent or UnknownOutcome, also for an answer about another refund or payment.
        """
        raise UnknownOutcome(f"{self.code} cannot be asked about refunds")

    @abstractmethod
    def parse_notify(self, request: InboundRequest) -> Notice:
        """Verify and normalise a notification about a payment or a refund, whichever address it came to. No
        outbound call may result from an unverified one.

        Raises BadSignature, IdentityMismatch or MalformedInbound.
        """

    @abstractmethod
    def ack(self, notice: Notice) -> Reply:
        """What the channel accepts as received; sent only after our commit."""

    @abstractmethod
    def nack(self, reason: str) -> Reply:
        """What makes the channel send the notification again. `reason` holds nothing secret."""

    def bill_rule(self) -> BillRule | None:
        """When this account's bills are there; None: the channel has none to fetch."""
        return None

    def fetch_bill(self, day: date, kind: BillKind, into: Path) -> FetchedBill:
        """Download one day's bill to the file `into`, exactly as the channel sends it, its hash checked where
        the channel publishes one. Raises BillNotReady, BillRefused, NotSent or UnknownOutcome."""
        raise UnknownOutcome(f"{self.code} has no bills to fetch")

    def read_bill(self, path: Path, day: date, kind: BillKind) -> Iterator[BillRow]:
        """The rows of a downloaded or uploaded bill, one by one, by header names and never by position.

        Raises BillRefused, also after the last row: for another day or account, changed columns, a missing end,
        totals that its own rows contradict. Nothing of a refused bill may be used.
        """
        raise UnknownOutcome(f"{self.code} has no bills to read")

    def parse_return(self, request: InboundRequest, order: OrderRef) -> ReturnNotice:
        """Look at a returning browser's request. Raises BadSignature where a signature is wrong."""
        return ReturnNotice(verified=False)

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        """Where the payer's in-app browser goes to tell us who it is (web authorisation)."""
        raise NotImplementedError(f"{self.code} has no payer authorisation")

    def payer_from_code(self, code: str) -> Mapping[str, str]:
        """Exchange the code of the authorisation for `{"openid"| "buyer_id": …}`.

        Raises NotSent, UnknownOutcome, or BadSignature for a code the channel refuses.
        """
        raise NotImplementedError(f"{self.code} has no payer authorisation")
