"""Codes in the records, in words: events, states, who did it, which call. An unknown code stays itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

EVENT_WORDS = {
    "merchant.created": _("Merchant opened"), "merchant.updated": _("Details changed"),
    "merchant.submit": _("Submitted for review"), "merchant.send_back": _("Sent back to draft"),
    "merchant.activate": _("Activated"), "merchant.suspend": _("Suspended"), "merchant.resume": _("Resumed"),
    "merchant.close": _("Closed for good"),
    "paymentaccount.created": _("Account opened"), "paymentaccount.configured": _("Parameters stored"),
    "paymentaccount.methods": _("Pay methods set"), "paymentaccount.renamed": _("Renamed"),
    "paymentaccount.checked": _("Connection checked"),
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
    "trade.given_up": _("An order that was taken could not be stored"),
    "trade.page_added": _("A page that was answered leads to this order"),
    "trade.waiting": _("Waiting for another try"), "trade.confirming": _("Payer came back"),
    "trade.paid": _("Paid"), "trade.closed": _("Closed"), "trade.failed": _("Failed"),
    "trade.amount_changed": _("Amount changed"), "trade.duplicate_paid": _("Abnormal payment recorded"),
    "attempt.created": _("Attempt created"), "attempt.submitted": _("Sent to the channel"),
    "attempt.unknown": _("Outcome unknown"), "attempt.failed": _("Attempt failed"),
    "attempt.refused_again": _("Refused by the channel once more"),
    "attempt.closed": _("Attempt closed"), "attempt.succeeded": _("Money arrived"),
    "attempt.asked": _("Channel asked"),
    "attempt.refund_notice": _("Notice about a refund"),
    "contract.created": _("Contract recorded"), "contract.signed": _("Contract signed"),
    "contract.failed": _("Contract not signed"), "contract.terminated": _("Contract ended"),
    "contract.terminate_requested": _("End of the contract asked for"),
    "contract.terminate_refused": _("The channel would not end the contract"),
    "abnormal.unverified": _("Money announced, being verified"), "abnormal.opened": _("Abnormal payment confirmed"),
    "abnormal.voided": _("Abnormal payment dismissed"),
    "abnormal.refunding": _("Abnormal payment being refunded"),
    "abnormal.refunded": _("Abnormal payment refunded"),
    "abnormal.open_again": _("Abnormal payment open again"), "abnormal.accepted": _("Abnormal payment kept"),
    "abnormal.acceptance_asked": _("Keeping the money asked for"),
    "abnormal.acceptance_withdrawn": _("Keeping the money no longer asked for"),
    "trade.refunds_changed": _("Refund sums changed"),
    "refund.requested": _("Refund asked for"), "refund.approved": _("Refund approved"),
    "refund.on_hold": _("Refund put on hold"), "refund.released": _("Refund released"),
    "refund.undecided": _("Refund to be decided afresh"), "refund.rejected": _("Refund rejected"),
    "refund.cancelled": _("Refund cancelled"), "refund.processing": _("Refund under way"),
    "refund.payout_refused": _("Payout found wrong"), "refund.failed": _("Refund failed"),
    "refund.sent_again": _("Refund tried again"), "refund.succeeded": _("Refunded"),
    "refund.decision_approve": _("Approval given"), "refund.decision_hold": _("Hold decided"),
    "refund.decision_reject": _("Rejection decided"), "refund.amount_changed": _("Refund amount changed"),
    "refund.approvals_expired": _("Approvals expired"), "refund.route_changed": _("Way of refunding changed"),
    "refund.unknown": _("Outcome of the refund unknown"), "refund.resent": _("Refund sent again, same number"),
    "refund.stuck": _("Refund stuck at the channel"), "refund.contradicted": _("Channel contradicts the refund"),
    "refund.external_named": _("Number of an outside refund recorded"),
    "refundpolicy.changed": _("Refund policy changed"),
    "channel.shed": _("Channel switched away"), "channel.recovered": _("Channel works again"),
    "channel.switched": _("Channel switched by hand"), "notification.given_up": _("Notification given up"),
    "app.key_forgotten": _("Previous key forgotten"), "alertroute.saved": _("Alert receiver saved"),
    "alertroute.tested": _("Test message sent"), "alertrule.saved": _("Alert rule saved"),
    "backloglimit.saved": _("Backlog limit saved"), "alert.kind_acknowledged": _("Alerts of a kind acknowledged"),
    "retryschedule.saved": _("Retry schedule saved"),
    "notification.resent": _("Notification sent again by hand"), "alert.acknowledged": _("Alert acknowledged"),
    "bill.asked_again": _("Asked for again"), "bill.received": _("File received"), "bill.reading": _("Being read"),
    "bill.imported": _("Bill imported"), "bill.refused": _("Bill refused"), "bill.find_empty": _("No money that day"),
    "bill.downloaded": _("File downloaded"), "reconciliation.compared": _("Day compared"),
    "reconciliation.asked": _("Comparing asked for"), "case.opened": _("Difference found"),
    "case.carried": _("Carried over to later bills"), "case.settled": _("Difference settled by itself"),
    "case.grew": _("More is unexplained"), "case.taken": _("Taken on"), "case.asked": _("Channel asked"),
    "case.ask_requested": _("Asking asked for"),
    "case.close_asked": _("Closing proposed"), "case.close_refused": _("Closing refused"),
    "case.closed": _("Case closed"), "case.reopened": _("Case reopened"), "batch.expected": _("Settlement expected"),
    "batch.blocked": _("Blocked by open cases"), "batch.unblocked": _("No longer blocked"),
    "batch.overridden": _("Gone on with a reason"), "batch.settled": _("Settlement agrees"),
    "batch.different": _("Settlement differs"), "batch.accepted": _("Difference accepted"),
    "receipts.imported": _("Bank statement imported"), "feerate.saved": _("Fee rate saved"),
    "settlementterms.saved": _("Settlement terms saved"), "settlementcalendar.saved": _("Settlement calendar saved"),
    "bankprofile.saved": _("Bank statement format saved"),
    "application.opened": _("Application begun"), "application.saved": _("Step saved"),
    "application.document_added": _("Document uploaded"), "application.document_removed": _("Document taken away"),
    "application.document_seen": _("Document looked at"), "application.numbers_shown": _("Whole numbers looked at"),
    "application.account_begun": _("Payment account begun"),
    "application.account_typed": _("Payment account filled in"),
    "application.account_saved": _("Payment account completed"),
    "application.account_removed": _("Payment account taken away"),
    "application.submitted": _("Application submitted"), "application.approved": _("Application approved"),
    "application.returned": _("Application returned"),
    "user.second_factor_added": _("Second factor set up"), "user.second_factor_removed": _("Second factor removed"),
    "user.second_factor_reset": _("Second factor reset"), "user.recovery_codes_renewed": _("Recovery codes renewed"),
    "user.signed_in": _("Signed in"), "user.signed_out": _("Signed out"),
    "user.sign_in_failed": _("Sign-in failed"),
    "user.sign_in_code_failed": _("Sign-in failed: right password, wrong code"),
    "user.code_failed": _("Wrong code when asked for it again"), "staff.downloaded": _("File downloaded"),
    "staff.changed": _("Something changed"),
    "listexport.requested": _("Export asked for"), "listexport.finished": _("Export written"),
    "listexport.failed": _("Export failed"), "listexport.cancelled": _("Export cancelled"),
    "listexport.downloaded": _("Export downloaded"), "listexport.forgotten": _("Export deleted"),
    "user.created": _("Staff member added"), "user.updated": _("Staff member changed"),
    "user.invited": _("Invitation link made"), "user.invitation_revoked": _("Invitation link taken back"),
    "user.password_link": _("Link for a new password made"), "user.joined": _("First password chosen"),
    "user.password_changed": _("Password changed"), "user.session_ended": _("Session ended"),
    "user.sessions_ended": _("All sessions ended"), "user.unlocked": _("Sign-in unlocked"),
    "app.opened": _("Taken into use"), "changerequest.expire": _("Change not confirmed in time"),
}  # fmt: skip

# What pages of the admin write where nothing says it better: `merchant.changed`.
_SAVED_WORDS = {
    "added": _("Record added"), "changed": _("Record changed"), "deleted": _("Record deleted"),
    "saved": _("Settings saved"),
}  # fmt: skip


# Calls of the API and of channels, as exchanges name them.
OPERATION_WORDS = {
    "gopay": _("ask for a payment"), "pay": _("place the order"), "query": _("query"), "close": _("close"),
    "notify": _("payment notice"), "return": _("payer came back"), "check": _("connection check"),
    "certificates": _("certificates"), "token": _("access token"), "authorize": _("payer's identity"),
    "bill": _("statement"), "refund": _("refund"), "query_refund": _("query a refund"), "alert": _("alert"),
    "refund_notify": _("refund notice"), "refund_cancel": _("take a refund back"),
    "cashier_orders": _("open a cashier order"), "query_trade": _("query a trade"),
    "sync_events": _("fetch events"), "contract": _("contract notice"),
    "contract_sign": _("sign a contract"), "contract_query": _("query a contract"),
    "contract_terminate": _("end a contract"), "query_contract": _("query a contract"),
    "terminate_contract": _("end a contract"),
}  # fmt: skip
_SYSTEM_WORDS = {
    "query": _("query"), "expiry": _("expiry"), "superseded": _("other way chosen"), "probe": _("probe"),
    "breaker": _("circuit breaker"), "refund": _("refund"),
    "reconciliation": _("reconciliation"), "command": _("command line"),
}  # fmt: skip
_states: dict[tuple[str, str], Any] = {}
_channel_names: list[Callable[[str], str]] = []
_method_names: list[Callable[[str], str]] = []


def names_states(choices: Iterable[tuple[str, Any]], of: str = "") -> None:
    """Register the words of an app's states; `of` a kind of record (as events name it) where they are its own."""
    _states.update({(of, code): word for code, word in choices})


