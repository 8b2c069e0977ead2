"""Orders: taking them in from a payer's device, asking for them, closing them.

An order is named by merchant, day and number: in the book that is one text, `<merchant>-<day>-<number>`.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from sandbox.amounts import parse_yuan, yuan
from sandbox.bank.contract import account_key
from sandbox.bank.wire import Fields, Refused, day, moment, stamp, text_to_sign, wrong
from sandbox.book import NewPayment, NotPossible, serial_number
from sandbox.clock import beijing
from sandbox.context import Context
from sandbox.records import Account, Payment, PaymentState

SUBJECT_LENGTH, URL_LENGTH = 64, 512
_OLDEST_SECONDS, _LATEST_SECONDS = 31 * 86400.0, 31 * 86400.0
# A merchant's clock may be a little ahead, also at midnight.
_AHEAD_SECONDS = 15 * 60.0
_NUMBER = re.compile(r"[0-9]{6}|[0-9]{10}", re.ASCII)
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,11})\.[0-9]{2}", re.ASCII)
# As banks print a card.
PAYER = "622588******1234"


def book_name(fields: Fields) -> str:
    """The order that a message names, as the book has it."""
    merchant = account_key(fields.get("BranchID", ""), fields.get("CoNo", ""))
    return f"{merchant}-{fields.get('Date', '')}-{fields.get('BillNo', '')}"


def wire_name(order_no: str) -> dict[str, str]:
    """`Date` and `BillNo` of an order in the book."""
    _merchant, date, number = order_no.rsplit("-", 2)
    return {"BillNo": number, "Date": date}


def amount_of(fields: Fields) -> int:
    text = fields.get("Amount", "")
    if not _AMOUNT.fullmatch(text) or parse_yuan(text) < 1:
        raise wrong("Amount")
    return parse_yuan(text)


def address_of(fields: Fields, name: str, *, required: bool) -> str:
    text = fields.get(name, "")
    if not text and not required:
        return ""
    if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname or len(text) > URL_LENGTH:
        raise wrong(name)
    return text


class Orders:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.book = context.book

    def take(self, account: Account, fields: Fields) -> Payment:
        """The order of a signed `pay`: a new one, or the one that the same fields made before."""
        self._check(account, fields)
        known, request = self.book.find("bank", account.key, book_name(fields)), text_to_sign(fields).decode()
        if known is not None:
            if known.request != request:
                raise Refused("ORD0004", "订单号已被使用且内容不一致")
            return known
        now, expires_at = self.context.clock(), moment(fields, "ExpireTime")
        if expires_at <= now:
            raise Refused("ORD0003", "订单已过期")
        notice_url = address_of(fields, "NoticeUrl", required=True)
        return self.book.add(NewPayment(
            channel="bank", account=account.key, order_no=book_name(fields), trade_no=serial_number(now, "55"),
            scene=fields["Scene"].lower(), amount=amount_of(fields), currency="CNY", subject=fields["Subject"],
            notify_url=notice_url, return_url=address_of(fields, "ReturnUrl", required=False),
            code=self.context.token(), code_expires_at=expires_at, expires_at=expires_at,
            state=PaymentState.UNPAID, request=request, extra={"card_type": fields.get("CardType", "DEBIT")},
        ), attempt_no=_last_part(notice_url))  # fmt: skip

    def _check(self, account: Account, fields: Fields) -> None:
        number, now = fields.get("BillNo", ""), self.context.clock()
        if not _NUMBER.fullmatch(number) or len(number) != int(account.config["order_no_digits"]):
            raise wrong("BillNo")
        latest = beijing(now + _AHEAD_SECONDS).strftime("%Y%m%d")
        if day(fields, "Date") < now - _OLDEST_SECONDS or fields["Date"] > latest:
            raise wrong("Date")
        amount_of(fields)
        if moment(fields, "ExpireTime") > now + _LATEST_SECONDS:
            raise wrong("ExpireTime")
        if not 1 <= len(fields.get("Subject", "")) <= SUBJECT_LENGTH:
            raise wrong("Subject")
        if fields.get("Scene") not in ("PC", "WAP", "APP"):
            raise wrong("Scene")
        if fields.get("CardType", "DEBIT") not in ("DEBIT", "CREDIT"):
            raise wrong("CardType")
        address_of(fields, "NoticeUrl", required=True)
        address_of(fields, "ReturnUrl", required=False)

    def existing(self, account: Account, fields: Fields) -> Payment:
        if not _NUMBER.fullmatch(fields.get("BillNo", "")):
            raise wrong("BillNo")
        day(fields, "Date")
        found = self.book.find("bank", account.key, book_name(fields))
        if found is None:
            raise Refused("ORD0001", "订单不存在")
        return found

    def query(self, account: Account, fields: Fields) -> dict[str, str]:
        payment = self.existing(account, fields)
        answer = {"OrderStatus": status_of(payment), "Amount": yuan(payment.total)}
        if payment.state is PaymentState.PAID and payment.paid_at is not None:
            answer |= {"BankSerialNo": payment.trade_no, "PaidTime": stamp(payment.paid_at), **payer_of(payment)}
        refunded = self.book.refunded(payment, settled=True)
        return answer | ({"RefundedAmount": yuan(refunded)} if refunded else {})

    def close(self, account: Account, fields: Fields) -> dict[str, str]:
        """Idempotent. An order that ended by itself was not closed by this call, and says so."""
        payment = self.existing(account, fields)
        if payment.state is PaymentState.UNPAID:
            try:
                payment = self.book.close(payment)
            except NotPossible:
                payment = self.book.payment(payment.id)
        if payment.state is PaymentState.PAID:
            raise Refused("ORD0002", "订单已支付")
        if status_of(payment) == "EXPIRED":
            raise Refused("ORD0003", "订单已过期")
        return {"OrderStatus": "CLOSED"}


def _last_part(address: str) -> str | None:
    """What the merchant calls the payment: its notice address ends with it."""
    return urlsplit(address).path.rstrip("/").rpartition("/")[2][:64] or None


def payer_of(payment: Payment) -> dict[str, str]:
    return {"CardType": str(payment.extra.get("card_type") or "DEBIT"), "PayerAccount": payment.payer or PAYER}


def status_of(payment: Payment) -> str:
    """The bank's word."""
    if payment.state is PaymentState.CLOSED:
        return "EXPIRED" if (payment.closed_at or 0) >= payment.expires_at else "CLOSED"
    return payment.state.value.upper()
