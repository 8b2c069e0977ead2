"""Which drawing stands beside a method. A provider brings its own by adding a file; nothing lists them."""

from __future__ import annotations

from functools import cache

from django.contrib.staticfiles import finders
from django.templatetags.static import static

from channels.base import Method

_GENERIC = {"qrcode": "generic-qr", "redirect": "generic-bank", "form": "generic-bank"}


def icon_of(method: Method, channel: str) -> str:
    """Address of the icon: the scene's own, else its provider's, else one for its kind."""
    return _address((method.code, channel, _GENERIC.get(method.instruction, "generic-phone")))


@cache
def _address(names: tuple[str, ...]) -> str:
    for name in names:
        path = f"cashier/icons/{name}.svg"
        if finders.find(path):
            return static(path)
    return static("cashier/icons/generic-bank.svg")