def names_channels(function: Callable[[str], str]) -> Callable[[str], str]:
    """Register what knows a channel's name by its code."""
    _channel_names.append(function)
    return function


def names_methods(function: Callable[[str], str]) -> Callable[[str], str]:
    """Register what knows a pay method's name by its code."""
    _method_names.append(function)
    return function


def method_word(code: str) -> str:
    """A pay method, in words."""
    return next((found for ask in _method_names if (found := ask(code)) != code), code)


def event_word(type_: str) -> str:
    """What happened, in words."""
    return str(EVENT_WORDS.get(type_) or _SAVED_WORDS.get(type_.rpartition(".")[2]) or type_)


def operation_word(operation: str) -> str:
    """Which call it was, in words."""
    return str(OPERATION_WORDS.get(operation, operation))


def state_word(state: str, of: str = "") -> str:
    """A state of any record, in words; `of` a kind of record that may have words of its own."""
    return str(_states.get((of, state)) or _states.get(("", state), state))


def states_words(before: str, after: str, of: str = "") -> str:
    """`Waiting → Paying`; the one state where nothing or the same went before."""
    changed = before and before != after
    return f"{state_word(before, of)} → {state_word(after, of)}" if changed else state_word(after, of)


def party(code: str) -> str:
    """Who did or sent it: `app:APP1`, `channel:alipay`, `staff:ann`, `system:query`, `payer`, `policy`, `schedule`."""
    kind, _colon, name = code.partition(":")
    if kind == "channel" and name:
        return next((found for ask in _channel_names if (found := ask(name)) != name), name)
    words = {"app": gettext("App"), "staff": gettext("Staff"), "system": gettext("Center"),
             "payer": gettext("Payer"), "policy": gettext("Policy"), "schedule": gettext("by schedule")}  # fmt: skip
    if kind not in words:
        return code
    detail = str(_SYSTEM_WORDS.get(name, name)) if kind == "system" else name
    return f"{words[kind]} {detail}".rstrip()


def actor_word(actor: str, *, with_staff: bool) -> str:
    """The actor in words; tenants (`with_staff` false) are not told which of our staff it was."""
    return party("staff" if actor.startswith("staff:") and not with_staff else actor)
