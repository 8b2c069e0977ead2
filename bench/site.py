"""What the served center knows: apps, merchants, accounts, and stored payments to be worked on. Runs in a worker."""

from __future__ import annotations

import secrets
from typing import Any

import psycopg
from django.db import connection, transaction
from django.utils import timezone

from bench.constant import CHANNEL, SCENE_AT_ONCE
from bench.pgbench import Copier
from bench.wechat_notice import account_config
from sandbox import keys

NOTIFY_URL = "http://127.0.0.1:9/notify"  # nobody listens: the outbox is written, not sent
_CASHIER = ("wechat_native", "wechat_jsapi", "wechat_h5", SCENE_AT_ONCE)


def prepare() -> dict[str, Any]:
    """An app, a merchant with two accounts, and the first payment; what callers need to know of them."""
    from merchants.models import App, AppKey, AppMerchant, Merchant

    secret = secrets.token_urlsafe(32)
    app = App.objects.create(
        app_id="APPBENCH", name="bench", requests_per_second=1_000_000, notify_url=NOTIFY_URL,
        webhook_secret="whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",  # noqa: S106 - of nobody
    )  # fmt: skip
    AppKey.objects.create(app=app, kind=AppKey.Kind.HMAC, value=secret)
    merchant = Merchant.objects.create(merchant_no="M0000000001", name="bench", short_name="bench", state="active")
    AppMerchant.objects.create(app=app, merchant=merchant)
    signer = keys.private_pem(keys.new_rsa())
    _account(app, merchant, CHANNEL, {"base_url": "http://127.0.0.1:9/"}, (SCENE_AT_ONCE,))
    _account(app, merchant, "wechat", account_config(signer), _CASHIER[:3])
    first_payment()
    return {
        "apps": [{"app_id": app.app_id, "hmac_secret": secret}], "merchants": [{"merchant_no": merchant.merchant_no}],
        "signer": signer,
    }  # fmt: skip


def _account(app: Any, merchant: Any, channel: str, given: dict[str, Any], methods: tuple[str, ...]) -> None:
    from channels.base.config import clean_config
    from channels.base.discovery import provider_for
    from merchants.models import AccountMethod, CashierMethod, PaymentAccount

    config = clean_config(provider_for(channel), given, timezone.now())

    account = PaymentAccount.objects.create(
        payment_no=f"Z{channel}", merchant=merchant, channel=channel, name=channel, state="active",
        config=config,  # type: ignore[misc]
    )  # fmt: skip
    for method in methods:
        AccountMethod.objects.create(account=account, method=method)
        CashierMethod.objects.create(
            app=app, merchant=merchant, account=account, method=method, position=_CASHIER.index(method)
        )


def first_payment() -> str:
    """A payment on the normal path, from which stored ones are copied; its attempt's number."""
    from merchants.models import App, Merchant
    from trades.orders import OrderRequest
    from trades.services import trade_pay

    app, merchant = App.objects.get(), Merchant.objects.get()
    order = OrderRequest(
        merchant_no=merchant.merchant_no, app_order_no=f"FIRST{secrets.token_hex(8)}", amount=100, subject="bench",
    )  # fmt: skip
    return trade_pay(app=app, order=order, method=SCENE_AT_ONCE).attempt_no


def copier() -> Copier:
    """On the worker's own connection."""
    connection.ensure_connection()
    found: psycopg.Connection[Any] = connection.connection
    return Copier(found)


def run(*statements: str) -> None:
    """One after the other, each in a transaction of its own."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def run_together(*statements: str) -> None:
    """In one transaction."""
    with transaction.atomic():
        run(*statements)


def submitted(count: int, prefix: str) -> int:
    """Store payments through WeChat Pay that wait for their notification, in the order of `prefix` and a number from
    1 on; the id of the attempt before the first. Trades and attempts have the ids of each other."""
    copies = copier()
    attempt = copies.row("trades_attempt", "state = 'submitted' AND channel = %s", [CHANNEL])
    trade = copies.row("trades_trade", "id = %s", [attempt["trade_id"]])
    base = free_id()
    account = "(SELECT id FROM merchants_paymentaccount WHERE channel = 'wechat')"
    run_together(
        copies.insert("trades_trade", [trade], {
            "id": f"{base} + n", "trade_no": f"'P{prefix}' || n", "app_order_no": f"'O{prefix}' || n",
            "current_attempt_id": f"{base} + n", "expire_at": "now() + interval '2 hours'",
            "next_close_at": "now() + interval '2 hours'",
        }, f"generate_series(1, {count}) n"),
        copies.insert("trades_attempt", [attempt], {
            "id": f"{base} + n", "trade_id": f"{base} + n", "attempt_no": f"'{prefix}' || n", "account_id": account,
            "channel_order_no": f"'{prefix}' || n", "channel": "'wechat'", "method": "'wechat_native'",
            "next_query_at": "now() + interval '1 hour'",
        }, f"generate_series(1, {count}) n"),
    )  # fmt: skip
    after(base + count)
    return base


def pages(count: int, prefix: str) -> list[str]:
    """Store orders of the hosted cashier that nobody has tried to pay; their tokens."""
    from cashier.models import CashierOrder

    copies = copier()
    trade = copies.row("trades_trade", "TRUE")
    base = free_id()
    run(
        copies.insert("trades_trade", [trade], {
            "id": f"{base} + n", "trade_no": f"'P{prefix}' || n", "app_order_no": f"'O{prefix}' || n",
            "current_attempt_id": "NULL::bigint", "settled_attempt_id": "NULL::bigint", "state": "'waiting'",
            "paid_amount": "0", "paid_at": "NULL::timestamptz", "expire_at": "now() + interval '2 hours'",
            "next_close_at": "now() + interval '2 hours'",
        }, f"generate_series(1, {count}) n"),
    )  # fmt: skip
    after(base + count)
    display = [{"label": "房号", "value": "3-1201"}]
    rows = [CashierOrder(trade_id=base + n, display=display) for n in range(1, count + 1)]
    return [row.token for row in CashierOrder.objects.bulk_create(rows)]


def free_id() -> int:
    """Neither a trade nor an attempt has this id or one behind it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT greatest(nextval('trades_trade_id_seq'), nextval('trades_attempt_id_seq'))")
        return int(cursor.fetchone()[0])


def after(last: int) -> None:
    """The next ids come behind this one."""
    run(f"SELECT setval('trades_trade_id_seq', {last + 1}), setval('trades_attempt_id_seq', {last + 1})")
