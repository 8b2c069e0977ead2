"""`python -m deploy.demo.payment`: takes the example payment through the real API, once per data directory.

It is signed as an app would sign it, paid in the sandbox as a payer would pay it, and queried until
the center says `paid`. Later starts look it up instead of taking another one.
"""

from __future__ import annotations

import secrets
import sys
import time
from typing import Any

from deploy.demo import private
from deploy.demo.client import CallFailed, Client, pay_as_payer
from deploy.demo.layout import Layout, read

PATIENCE = 30.0  # seconds until the center has to know
AMOUNT = 12850  # minor units: 128.50 CNY
PREFERRED = ("wechat_native", "alipay_qr")


def take(layout: Layout) -> dict[str, Any]:
    """Raises CallFailed."""
    seeded = private.read_json(layout.seeded)
    app, merchant = seeded["apps"][0], seeded["merchants"][0]
    client = Client(layout.base_url, app["app_id"], app["hmac_secret"])
    known = private.read_json(layout.example)
    if known and (trade := _still_paid(client, known["trade_no"])):
        return trade
    method = _choose([code for account in merchant["accounts"] for code in account["methods"]])
    sent = client.call(
        "/v1/gopay", merchant_no=merchant["merchant_no"], method=method, amount=AMOUNT, subject="物业费 2026年11月",
        app_order_no=f"DEMO-{time.strftime('%Y%m%d')}-{secrets.token_hex(4).upper()}",
    )  # fmt: skip
    pay_as_payer(layout.sandbox_url, sent["attempt_no"], sent["pay"])
    return _until_paid(client, sent["trade_no"])


def _choose(codes: list[str]) -> str:
    """Any one that a payer can pay by scanning, best one of the usual two."""
    return next((code for code in PREFERRED if code in codes), codes[0])


def _still_paid(client: Client, trade_no: str) -> dict[str, Any] | None:
    """None where the trade is of another database than the one in use now."""
    try:
        trade = client.call("/v1/query/trade", trade_no=trade_no)
    except CallFailed:
        return None
    return trade if trade["state"] == "paid" else None


def _until_paid(client: Client, trade_no: str) -> dict[str, Any]:
    limit = time.monotonic() + PATIENCE
    while True:
        trade = client.call("/v1/query/trade", trade_no=trade_no)
        if trade["state"] == "paid":
            return trade
        if time.monotonic() > limit:
            raise CallFailed(f"trade {trade_no} is {trade['state']} after {PATIENCE:.0f} s, not paid")
        time.sleep(0.1)


def main() -> int:
    layout = read()
    try:
        trade = take(layout)
    except CallFailed as exc:
        print(f"The example payment did not succeed: {exc}", file=sys.stderr)
        return 1
    kept = ("trade_no", "app_order_no", "attempt_no", "channel_trade_no", "method", "amount", "currency")
    private.write_json(layout.example, {name: trade[name] for name in kept})
    return 0


if __name__ == "__main__":
    sys.exit(main())
