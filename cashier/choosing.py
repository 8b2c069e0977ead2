"""The page to choose a way to pay on, which most payers see: what it offers, and its sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _

from cashier.drawing import Sheet, facts_of, order_shape, sheet_of
from cashier.icons import icon_of
from cashier.models import CashierOrder
from cashier.naming import payer_names
from cashier.selectors import Choice, Phase, choices_for, configured_methods, one_code_for_all
from cashier.views.showing import plain_context
from channels.base import Device
from trades.models import Trade


@dataclass(frozen=True, slots=True)
class Offer:
    """What a payer may pick on a device. `shared`: one QR code serves several apps instead."""

    device: Device
    choices: Sequence[Choice]
    shared: bool

    @property
    def in_app(self) -> bool:
        return self.device in (Device.WECHAT, Device.ALIPAY, Device.MINI)

    def straight(self, trade: Trade) -> Choice | None:
        """The only way there is, if its channel insists on its own cashier and nothing was tried yet: who comes is
        better sent there at once."""
        if len(self.choices) != 1 or trade.current_attempt is not None:
            return None
        only = self.choices[0]
        return only if only.method.own_cashier and only.unavailable is None else None


def offer_of(trade: Trade, device: Device) -> Offer:
    """What this trade's page offers on the device just now."""
    configured = configured_methods(trade)
    shared = device is Device.PC and one_code_for_all(configured)
    return Offer(device, choices_for(trade, configured, device), shared)


def choice_context(trade: Trade, offer: Offer, language: str, notice: Mapping[str, str]) -> dict[str, Any]:
    """What the template needs of the offer. `language` is the one that is active."""
    names = payer_names([choice.method for choice in offer.choices], language)
    drawn = [_drawn(choice, name, notice) for choice, name in zip(offer.choices, names, strict=True)]
    return {"choices": drawn, "preselected": _preselected(trade, drawn), "in_app": offer.in_app}


def sheet_to_choose_on(page: CashierOrder, offer: Offer, language: str) -> Sheet:
    """What fills in this page and others that differ in texts only: without notice, query and shared code."""
    context = choice_context(page.trade, offer, language, {})
    shape = order_shape(facts_of(page), page.trade.app, Phase.OPEN, language)
    rest = (context["preselected"], context["in_app"], *(tuple(choice.values()) for choice in context["choices"]))
    return sheet_of(
        "cashier/choose.html", shape, rest,
        lambda: {**plain_context(QueryDict(), language), "layout": shape.layout, **context},
    )  # fmt: skip


def _preselected(trade: Trade, drawn: Sequence[dict[str, Any]]) -> str:
    """The method the payer used last, else the first usable one; '' when none is."""
    usable = [str(choice["code"]) for choice in drawn if not choice["unavailable"]]
    last = trade.current_attempt.method if trade.current_attempt is not None else ""
    return last if last in usable else (usable or [""])[0]


def _drawn(choice: Choice, name: str, notice: Mapping[str, str]) -> dict[str, Any]:
    is_busy = notice.get("method") == choice.code and notice["kind"] in ("busy", "unavailable")
    reason = choice.unavailable or (_("Busy just now, please try again in a moment") if is_busy else "")
    return {
        "code": choice.code,
        "name": name,
        "hint": _HINTS[choice.method.instruction](),
        "icon": icon_of(choice.method, choice.account.channel),
        "unavailable": reason,
    }


_HINTS = {
    "qrcode": lambda: _("Shows a QR code to scan"),
    "redirect": lambda: _("Goes to the channel's page"),
    "form": lambda: _("Goes to the channel's page"),
    "sdk": lambda: _("Pays right here"),
    "none": lambda: _("Pays right here"),
}
