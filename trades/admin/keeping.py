"""The buttons for keeping abnormal money, with what keeping it does and why a button cannot be pressed."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from paycenter.staff.acts import Act, Section, adds_to_page
from paycenter.staff.display import money
from paycenter.staff.tenancy import tenant_of
from trades.accepting import ACCEPT_PERMISSION, revives, why_not_ask, why_not_confirm, why_not_withdraw
from trades.models import AbnormalPayment
from trades.states import AbnormalState


def effect_of_keeping(row: AbnormalPayment) -> str:
    """What happens when this money is kept, in words."""
    if revives(row):
        return gettext("Keeping it revives the order: it becomes paid with %(amount)s, and the app is told.") % {
            "amount": money(row.amount, row.currency)
        }
    return gettext(
        "Keeping it does not pay the order, which stays “%(state)s”. The money is marked as kept and cannot be "
        "refunded here any more."
    ) % {"state": row.trade.get_state_display()}


@adds_to_page(AbnormalPayment)
def keeping(request: HttpRequest, row: Any) -> list[Act | Section]:
    """Asking, confirming and withdrawing, for whose role may; everybody sees that it was asked for."""
    if row.state not in (AbnormalState.UNVERIFIED, AbnormalState.OPEN, AbnormalState.REFUNDING):
        return []
    acts = _acts(request.user, row) if request.user.has_perm(ACCEPT_PERMISSION) else []
    possible = [act for act in acts if act.dialog]
    data = {
        "asked": row.acceptance_asked_by_id is not None, "center": tenant_of(request.user) is None, "row": row,
        "effect": effect_of_keeping(row), "dialogs": [_dialog(row, act) for act in possible],
    }  # fmt: skip
    return [*acts, Section("admin/pc/keeping.html", data, order=10)]


def _acts(user: Any, row: AbnormalPayment) -> list[Act]:
    if row.acceptance_asked_by_id is None:
        return [_act("ask", gettext("Ask to keep it"), why_not_ask(row, user), "", 30)]
    return [
        _act("confirm", gettext("Confirm keeping it"), why_not_confirm(row, user), "primary", 20),
        _act("withdraw", gettext("Do not keep it"), why_not_withdraw(row, user), "", 30),
    ]


def _act(decision: str, label: str, why_not: str, tone: str, order: int) -> Act:
    dialog = "" if why_not else f"dialog-keep-{decision}"
    return Act(label=label, dialog=dialog, why_not=why_not, tone=tone, icon=_ICONS[decision], order=order)


_ICONS = {"ask": "savings", "confirm": "task_alt", "withdraw": "undo"}


def _dialog(row: AbnormalPayment, act: Act) -> dict[str, Any]:
    decision = act.dialog.rpartition("-")[2]
    texts = {
        "ask": effect_of_keeping(row) + " " + gettext("Somebody else has to confirm it."),
        "confirm": effect_of_keeping(row),
        "withdraw": gettext("The request is taken back; the money stays open."),
    }
    return {
        "id": act.dialog, "title": act.label, "text": texts[decision], "tone": act.tone or "primary",
        "action": reverse("admin:trades_abnormalpayment_keep", args=[row.pk, decision]),
    }  # fmt: skip
