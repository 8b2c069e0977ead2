"""Answers recorded by others, read by our provider (skipped where the recordings are not at hand)."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from channels.base import InboundRequest, Initiated, NoticeKind, PaymentState, Refused
from channels.base.reading import read_json
from channels.mpgs.reading import order_state
from paycenter.money import Money
from tests.channels.mpgs.wire import MERCHANT, WEBHOOK_SECRET

_FOLDER = os.environ.get("PAYCENTER_VECTORS")
pytestmark = pytest.mark.skipif(not _FOLDER, reason="PAYCENTER_VECTORS names no folder of recorded samples")
NUMBER = "3451-5454545-5454-8766"


def recorded(name: str) -> tuple[int, bytes]:
    """Status and body of a recorded HTTP answer."""
    raw = (Path(str(_FOLDER)) / "mpgs" / name).read_bytes().replace(b"\r\n", b"\n")
    head, _, body = raw.partition(b"\n\n")
    return int(head.split()[1]), body


def plain(name: str) -> bytes:
    return (Path(str(_FOLDER)) / "mpgs" / name).read_bytes()


def test_a_captured_order(direct, order, platform):
    platform.says(*recorded("CompletePurchaseRequestSuccess.txt"))
    found = direct.query(replace(order, order_no=NUMBER))
    assert (found.state, found.amount) == (PaymentState.PAID, Money(55526, "AUD"))
    assert (found.order_no, found.channel_state) == (NUMBER, "CAPTURED")


def test_an_order_nobody_began_to_pay(direct, order, platform):
    platform.says(*recorded("CompletePurchaseRequestFailure.txt"))
    assert direct.query(replace(order, order_no=NUMBER)).state is PaymentState.NOT_FOUND


def test_a_session(direct, order, platform):
    platform.says(*recorded("PurchaseRequestSuccess.txt"))
    result = direct.pay("mpgs_checkout", order)
    assert isinstance(result, Initiated)
    assert result.instruction.url.startswith(f"{platform.url}/checkout/pay/SESSION0002580462196G6604316I00")
    assert result.memo["success_indicator"] == "4a0f35687c204nfb"


def test_a_request_with_a_field_missing(direct, order, platform):
    platform.says(*recorded("PurchaseRequestFailure.txt"))
    refused = direct.pay("mpgs_checkout", order)
    assert refused == Refused(code="INVALID_REQUEST", message="Missing parameter: order.currency")


def test_an_unsupported_version_fails_the_check(direct, platform):
    platform.says(*recorded("CheckGatewayFailure.txt"))
    found = direct.check()
    assert not found.ok
    assert "version = 80" in found.message.zh


def test_a_transaction_as_a_webhook_carries_it(make):
    """Whole amounts are written without decimals; the order stands one level deeper than in Retrieve Order."""
    body = plain("pay-api.json")
    data = read_json(body)
    assert data["order"]["totalCapturedAmount"] == 1
    provider = make(direct=True)
    body = body.replace(b"<Merchant ID>", MERCHANT.encode())
    headers = {"x-notification-secret": WEBHOOK_SECRET}
    notice = provider.parse_notify(InboundRequest(method="POST", path="/n", headers=headers, body=body))
    assert (notice.kind, notice.order_no, notice.channel_state) == (NoticeKind.HINT, "OrdID_118", "CAPTURED")
    flat = {**data["order"], "merchant": MERCHANT, "result": data["result"]}
    found = order_state(flat, order_no="OrdID_118", merchant_id=MERCHANT)
    assert (found.amount, found.refunded) == (Money(100, "SAR"), Money(0, "SAR"))


def test_the_requests_are_those_of_the_published_collection(make, order, platform):
    """Operation, paths and field names as in the collection, for the version it is about."""
    items = {i["name"]: i["request"] for i in json.loads(plain("hosted-checkout.postman_collection.json"))["item"]}
    create, retrieve = items["Create Checkout Session"], items["Retrieve Order"]
    provider = make(direct=True, api_version=57)
    platform.says(*recorded("PurchaseRequestSuccess.txt"))
    provider.pay("mpgs_checkout", order)
    platform.says(*recorded("CompletePurchaseRequestFailure.txt"))
    provider.query(replace(order, order_no=NUMBER))
    theirs, ours = json.loads(create["body"]["raw"]), platform.calls[0].json
    assert ours["apiOperation"] == theirs["apiOperation"]
    assert set(theirs["order"]) <= set(ours["order"])
    assert {"operation", "returnUrl"} <= set(ours["interaction"])

    def path(request, **values):
        text = "/" + "/".join(request["url"]["path"]).rstrip("/")
        for name, value in {"ApiVersion": "57", "MerchantId": MERCHANT, **values}.items():
            text = text.replace("{{" + name + "}}", value)
        return text

    assert platform.calls[0].path == path(create)
    assert platform.calls[1].path == path(retrieve).replace("OrdID_{{AttemptNum}}", NUMBER)
