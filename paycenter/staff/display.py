"""How values look on admin pages: chips, numbers with a copy button, money, event names."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from paycenter.money import Money

TONES = {
    "active": "good", "paid": "good", "succeeded": "good", "delivered": "good", "confirmed": "good",
    "accepted": "good", "refunded": "good", "review": "info", "paying": "info", "confirming": "info",
    "submitted": "info", "pending": "info", "created": "", "refunding": "info", "unknown": "warn",
    "suspended": "warn", "unverified": "warn", "open": "bad", "given_up": "bad", "rejected": "bad",
    "failed": "bad", "critical": "bad", "warning": "warn", "info": "info",
}  # fmt: skip


def chip(text: Any, tone: str = "") -> SafeString:
    """A small coloured label. `tone` is good, warn, bad, info or empty."""
    return format_html('<span class="pc-chip {}">{}</span>', tone, text)


def state_chip(record: Any) -> SafeString:
    """The record's state in words, coloured."""
    return chip(record.get_state_display(), TONES.get(str(record.state), ""))


def copyable(text: str | None) -> SafeString:
    """A number in fixed width with a button that copies it."""
    return SafeString(render_to_string("admin/pc/copy.html", {"text": text or ""}).strip()) if text else SafeString("–")


def money(amount: int | None, currency: str) -> str:
    """`128.50 CNY`; a dash where there is none."""
    return "–" if amount is None else f"{Decimal(Money(amount, currency).major):,} {currency}"


EVENT_WORDS = {
    "merchant.created": _("Merchant opened"), "merchant.updated": _("Details changed"),
    "merchant.submit": _("Submitted for review"), "merchant.send_back": _("Sent back to draft"),
    "merchant.activate": _("Activated"), "merchant.suspend": _("Suspended"), "merchant.resume": _("Resumed"),
    "merchant.close": _("Closed for good"),
    "paymentaccount.created": _("Account opened"), "paymentaccount.configured": _("Parameters stored"),
    "paymentaccount.methods": _("Pay methods set"), "paymentaccount.checked": _("Connection checked"),
    "paymentaccount.submit": _("Submitted for review"), "paymentaccount.send_back": _("Sent back to draft"),
    "paymentaccount.activate": _("Activated"), "paymentaccount.suspend": _("Suspended"),
    "paymentaccount.resume": _("Resumed"), "paymentaccount.close": _("Closed for good"),
    "app.created": _("App registered"), "app.updated": _("Details changed"),
    "app.merchant_linked": _("May collect for a merchant"),
    "app.merchant_unlinked": _("May no longer collect for a merchant"),
    "app.cashier_methods": _("Cashier methods set"), "app.addresses_changed": _("Addresses changed"),
    "app.key_rotated": _("Key changed"),
    "changerequest.requested": _("Change asked for"), "changerequest.confirm": _("Change confirmed"),
    "changerequest.reject": _("Change rejected"), "changerequest.withdraw": _("Change withdrawn"),
    "trade.created": _("Order created"), "trade.paying": _("Payment started"),
    "trade.waiting": _("Waiting for another try"), "trade.confirming": _("Payer came back"),
    "trade.paid": _("Paid"), "trade.closed": _("Closed"), "trade.failed": _("Failed"),
    "trade.amount_changed": _("Amount changed"), "trade.duplicate_paid": _("Abnormal payment recorded"),
    "attempt.created": _("Attempt created"), "attempt.submitted": _("Sent to the channel"),
    "attempt.unknown": _("Outcome unknown"), "attempt.failed": _("Attempt failed"),
    "attempt.closed": _("Attempt closed"), "attempt.succeeded": _("Money arrived"),
    "attempt.refund_notice": _("Notice about a refund"),
    "abnormal.unverified": _("Money announced, being verified"), "abnormal.opened": _("Abnormal payment confirmed"),
    "abnormal.voided": _("Abnormal payment dismissed"),
    "channel.shed": _("Channel switched away"), "channel.recovered": _("Channel works again"),
    "channel.switched": _("Channel switched by hand"), "notification.given_up": _("Notification given up"),
    "app.key_forgotten": _("Previous key forgotten"), "alertroute.saved": _("Alert route saved"),
    "retryschedule.saved": _("Retry schedule saved"),
    "notification.resent": _("Notification sent again by hand"), "alert.acknowledged": _("Alert acknowledged"),
    "user.second_factor_added": _("Second factor set up"), "user.second_factor_removed": _("Second factor removed"),
    "user.second_factor_reset": _("Second factor reset"), "user.recovery_codes_renewed": _("Recovery codes renewed"),
    "user.created": _("Staff member added"), "user.updated": _("Staff member changed"),
}  # fmt: skip


def event_word(type_: str) -> str:
    """What happened, in words; the code itself where there are none."""
    return str(EVENT_WORDS.get(type_, type_))
