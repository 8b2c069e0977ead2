"""`demo.json`, by which other programs find the demo, and what a person reads on the screen."""

from __future__ import annotations

from typing import Any

from deploy.demo import private
from deploy.demo.layout import Layout


def content(layout: Layout, pid: int) -> dict[str, Any]:
    """Everything a program needs to use the demo: addresses, logins, keys, merchants."""
    seeded = private.read_json(layout.seeded)
    return {
        "base_url": layout.base_url,
        "sandbox_url": layout.sandbox_url,
        "admin": {"url": f"{layout.base_url}/admin/", "users": seeded["users"]},
        "apps": seeded["apps"],
        "merchants": seeded["merchants"],
        "pid": pid,
    }


def write(layout: Layout, pid: int) -> None:
    """Only its owner may read it; it appears whole or not at all."""
    private.write_json(layout.document, content(layout, pid))


def announcement(layout: Layout, seconds: float) -> str:
    """What to open, who may sign in, and the example payment's numbers."""
    seeded = private.read_json(layout.seeded)
    example = private.read_json(layout.example) or {}
    logins = "\n".join(f"    {u['username']:<10} {u['password']}" for u in seeded["users"].values())
    numbers = "\n".join(
        f"    {name:<20} {example.get(key, '')}"
        for name, key in (
            ("app's order number", "app_order_no"),
            ("center's trade number", "trade_no"),
            ("channel's number", "channel_trade_no"),
        )
    )
    return f"""
The payment center is running ({seconds:.1f} s). Ctrl-C ends it; the data in {layout.var} stays.

  Admin             {layout.base_url}/admin/
  API description   {layout.base_url}/docs/
  Sandbox wallet    {layout.sandbox_url}/wallet   (pay or cancel as the payer would)
  For programs      {layout.document}
  Logs              {layout.logs}

  Sign in as        password
{logins}

  A paid example    {example.get("method", "")}, {example.get("amount", 0) / 100:.2f} {example.get("currency", "")}
{numbers}
"""
