"""Books that agree, for doctoring."""

from __future__ import annotations

import json

from deploy.soak.books import Books

T, A1, A2, R1, R2 = "T1", "A1", "A2", "R1", "R2"


def body(webhook_id: str, type_: str, **data: str) -> str:
    return json.dumps({"id": webhook_id, "type": type_, "created_at": "x", "data": data})


def message(number: str, type_: str, at: float, refund_no: str = "") -> dict:
    data = {"trade_no": T, **({"refund_no": refund_no} if refund_no else {})}
    return {
        "webhook_id": number, "app_id": "APP", "type": type_, "trade_no": T, "refund_no": refund_no,
        "state": "delivered", "body": body(number, type_, **data), "committed_at": at, "next_delivery_at": None,
    }  # fmt: skip


def receipt(of: dict, at: float) -> dict:
    return {"at": at, "webhook_id": of["webhook_id"], "type": of["type"], "body": of["body"], "genuine": True,
            "acknowledged": True}  # fmt: skip


def event(seq: int, type_: str, at: float, **numbers: str) -> dict:
    blank = {"trade_no": T, "attempt_no": "", "refund_no": ""}
    return {"id": seq, "seq": seq, "type": type_, "object_type": "x", "to_state": "", "actor": "x", "committed_at": at,
            "app_id": "APP", "public": True, **blank, **numbers}  # fmt: skip


def refund(number: str, amount: int, at: float, **values: object) -> dict:
    return {
        "refund_no": number, "channel_request_no": number, "app_refund_no": f"app-{number}", "trade_no": T,
        "attempt_no": A1, "abnormal_id": None, "amount": amount, "requested_amount": amount, "state": "succeeded",
        "route": "original", "source": "api", "counted_as_external": False, "sends": 1, "committed_at": at,
        "next_send_at": None, "next_query_at": None, "app_id": "APP", "merchant_no": "M1", "currency": "CNY",
        "requested_by_username": None, "changed_by_username": None, **values,
    }  # fmt: skip


def decided(number: str, user: str, at: float, **values: object) -> dict:
    return {"refund_no": number, "approver_username": user, "decision": "approve", "round": 1, "amount": 300,
            "committed_at": at, **values}  # fmt: skip


def attempt(number: str) -> dict:
    return {
        "attempt_no": number, "trade_no": T, "state": "succeeded", "amount": 1000, "paid_amount": 1000,
        "paid_currency": "CNY", "channel_trade_no": f"CH{number}", "channel": "alipay", "committed_at": 1.0,
        "next_query_at": None, "next_close_at": None,
    }  # fmt: skip


def at_channel(number: str) -> dict:
    return {"id": 1, "channel": "alipay", "order_no": number, "attempt_no": number, "trade_no": f"CH{number}",
            "state": "paid", "paid_amount": 1000, "currency": "CNY", "paid_at": 9.0}  # fmt: skip


def case(state: str) -> dict:
    return {"id": 1, "account_channel": "alipay", "subject": "payment", "kind": "missing_here", "state": state,
            "trade_no": "", "attempt_no": A1, "refund_no": "", "our_amount": None, "channel_amount": 5}  # fmt: skip


def agreeing() -> Books:
    """One trade paid twice; 300 of it given back, 200 refused by people."""
    messages = [message("m1", "trade.paid", 10.0), message("m2", "trade.duplicate_paid", 11.0),
                message("m3", "refund.succeeded", 20.0, R1), message("m4", "refund.rejected", 21.0, R2)]  # fmt: skip
    return Books(
        trades=[{
            "id": 1, "trade_no": T, "app_id": "APP", "app_order_no": "O1", "amount": 1000, "currency": "CNY",
            "state": "paid", "paid_amount": 1000, "refunded_amount": 300, "refunding_amount": 0,
            "external_refunded": 0, "settled_attempt_no": A1, "committed_at": 1.0, "next_close_at": None,
        }],
        attempts=[attempt(A1), attempt(A2)],
        abnormal=[{"id": 7, "trade_no": T, "attempt_no": A2, "kind": "duplicate", "state": "open", "amount": 1000,
                   "refunded_amount": 0, "refunding_amount": 0, "external_refunded": 0}],
        refunds=[refund(R1, 300, 12.0, requested_by_username="clerk"),
                 refund(R2, 200, 13.0, state="rejected", sends=0)],
        approvals=[decided(R2, "finance", 14.0, decision="reject"),
                   decided(R1, "finance", 12.1), decided(R1, "finance2", 12.2)],
        policies=[{"app_id": "APP", "merchant_no": "M1", "currency": "", "automatic_up_to": 100,
                   "one_approval_up_to": 250, "abnormal_automatic_up_to": 100}],
        notifications=messages,
        events=[event(1, "attempt.succeeded", 10.0, attempt_no=A1), event(2, "trade.paid", 10.0),
                event(3, "attempt.succeeded", 11.0, attempt_no=A2), event(4, "refund.succeeded", 20.0, refund_no=R1),
                event(5, "refund.rejected", 21.0, refund_no=R2), event(6, "attempt.submitted", 2.0, attempt_no=A1),
                event(7, "trade.paying", 2.0), event(8, "refund.approved", 12.2, refund_no=R1)],
        channel_payments=[at_channel(A1), at_channel(A2)],
        channel_refunds=[{"id": 1, "refund_no": R1, "attempt_no": A1, "amount": 300, "state": "success", "console": 0}],
        channel_notices=[{"id": 1, "attempt_no": A1, "channel": "alipay", "acknowledged_at": 10.2}],
        answers=[
            {"at": 2.5, "path": "/v1/gopay", "errno": 0, "content": {}, "data": {"trade_no": T, "attempt_no": A1,
                                                                                  "state": "paying"}},
            {"at": 12.5, "path": "/v1/refund", "errno": 0, "content": {}, "data": {"refund_no": R1, "trade_no": T,
                                                                                    "state": "approved"}},
            {"at": 30.0, "path": "/v1/query/trade", "errno": 0, "content": {},
             "data": {"trade_no": T, "state": "paid"}},
        ],
        events_read=[{"app_id": "APP", "id": seq, "seq": seq} for seq in range(1, 9)],
        bills=[{"channel": "alipay", "account": "Z1", "day": "2026-11-26", "state": "imported"}],
        cases=[case("settled"), case("carried")],
        receipts=[receipt(m, m["committed_at"] + 1) for m in messages],
        decisions=[{"at": 14.1, "refund_no": R2, "user": "finance", "decision": "reject"}],
    )  # fmt: skip
