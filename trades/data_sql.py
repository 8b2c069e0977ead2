"""The trade as `selectors.trade_data` answers it, made by PostgreSQL: for statements that tell of many at once."""

from __future__ import annotations

from notifications.selectors import told_sql
from paycenter.times import iso_sql

# What has to stand beside the trade `t`: app, merchant, and each currency's scale. And what joins them to it.
BESIDE = (
    "merchants_app app, merchants_merchant m,"
    " unnest(%(currencies)s::text[], %(scales)s::int[]) AS unit(currency, scale)"
)
JOINED = "app.id = t.app_id AND m.id = t.merchant_id AND unit.currency = t.currency"


def trade_data_sql(**changed: str) -> str:
    """The data of row `t` with BESIDE as a text of JSON; `changed` names what is said otherwise.

    Byte for byte what Python writes of `trade_data`, with the attempt that `selectors` would take.
    """
    columns = {**_order_part(), **_attempt_part(), **told_sql("t.trade_no"), **changed}
    return f"""(SELECT row_to_json(data)::text FROM (
        SELECT {", ".join(f"{value} AS {name}" for name, value in columns.items())}
        FROM (SELECT) AS one LEFT JOIN trades_attempt a ON a.id = coalesce(t.settled_attempt_id, t.current_attempt_id)
    ) AS data)"""  # noqa: S608


def _order_part() -> dict[str, str]:
    held = "t.refunded_amount - t.refunding_amount - t.external_refunded"
    return {
        "trade_no": "t.trade_no", "app_order_no": "t.app_order_no", "business_no": "nullif(t.business_no, '')",
        "merchant_no": "m.merchant_no", "app_id": "app.app_id", "amount": "t.amount", "currency": "t.currency",
        "scale": "unit.scale", "paid_amount": "t.paid_amount", "refunded_amount": "t.refunded_amount",
        "refunding_amount": "t.refunding_amount", "refundable_amount": f"greatest(0, t.paid_amount - {held})",
        "state": "t.state", "subject": "t.subject", "attach": "t.attach", "detail": "t.detail::json",
        "created_at": iso_sql("t.created_at"), "expire_at": iso_sql("t.expire_at"), "paid_at": iso_sql("t.paid_at"),
        "closed_at": iso_sql("t.closed_at"), "version": "t.version",
    }  # fmt: skip


def _attempt_part() -> dict[str, str]:
    names = ("attempt_no", "channel_order_no", "channel_trade_no", "method", "channel")
    return {**{name: f"a.{name}" for name in names}, "funding": "coalesce(nullif(a.funding, ''), t.funding)"}
