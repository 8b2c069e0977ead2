"""The auto-submitting page for channels that want a form POST from the payer's browser."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.html import format_html, format_html_join


def form_html(action: str, fields: Mapping[str, str]) -> str:
    """A complete HTML page that posts `fields` to `action` by itself, or by its button without scripts.

    It is handed to the app, which shows it under its own policy; the cashier renders its own page.
    """
    inputs = format_html_join(
        "", '<input type="hidden" name="{}" value="{}">', ((name, value) for name, value in fields.items())
    )
    return format_html(
        '<!doctype html><html><head><meta charset="utf-8"><title>Payment</title></head>'
        '<body onload="document.forms[0].submit()"><form method="post" action="{}" accept-charset="utf-8">{}'
        '<noscript><button type="submit">Continue / 继续支付</button></noscript></form></body></html>',
        action, inputs,
    )  # fmt: skip
