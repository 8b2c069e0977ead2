"""A method: one scene of one channel (PC page, QR, JSAPI ...), one small file in the provider's folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from channels.base.fields import Label
from channels.base.orders import PayOrder
from channels.base.results import PayResult

if TYPE_CHECKING:
    from channels.base.provider import Provider


class Device(StrEnum):
    """Where the payer looks at the cashier page."""

    PC = "pc"
    MOBILE = "mobile"  # a phone's ordinary browser
    WECHAT = "wechat"  # inside WeChat's browser
    ALIPAY = "alipay"  # inside Alipay's browser
    MINI = "mini"  # a mini program's web view


class PayerKey(StrEnum):
    OPENID = "openid"  # WeChat, of the account's own app id
    BUYER_ID = "buyer_id"  # Alipay
    PHONE = "phone"


class Method(ABC):
    """Subclass it in a file of the provider's folder; the file is the registration.

    `code` is unique in the center, lower case `[a-z0-9_]{3,32}`. `instruction` is the type of `pay`
    that callers get (`redirect`, `form`, `qrcode`, `sdk`, `none`). `devices` is where the cashier
    offers it (empty: only through the API). `payer_key` is the payer's identity it cannot do without.
    `own_cashier` marks channels that insist on their own cashier page: the payer is sent straight
    there. `currencies` is what it can charge. `icon` names a file below `static/cashier/icons/`.
    """

    code: ClassVar[str]
    name: ClassVar[Label]
    instruction: ClassVar[str]
    devices: ClassVar[frozenset[Device]] = frozenset()
    payer_key: ClassVar[PayerKey | None] = None
    needs_client_ip: ClassVar[bool] = False
    own_cashier: ClassVar[bool] = False
    currencies: ClassVar[frozenset[str]] = frozenset({"CNY"})

    @abstractmethod
    def pay(self, provider: Any, order: PayOrder) -> PayResult:
        """Send the attempt. Called once per send, outside any transaction.

        Must be safe to repeat under the same `order.order_no` after an unknown outcome.
        Raises NotSent or UnknownOutcome; a refusal is returned.
        """

    def accepts(self, provider: Provider) -> bool:
        """Whether an account with this configuration can use the scene at all."""
        return True
