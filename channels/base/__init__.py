"""What every payment channel implements, and nothing of any one channel.

Pure Python: no Django, no database. A provider is one folder below `channels`; see
`channels.base.provider.Provider` and `channels.base.methods.Method`.
"""

from channels.base.bills import BillKind, BillRow, BillRowKind, BillRowState, BillRule, FetchedBill
from channels.base.contracts import ContractAnswer, ContractMethod, ContractRef, ContractWord, SignOrder
from channels.base.fields import Field, FieldKind, Label
from channels.base.guides import Copied, GuideStep, OurValue
from channels.base.methods import Device, Method, PayerKey
from channels.base.orders import InboundRequest, NumberRule, OrderRef, PayOrder, Reply
from channels.base.provider import Provider
from channels.base.refunds import RefundOrder, RefundRef, RefundResult, RefundState
from channels.base.results import (
    CheckResult,
    CloseOutcome,
    CloseResult,
    Form,
    Initiated,
    Instruction,
    NoAction,
    Notice,
    NoticeKind,
    PaymentState,
    PayResult,
    QrCode,
    QueryResult,
    Redirect,
    Refused,
    ReturnNotice,
    SdkParams,
)

__all__ = [
    "BillKind", "BillRow", "BillRowKind", "BillRowState", "BillRule", "CheckResult",
    "CloseOutcome", "CloseResult", "ContractAnswer", "ContractMethod", "ContractRef", "ContractWord", "Copied",
    "Device", "FetchedBill", "Field", "FieldKind", "Form", "GuideStep",
    "InboundRequest", "Initiated", "Instruction", "Label", "Method", "NoAction", "Notice",
    "NoticeKind", "NumberRule", "OrderRef", "OurValue", "PayOrder", "PayResult", "PayerKey", "PaymentState", "Provider",
    "QrCode", "QueryResult", "Redirect", "RefundOrder", "RefundRef", "RefundResult", "RefundState", "Refused",
    "Reply", "ReturnNotice", "SdkParams", "SignOrder",
]
