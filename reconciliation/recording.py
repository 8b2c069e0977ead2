"""Writing new cases and their events: thousands may come of one bad bill, so without a model instance each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from merchants.models import App
from paycenter.times import iso
from reconciliation.actors import SYSTEM
from reconciliation.bulk import write_rows
from reconciliation.matching import Difference, Scope
from reconciliation.models import Case, CaseKind
from reconciliation.rules import Ours, Theirs, unexplained
from reconciliation.states import CaseState

Name = tuple[str, str, str]  # subject, key, kind
# Differences that the channel's live answer can settle or prove.
ASKABLE = (CaseKind.STATUS, CaseKind.MISSING_AT_CHANNEL, CaseKind.AMOUNT, CaseKind.CURRENCY)
_CASE = (
    "account_id", "app_id", "day", "subject", "kind", "state", "key", "bill_id", "line", "attempt_id", "record_id",
    "trade_no", "attempt_no", "refund_no", "our_amount", "channel_amount", "currency", "difference", "evidence",
    "carry_until", "outcome", "reason", "next_ask_at", "asks", "opened_at", "version",
)  # fmt: skip
_EVENT = (
    "type", "created_at", "object_type", "object_id", "app_id", "merchant_no", "trade_no", "attempt_no", "refund_no",
    "from_state", "to_state", "actor", "reason", "detail", "public", "hash",
)  # fmt: skip


def write(scope: Scope, found: Mapping[Name, Difference]) -> None:
    """A case and its event for each. Must run inside a transaction that made sure that none is there yet."""
    if not found:
        return
    now = timezone.now()
    cases = {name: _case(scope, difference, now) for name, difference in found.items()}
    write_rows("reconciliation_case", _CASE, ([case[column] for column in _CASE] for case in cases.values()))
    apps = App.objects.in_bulk({case["app_id"] for case in cases.values() if case["app_id"]})
    written = Case.objects.filter(account=scope.account, key__in={key for _subject, key, _kind in cases})
    ids = {(subject, key, kind): pk for pk, subject, key, kind in written.values_list("pk", "subject", "key", "kind")}
    write_rows("paycenter_event", _EVENT, (_event(scope, ids[name], case, apps) for name, case in cases.items()))


def _case(scope: Scope, difference: Difference, now: datetime) -> dict[str, Any]:
    ours, theirs, kind = difference.ours, difference.theirs, difference.kind
    carry = timedelta(days=settings.RECONCILIATION_CARRY_DAYS)
    carried = kind == CaseKind.MISSING_AT_CHANNEL and carry > timedelta(0)
    numbers = ours.numbers if ours is not None else {}
    side = ours or theirs
    return {
        "account_id": scope.account.pk, "app_id": numbers.get("app_id"), "day": scope.day,
        "subject": difference.side.subject.value, "kind": kind.value, "key": difference.key[:72],
        "state": (CaseState.CARRIED if carried else CaseState.OPEN).value,
        "bill_id": theirs.bill_id if theirs else None, "line": theirs.line if theirs else None,
        "attempt_id": numbers.get("attempt_id"), "record_id": ours.record_id if ours else None,
        "trade_no": numbers.get("trade_no", ""), "attempt_no": numbers.get("attempt_no", ""),
        "refund_no": numbers.get("refund_no", ""), "our_amount": ours.amount if ours else None,
        "channel_amount": theirs.amount if theirs else None, "currency": side.currency if side else "",
        "difference": unexplained(kind, ours, theirs), "evidence": json.dumps(evidence(ours, theirs)),
        "carry_until": scope.day + carry if carried else None, "outcome": "", "reason": "", "asks": 0,
        "next_ask_at": now if kind in ASKABLE and ours is not None else None, "opened_at": now, "version": 1,
    }  # fmt: skip


def _event(scope: Scope, case_id: int, case: Mapping[str, Any], apps: Mapping[int, App]) -> list[Any]:
    """As `paycenter.transitions.record_event` writes it."""
    app = apps.get(case["app_id"])
    detail = {name: case[name] for name in ("kind", "difference", "currency")}
    type_ = "case.carried" if case["state"] == CaseState.CARRIED else "case.opened"
    return [
        type_, case["opened_at"], "case", case_id, app.app_id if app else "", scope.account.merchant.merchant_no,
        case["trade_no"], case["attempt_no"], case["refund_no"], "", case["state"], SYSTEM, "", json.dumps(detail),
        False, "",
    ]  # fmt: skip


def evidence(ours: Ours | None, theirs: Theirs | None) -> dict[str, Any]:
    """Both sides as they stood, for people to compare."""
    found: dict[str, Any] = {"ours": None, "theirs": None}
    if ours is not None:
        found["ours"] = {
            "amount": ours.amount, "currency": ours.currency, "state": ours.state, "at": iso(ours.at), "fee": ours.fee,
            "method": ours.method, "channel_trade_no": ours.channel_trade_no, "order_no": ours.key,
        }  # fmt: skip
    if theirs is not None:
        found["theirs"] = {
            "amount": theirs.amount, "currency": theirs.currency, "state": theirs.state, "at": iso(theirs.at),
            "fee": theirs.fee, "channel_trade_no": theirs.channel_trade_no, "line": theirs.line,
            "order_no": theirs.order_no, "refund_no": theirs.refund_no, "channel_refund_no": theirs.channel_refund_no,
            "channel_state": theirs.channel_state,
        }  # fmt: skip
    return found
