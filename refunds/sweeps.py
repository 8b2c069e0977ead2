"""What is due of refunds, done in batches: sendings, queries, approvals that grow old, policies of stray money."""

from __future__ import annotations

from paycenter.lanes import sweep
from refunds.abnormal import abnormal_apply_policy
from refunds.approvals import approvals_expire
from refunds.early import early_refund_book
from refunds.models import EarlyRefund, Refund
from refunds.sending import refund_query, refund_send
from trades.models import AbnormalPayment


def send_due() -> int:
    """Send approved refunds whose time has come. Returns how many were looked at."""
    return sweep("refund_send", Refund, "next_send_at", "channel", lambda pk: refund_send(refund_id=pk))


def query_due() -> int:
    """Ask about refunds that are under way. Returns how many were looked at."""
    return sweep("refund_query", Refund, "next_query_at", "channel", lambda pk: refund_query(refund_id=pk))


def book_early_due() -> int:
    """Book refunds that were told of before their payment, where it is booked now. Returns how many were looked at."""
    return sweep("refund_early", EarlyRefund, "next_try_at", "attempt__channel", early_refund_book)


def expire_due() -> int:
    """Void approvals that are too old. Returns how many refunds were looked at."""
    return sweep("refund_expiry", Refund, "next_expiry_at", "channel", lambda pk: approvals_expire(refund_id=pk))


def apply_policies_due() -> int:
    """Apply the policy to abnormal payments that are new. Returns how many were looked at."""
    return sweep("abnormal_policy", AbnormalPayment, "next_policy_at", "attempt__channel", abnormal_apply_policy)
